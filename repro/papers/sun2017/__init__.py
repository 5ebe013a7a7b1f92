"""Sun, Shrivastava, Singh, Gupta 2017, Revisiting Unreasonable Effectiveness of Data, arXiv 1707.02968."""

from repro.papers.paper import Paper

PAPER = Paper(
    "sun2017",
    "Sun, Shrivastava, Singh, Gupta 2017: Revisiting Unreasonable Effectiveness of Data in Deep Learning Era",
    "1707.02968",
    headlines=(
        "PS304.mnist.large.law",
        "PS304.fashion-mnist.large.law",
        "PS304.fashion-mnist.large.straight",
        "PS304.fashion-mnist.capacity_upper",
        "PS308.months.async.cloud.299px",
    ),
    beyond=(
        (r"^PS309\.(msra|random)_", "ImageNet was not trained on: without JFT-300M these are baselines alone"),
        ("^PS306", "detection on COCO was not run"),
        (r"^PS(303|311|31[23]\.imagenet) ", "trained on ImageNet alone: without JFT-300M a baseline, and not run"),
        ("^PS3", "JFT-300M is not public"),
    ),
)
