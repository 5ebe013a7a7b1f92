"""Ren, Kornblith, Liao, Hinton 2022, Scaling Forward Gradient With Local Losses, arXiv 2210.03310."""

from repro.papers.paper import Paper

PAPER = Paper(
    "ren2022",
    "Ren, Kornblith, Liao, Hinton 2022: Scaling Forward Gradient With Local Losses",
    "2210.03310",
    headlines=("PS001", "PS019", "PS065", "PS083", "PS083.against_fg_a", "PS067.against_frozen"),
    beyond=(
        ("ImageNet", "L/32/64 was not trained on ImageNet: far beyond one processor"),
        (
            "Table 4",
            "InfoNCE on two augmented views of CIFAR-10 was not run; contrastive learning here has the talk's "
            "objective, on MNIST (PS264)",
        ),
        (
            r"CIFAR-10 M/8/16",
            "CIFAR-10 is not among this suite's data sets; the orderings are claimed of the same net on CIFAR-100's "
            "pictures (PS061, PS069, PS077, PS085), where 100 passes over all 50,000 are 17 hours of a core a run",
        ),
        ("^PS192 ", "the number of groups was not varied: each would be trained by every method at every rate"),
        (r" L-(BP|FA),", "local losses without groups were not trained; with groups: LG-BP"),
        (r" LG-FA,", "local losses under feedback alignment were not trained"),
    ),
)
