"""What others printed about training on many workers, and the simulator's own experiments beside it."""

from repro.papers.paper import Paper

PAPER = Paper(
    "scaling",
    "Published scaling data (Goyal et al. 2017, Horovod, MLPerf v0.7 and others) and the simulator",
    headlines=("SC001", "SC132", "SC135", "SC136", "SC367.grows", "SC367.law"),
)
