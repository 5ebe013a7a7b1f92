"""Dettmers 2017, a review of that year's deep learning by what it cost to run (blog post, read in translation)."""

from repro.papers.paper import Paper

PAPER = Paper(
    "dettmers2017",
    "Dettmers 2017: Compute, data and small models, a review of deep learning (blog post)",
    headlines=("PS274.months2", "PS276.weeks2", "PS277.weeks2", "PS286.lag"),
)
