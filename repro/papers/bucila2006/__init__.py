"""Bucila, Caruana, Niculescu-Mizil 2006, Model Compression, KDD 2006."""

from repro.papers.paper import Paper

PAPER = Paper(
    "bucila2006",
    "Bucila, Caruana, Niculescu-Mizil 2006: Model Compression",
    headlines=(
        "MC-T2-adult.mimic",
        "MC-T2-adult.ratio.below_half",
        "MC-T2-letter.p1.ratio.above_half",
        "MC-T2-letter.p2.ratio.above_half",
    ),
)
