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
        "KD-S15.fashion-mnist_most",
        "KD-R06.fashion-mnist_against_hard",
        "KD-R06.fashion-mnist_against_smoothed",
        "KD-R06.fashion-mnist_recovered",
        "KD-R06.cifar-100_against_smoothed",
        "KD-R06.cifar-100_recovered",
        "KD-J26.k20_random",
        "KD-J06.clusters20",
        "KD-J06.clusters20_against_longer",
        "KD-J07.clusters20",
        "KD-J07.clusters20_against_longer",
        "KD-J27",
    ),
    beyond=(
        ("^KD-J(04|05|08) ", "JFT is private; what specialists gain is asked on CIFAR-100 (KD-J06, KD-J07)"),
        ("^KD-J4-", "JFT is private; the gain by covering specialists is asked on CIFAR-100 (KD-J27)"),
        ("^KD-J2[123] ", "JFT is private; CIFAR-100's classes are clustered instead (KD-J26)"),
    ),
)
