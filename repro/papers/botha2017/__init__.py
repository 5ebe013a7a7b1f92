"""Botha et al. 2017, Natural Language Processing with Small Feed-Forward Networks, arXiv 1708.00214."""

from repro.papers.paper import Paper

PAPER = Paper(
    "botha2017",
    "Botha et al. 2017: Natural Language Processing with Small Feed-Forward Networks",
    "1708.00214",
    headlines=("PS360.loss_languages", "PS362.languages", "PS365.languages.linear1000", "PS365.tagging.linear1000"),
    beyond=(
        ("Gillick", "another paper's LSTM, cited and not trained here"),
        ("Baldwin&Lui|Zhang et al|Nakagawa", "a rival's number, cited from its own paper"),
        ("clusters", "clusters of words from a corpus of their own are not here"),
        (r"\b6 dim", "embeddings of 6 numbers were not trained; 4, 8 and 16 were"),
        ("macro F1", "accuracy is recorded, which is micro F1 where a text has one label; F1 of each language is not"),
        ("Chinese segmentation", "segmentation of Chinese was not run: no such text is among this suite's data sets"),
        ("preordering", "preordering was not run: no such pairs of languages are among this suite's data sets"),
        ("^PS366", "against the recurrent nets of other papers, which were not trained here"),
    ),
)
