"""Ren, Kornblith, Liao, Hinton 2022, Scaling Forward Gradient With Local Losses, arXiv 2210.03310."""

from repro.papers.paper import Paper

PAPER = Paper(
    "ren2022",
    "Ren, Kornblith, Liao, Hinton 2022: Scaling Forward Gradient With Local Losses",
    "2210.03310",
    headlines=("PS001", "PS019", "PS065", "PS083", "PS083.against_fg_a", "PS067.against_frozen"),
)
