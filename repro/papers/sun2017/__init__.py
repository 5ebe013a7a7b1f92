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
)
