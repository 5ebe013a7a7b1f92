"""Hinton 2023, Two Paths to Intelligence (public lecture, Cambridge, 25 May 2023): how agents share what they learn."""

from repro.papers.paper import Paper

PAPER = Paper(
    "hinton2023",
    "Hinton 2023: Two Paths to Intelligence (public lecture, Cambridge)",
    headlines=(
        "PS263.like_backprop",
        "PS264.activities",
        "HT-SHARE.probabilities.classes",
        "HT-SHARE.others.random",
        "HT-BANDWIDTH.random",
        "HT-BANDWIDTH.classes",
        "HT-MORTAL.alone_distilled",
        "HT-MORTAL.generations.labels",
        "PS268.constraint.labels.classes10.t4",
        "PS268.constraint.labels.classes100.t4",
    ),
)
