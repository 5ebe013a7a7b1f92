"""Zhang, Zhou, Lin, Sun 2017, ShuffleNet, arXiv 1707.01083."""

from repro.papers.paper import Paper

PAPER = Paper(
    "zhang2017",
    "Zhang, Zhou, Lin, Sun 2017: ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    "1707.01083",
    headlines=("PS356.g3", "PS356.g8", "PS333.delta", "PS334.delta"),
)
