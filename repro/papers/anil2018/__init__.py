"""Anil et al. 2018, Large Scale Distributed Neural Network Training through Online Distillation, arXiv 1804.03235."""

from repro.papers.paper import Paper

PAPER = Paper(
    "anil2018",
    "Anil et al. 2018: Large Scale Distributed Neural Network Training through Online Distillation",
    "1804.03235",
    headlines=(
        "CO-06.disjoint",
        "CO-19",
        "CO-21.steps",
        "CO-22",
        "CO-23.below_ensemble",
        "CO-17.fashion-mnist.batch512",
    ),
    beyond=(
        ("^CO-0[45] ", "in runs as short as those here every doubling of the workers helps (CO-03)"),
        ("^CO-07 ", "Common Crawl is not here; its two phases against as many steps of codistillation are CO-08"),
        ("^CO-20 ", "as stale as that is longer than any run here with stale gradients"),
        (r"^CO-21\.examples ", "said of large batches; here it is asked in steps (CO-21.steps)"),
    ),
)
