"""Figures 2 and 3 on problems like LETTER: mimics against pseudo-cases, three ways of making them, and hidden units.

As ``adult_mimics``, which says what the paper claims, how mimics are trained and what departs, with the ensembles,
splits, MUNGE sets and rates of ``letters`` and its departures.

Cost at scale ``paper``: about 6 minutes of one core a seed.
"""

from collections.abc import Sequence

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.bucila2006._arms import Sweep, sweep_arms
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "letter"
TASKS = ("p1", "p2")


class Config(Sweep):
    pass


def arms(config: Config) -> list[Arm]:
    return sweep_arms(config, TASKS, compression="letters")


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.bucila2006._study import run_sweep

    return run_sweep(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.bucila2006._figures import sweep

    return sweep(results, TASKS)


def claims(results: Results) -> Sequence[Answer]:
    from repro.papers.bucila2006._printed import sweep_claims

    return list(sweep_claims(results, TASKS))
