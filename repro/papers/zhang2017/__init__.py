"""Zhang, Zhou, Lin, Sun 2017, ShuffleNet, arXiv 1707.01083."""

from repro.papers.paper import Paper

PAPER = Paper(
    "zhang2017",
    "Zhang, Zhou, Lin, Sun 2017: ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    "1707.01083",
    headlines=("PS356.g3", "PS356.g8", "PS333.delta", "PS334.delta"),
    beyond=(
        ("inference time", "a telephone's processor is not here; the same nets timed on this one: PS353, PS354"),
        ("MobileNet", "MobileNet's number, cited from its own paper"),
        ("error", "ImageNet was not trained on: 300,000 steps of 1024 images for each net (PS357)"),
    ),
)
