"""Section 4, Table 1: one net keeps most of what an ensemble of ten gains.

The paper: ten acoustic models that differ in their random initialisation alone classify 61.1 % of the frames, one of
them 58.9 %, and one net of the same size that learns from the ten 60.8 %: more than 80 % of the gain. Temperatures 1,
2, 5 and 10 were tried, with a relative weight of 0.5 on the labels' cross-entropy.

Here: the same question on 3 % of the labels of MNIST and of Fashion-MNIST, where an ensemble gains visibly (of all of
Fashion-MNIST, tried first, ten nets make too little to take a share of). Ten nets of one ensemble see the same cases in
the same order and differ in their initial weights alone; whole ensembles are repeated with other orders and other 3 %,
and every ensemble teaches several students of its members' size on the cases that its members saw. Learning rates of
members, and of students at each temperature, come from one grid by the errors on held-out training cases, summed over
two seeds; so does the temperature, once for each data set, over all seeds.
Judged is the test set, once. A share of the gain is (single - student) / (single - ensemble) in test errors, with the
mean of the ten members as the single net; one number an ensemble, its students averaged. A control learns from the
soft targets of one member instead of ten, its rates and temperature chosen alike: what it gains owes nothing to an
ensemble.

Departures: other data and nets, for the paper's speech is private; word error rates need a decoder and are not run.
The paper offers arithmetic and geometric means and does not say which was taught: both are judged, the arithmetic mean
of the softened predictions is taught. Of 60,000 training cases 10,000 are held out to choose on.

Cost at scale ``paper``: 2 to 5 seconds of one core a run, 648 runs.
"""

from collections.abc import Sequence

from repro.compare import Answer, Claim, NotRun, Value
from repro.contrasts import minus
from repro.experiment import BY_ARM, Arm, Context, Result
from repro.papers.hinton2015 import _ensemble_arms
from repro.papers.hinton2015._ensemble_arms import (
    Ensembles,
    Task,
    accuracies,
    against_one,
    beyond_least,
    in_order,
    least_share,
    shares_kept,
    words,
)
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "speech"


class Config(Ensembles):
    pass


def arms(config: Config) -> list[Arm]:
    return _ensemble_arms.arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._ensemble_runs import RUNS

    return RUNS[arm.settings["role"]](arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._ensemble_figure import figure

    return figure(results, Config.model_validate(results.config))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = [
        NotRun(row, "a word error rate needs a decoder and the paper's private speech")
        for row in ("KD-S07", "KD-S09", "KD-S11")
    ]
    for task in config.tasks:
        answers += _claims_of(task, results, config)
    return answers


def _claims_of(task: Task, results: Results, config: Config) -> list[Answer]:
    data, setting = task.data, words(task)
    found = accuracies(results, task, config)
    single, student, least = found.single, found.students["ensemble"], least_share()
    best = found.chosen["ensemble"]
    at_best = f"{setting}; T = {best:g} by held-out cases" if best is not None else setting

    quantity = "test accuracy"
    return [
        Value(
            f"KD-S06.{data}", in_order(single), f"single net, mean of {config.members}; {setting}", quantity=quantity
        ),
        *(
            Value(
                f"KD-S08.{data}_{name}",
                in_order(right),
                f"{name} mean of {config.members}; {setting}",
                quantity=quantity,
            )
            for name, right in found.means.items()
        ),
        Value(f"KD-S10.{data}", in_order(student), f"distilled net; {at_best}", quantity=quantity),
        Value(f"KD-S13.{data}", () if best is None else (best,), f"fewest errors on held-out cases; {setting}"),
        Claim(
            f"KD-S08.{data}_gain",
            "test accuracy, ensemble (arithmetic mean) minus the mean of its members",
            in_order(minus(found.means["arithmetic"], single)),
            setting=setting,
            unit="points",
        ),
        Value(
            f"KD-S15.{data}",
            shares_kept(results, task, "ensemble", config),
            at_best,
            quantity="share of the ensemble's gain that the distilled net keeps",
        ),
        Claim(
            f"KD-S15.{data}_most",
            f"test accuracy that the distilled net gains, minus {least:g} % of what the ensemble gains",
            beyond_least(found),
            setting=at_best,
            unit="points",
        ),
        Claim(
            f"KD-S10.{data}_against_single",
            "test accuracy, distilled net minus the mean of the ensemble's members",
            in_order(minus(student, single)),
            setting=at_best,
            unit="points",
        ),
        Claim(
            f"KD-S10.{data}_against_one",
            "test accuracy, net distilled from the ensemble minus net distilled from one member",
            against_one(found),
            setting=setting,
            unit="points",
        ),
    ]
