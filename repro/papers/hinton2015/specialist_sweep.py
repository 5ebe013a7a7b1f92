"""How many specialists, how large, how many of the generalist's classes: a sweep on frozen features.

The paper tried one setting: 61 specialists, 300 classes each, n = 1. Here specialists are single linear layers on the
generalist's features (its last block kept as it is), which costs seconds; counts, sizes and n are swept.

Departures: as in ``specialists``; nothing printed to hold it against. Cost at scale ``paper``: about 10 seconds of one
core a run, 36 runs.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveInt

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._arms import Section
from repro.papers.hinton2015._specialist_arms import GENERALIST, Specialists
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.training.settings import Training

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Section):
    seeds: int = Field(3, ge=1)
    counts: tuple[PositiveInt, ...] = Field(min_length=1)
    sizes: tuple[PositiveInt, ...] = Field(min_length=1)
    tops: tuple[PositiveInt, ...] = Field(min_length=1, description="n of section 5.4")
    training: Training


def arms(config: Config) -> list[Arm]:
    listed = []
    for count in config.counts:
        for size in config.sizes:
            settings = Specialists(count=count, size=size, training=config.training, head=config.training).settings()
            del settings["head"]  # these are heads and nothing else
            settings["tops"] = list(config.tops)
            listed.append(Arm(f"count{count}.size{size}", settings, config.seeds, (GENERALIST,), config.seeds))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import on_features

    return on_features(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._specialist_figures import sweep

    return sweep(results)


def claims(results: Results) -> Sequence[Answer]:
    return []
