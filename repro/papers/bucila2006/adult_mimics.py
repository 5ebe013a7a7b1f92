"""Figures 2 and 3 on ADULT: mimics against the number of pseudo-cases, three ways of making them, and hidden units.

The paper, on the average of eight problems: MUNGE's mimics of 128 hidden units go on improving up to 400,000 cases
and are good from 100,000 on; NBE's are best at about 20,000 and get no better; on RANDOM cases they are worse than
the net on the original labels even with 100,000. With 100,000 MUNGE cases the mimic levels off at about 128 hidden
units.

Here: the ensembles, splits and MUNGE sets of ``adult``; smaller sets are the beginnings of larger ones. Every mimic
takes about the same number of steps, and of three rates the one best on the validation cases: that which ``adult``
found by shorter trainings of 128 units, for each way of making cases, its half and its double. RANDOM and NBE end at
100,000 cases.

Departures: those of ``adult``; one problem at a time instead of an average; NBE doubles its components as long as the
validation cases become likelier. Nets are judged after epochs, of which the largest sets make few: there, early
stopping chooses among fewer.

Cost at scale ``paper``: about 4 minutes of one core a seed.
"""

from collections.abc import Sequence

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.bucila2006._arms import Sweep, sweep_arms
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "breast-cancer", "paper": "adult", "cluster": "adult"}
PRINTED_DATA = "adult"
TASKS = ("adult",)


class Config(Sweep):
    pass


def arms(config: Config) -> list[Arm]:
    return sweep_arms(config, TASKS, compression="adult")


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.bucila2006._study import run_sweep

    return run_sweep(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.bucila2006._figures import sweep

    return sweep(results, TASKS)


def claims(results: Results) -> Sequence[Answer]:
    from repro.papers.bucila2006._printed import sweep_claims

    return list(sweep_claims(results, TASKS))
