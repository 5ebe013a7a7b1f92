"""Zoph, Vasudevan, Shlens, Le 2017, NASNet, arXiv 1707.07012."""

from repro.papers.paper import Paper

PAPER = Paper(
    "zoph2017",
    "Zoph, Vasudevan, Shlens, Le 2017: Learning Transferable Architectures for Scalable Image Recognition",
    "1707.07012",
    headlines=("PS388.multiply_adds", "PS385.multiply_adds", "PS395.final"),
)
