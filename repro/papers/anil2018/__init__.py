"""Anil et al. 2018, Large Scale Distributed Neural Network Training through Online Distillation, arXiv 1804.03235."""

from repro.papers.paper import Paper

PAPER = Paper(
    "anil2018",
    "Anil et al. 2018: Large Scale Distributed Neural Network Training through Online Distillation",
    "1804.03235",
    headlines=(
        "CO-06.disjoint",
        "CO-19",
        "CO-21.steps",
        "CO-22",
        "CO-23.below_ensemble",
        "CO-17.fashion-mnist.batch512",
    ),
)
