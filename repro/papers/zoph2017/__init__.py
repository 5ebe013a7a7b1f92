"""Zoph, Vasudevan, Shlens, Le 2017, NASNet, arXiv 1707.07012."""

from repro.papers.paper import Paper

PAPER = Paper(
    "zoph2017",
    "Zoph, Vasudevan, Shlens, Le 2017: Learning Transferable Architectures for Scalable Image Recognition",
    "1707.07012",
    headlines=("PS388.multiply_adds", "PS385.multiply_adds", "PS395.final", "PS377.cells", "PS377.cells.best"),
    beyond=(
        ("SENet|ShuffleNet|MobileNet|Shake-Shake|NAS v3", "another net's number, cited from its own paper"),
        ("COCO", "detection on COCO was not run: its pictures are not among this suite's data sets"),
        (r" ImageNet \| top-", "ImageNet was not trained on: up to 24 billion multiply-adds a picture"),
        (
            r" CIFAR-10 \| error ",
            "CIFAR-10 is not among this suite's data sets; cells are compared on CIFAR-100's pictures (PS377.cells)",
        ),
    ),
)
