"""Chen, Fisch, Weston, Bordes 2017, Reading Wikipedia to Answer Open-Domain Questions (DrQA), arXiv 1704.00051."""

from repro.papers.paper import Paper

PAPER = Paper(
    "chen2017",
    "Chen, Fisch, Weston, Bordes 2017: Reading Wikipedia to Answer Open-Domain Questions",
    "1704.00051",
    headlines=("PS402.squad.articles", "PS403.bigrams_gold_paragraphs", "PS403.order_gold_paragraphs", "PS403.bins"),
    beyond=(
        ("full Wikipedia", "the whole system needs the reader and five million articles, and neither is here"),
        ("reader", "the reader is not part of this suite; the retriever is"),
        ("CuratedTREC|WebQuestions|WikiMovies", "neither these questions nor the five million articles are here"),
        (r"^PS398\.", "searched among five million articles, which are not here; among SQuAD's own 48: PS402.squad"),
    ),
)
