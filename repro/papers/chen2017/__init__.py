"""Chen, Fisch, Weston, Bordes 2017, Reading Wikipedia to Answer Open-Domain Questions (DrQA), arXiv 1704.00051."""

from repro.papers.paper import Paper

PAPER = Paper(
    "chen2017",
    "Chen, Fisch, Weston, Bordes 2017: Reading Wikipedia to Answer Open-Domain Questions",
    "1704.00051",
    headlines=("PS402.squad.articles", "PS403.bigrams_gold_paragraphs", "PS403.order_gold_paragraphs", "PS403.bins"),
)
