"""Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531."""

from repro.papers.paper import Paper

PAPER = Paper(
    "hinton2015",
    "Hinton, Vinyals, Dean 2015: Distilling the Knowledge in a Neural Network",
    "1503.02531",
)
