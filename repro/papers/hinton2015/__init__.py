"""Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531."""

from repro.papers.paper import Paper

PAPER = Paper(
    "hinton2015",
    "Hinton, Vinyals, Dean 2015: Distilling the Knowledge in a Neural Network",
    "1503.02531",
    headlines=(
        "KD-M01",
        "KD-M02",
        "KD-M03.soft",
        "KD-M03.soft_hard",
        "KD-M06.units30_t2",
        "KD-M06.units30_t8",
        "KD-M12.soft",
        "KD-M13.soft",
        "KD-S15.mnist_most",
        "KD-R06.fashion-mnist_against_hard",
        "KD-R06.fashion-mnist_against_smoothed",
        "KD-R06.fashion-mnist_recovered",
        "KD-J26.k20_random",
        "KD-J07.clusters20",
        "KD-J27",
    ),
)
