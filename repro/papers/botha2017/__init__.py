"""Botha et al. 2017, Natural Language Processing with Small Feed-Forward Networks, arXiv 1708.00214."""

from repro.papers.paper import Paper

PAPER = Paper(
    "botha2017",
    "Botha et al. 2017: Natural Language Processing with Small Feed-Forward Networks",
    "1708.00214",
    headlines=("PS360.loss_languages", "PS362.languages"),
)
