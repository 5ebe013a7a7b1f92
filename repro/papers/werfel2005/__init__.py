"""Werfel, Xie, Seung 2005, Learning Curves for Stochastic Gradient Descent in Linear Feedforward Networks."""

from repro.papers.paper import Paper

PAPER = Paper(
    "werfel2005",
    "Werfel, Xie, Seung 2005: Learning Curves for Stochastic Gradient Descent in Linear Feedforward Networks",
    headlines=("PS212", "PS213"),
)
