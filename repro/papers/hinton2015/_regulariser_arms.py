"""Settings, arms and readings of ``soft_regularisers``; importable without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.experiment import Arm, Need
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._arms import TunedNet
from repro.results import Results
from repro.settings import Options
from repro.training.settings import JUDGED_ONCE, RATE_IS_CHOSEN, Training, refuse

SWEPT = ("hard", "soft")  # the kinds that also see other numbers of cases
EVALUATIONS = 25  # of a student of the sweep, whose epochs are longer or shorter

Smoothing = Annotated[float, Field(gt=0, lt=1)]


class SmallNet(TunedNet):
    """Strided convolutions, where there are any, before the hidden layers, where there are any."""

    channels: tuple[PositiveInt, ...] = ()
    hidden: tuple[PositiveInt, ...] = ()

    def settings(self, **changes: object) -> dict[str, object]:
        return super().settings(**changes) | ({"channels": list(self.channels)} if self.channels else {})


class Task(Options):
    """One data set: its net, how students and the full net are trained, and how many."""

    data: str
    cases: PositiveInt = Field(description="training cases that the students see")
    held_out: PositiveInt = Field(description="training cases kept for validation")
    net: SmallNet = Field(description="with the training of the students")
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="learning rates tried for every kind of student")
    tuning_seeds: int = Field(1, ge=1, description="of every rate tried")
    full: Annotated[Training, RATE_IS_CHOSEN, JUDGED_ONCE] = Field(description="training of the full net")
    full_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="learning rates tried for the full net")
    full_epochs: tuple[PositiveInt, ...] = Field((), description="other numbers of epochs tried for it")
    seeds: int = Field(3, ge=1)
    sweep: tuple[PositiveInt, ...] = Field((), description="other numbers of cases, at equal steps")

    @model_validator(mode="after")
    def _every_option_has_effect(self) -> "Task":
        for training in (self.net.training, self.full):
            if self.net.channels:
                refuse(training, "nets with convolutions have no dropout", "dropout_input", "dropout_hidden")
            if not self.net.hidden:
                refuse(training, "the net has no hidden layer", "dropout_hidden", "max_norm_squared")
        for name, own, others in (
            ("full_epochs", self.full.epochs, self.full_epochs),
            ("sweep", self.cases, self.sweep),
        ):
            if len({own, *others}) < 1 + len(others):
                raise ValueError(f"{name} are others than {own}, and each is run once; leave repeated ones out")
        return self


class FewCases(Options):
    """What students of all data sets choose from, and the data sets."""

    temperatures: tuple[PositiveFloat, ...] = Field((2.0,), min_length=1, description="of soft targets, to choose from")
    smoothings: tuple[Smoothing, ...] = Field(
        (0.1,), min_length=1, description="probabilities shared by all classes under label smoothing, to choose from"
    )
    tasks: tuple[Task, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Kind:
    """What students learn from: their settings, by net, rate and the value of what is chosen together with the rate."""

    label: str
    settings: Callable[[SmallNet, float, float], dict[str, object]]
    chosen: tuple[str, ...] = ()  # the setting that is chosen together with the rate, if any
    letter: str = ""  # of that setting, in the names of arms
    values: Callable[[FewCases], tuple[float, ...]] = lambda config: (0.0,)


KINDS = {
    "hard": Kind("labels", lambda net, rate, _: net.from_labels(rate)),
    "smoothed": Kind(
        "smoothed labels",
        lambda net, rate, smoothing: net.from_soft_targets(rate, 1.0) | {"smoothing": smoothing},
        ("smoothing",),
        "e",
        lambda config: config.smoothings,
    ),
    "soft": Kind(
        "soft targets",
        lambda net, rate, temperature: net.from_soft_targets(rate, temperature),
        ("temperature",),
        "t",
        lambda config: config.temperatures,
    ),
}


def arms(config: FewCases) -> list[Arm]:
    return [arm for task in config.tasks for arm in _arms_of(task, config)]


def _arms_of(task: Task, config: FewCases) -> list[Arm]:
    data = task.data
    listed = _full_arms(task)
    for name, kind in KINDS.items():
        teacher = (Need(f"{data}.full"),) if name == "soft" else ()
        grids = []
        for value in kind.values(config):

            def tried(rate: float, kind: Kind = kind, value: float = value) -> dict[str, object]:
                return _student(task, kind, task.cases, rate, value, evaluate_every_epochs=None)

            tag = f"{data}.{name}" + (f".{kind.letter}{value:g}" if kind.chosen else "")
            grids += tuned.grid(tag, task.rates, tried, seeds=task.tuning_seeds, data=data, needs=teacher)
        listed += grids
        needs = (*teacher, *tuned.wanted(grids))
        for cases in sorted({task.cases, *(task.sweep if name in SWEPT else ())}):
            chosen = _student(task, kind, cases, task.rates[0], 0.0, **_equal_steps(task, cases))
            settings = tuned.without_rate(chosen, *kind.chosen)
            settings |= {"role": "student" if cases == task.cases else "student_sweep"}
            listed.append(Arm(arm_name(task, name, cases), settings, task.seeds, needs, task.seeds, data))
    return listed


def _full_arms(task: Task) -> list[Arm]:
    """The net on all cases that are not held out, and the grid of its rates and epochs."""
    net = task.net.model_copy(update={"training": task.full})
    told = {"cases": None, "held_out": task.held_out, "tried_with_rate": ["epochs"]}
    grids = []
    for epochs in sorted({task.full.epochs, *task.full_epochs}):

        def tried(rate: float, epochs: int = epochs) -> dict[str, object]:
            return net.from_labels(rate, epochs=epochs) | told | {"role": "full_grid"}

        name = f"{task.data}.full.epochs{epochs}"
        grids += tuned.grid(name, task.full_rates, tried, seeds=task.tuning_seeds, data=task.data)
    settings = tuned.without_rate(net.from_labels(task.full_rates[0]) | told | {"role": "full"}, "epochs")
    return [*grids, Arm(f"{task.data}.full", settings, task.seeds, tuned.wanted(grids), task.seeds, task.data)]


def _student(
    task: Task, kind: Kind, cases: int, rate: float, value: float, **training: int | None
) -> dict[str, object]:
    """Settings of a student of the grid, its training changed."""
    net = task.net.model_copy(update={"training": task.net.training.model_copy(update=training)})
    told = {"cases": cases, "held_out": task.held_out, "tried_with_rate": list(kind.chosen), "role": "student_grid"}
    return kind.settings(net, rate, value) | told


def arm_name(task: Task, kind: str, cases: int | None = None) -> str:
    return f"{task.data}.{kind}" if cases in (None, task.cases) else f"{task.data}.{kind}.n{cases}"


def _equal_steps(task: Task, cases: int) -> dict[str, int | None]:
    """Epochs that make as many steps of ``cases`` as the task's own take, and how often to evaluate."""
    training = task.net.training
    if cases == task.cases:
        return {}
    batches, own = (-(-n // training.batch_size) for n in (cases, task.cases))
    epochs = max(1, round(training.epochs * own / batches))
    return {"epochs": epochs, "evaluate_every_epochs": max(1, round(epochs / EVALUATIONS))}


def curves(results: Results, arm: str, split: str, metric: str) -> dict[int, dict[float, float]]:
    """By seed and epoch: accuracy in percent for ``errors``, else the metric itself."""
    cases = {row["seed"]: row.get(f"{split}_cases") for row in results.rows if row["arm"] == arm}
    found: dict[int, dict[float, float]] = {}
    for point in results.curves:
        if (point["arm"], point["split"], point["metric"]) == (arm, split, metric):
            of_all = cases[point["seed"]]
            value = 100 * (1 - point["value"] / of_all) if metric == "errors" else point["value"]
            found.setdefault(point["seed"], {})[point["epoch"]] = value
    return found


def stopping_epochs(results: Results, arm: str, metric: str) -> dict[int, float]:
    """Where training would be stopped early, by seed: the first evaluation with the least ``metric`` on held-out
    cases."""
    sign = -1 if metric == "errors" else 1  # of accuracies the greatest
    held_out = curves(results, arm, "validation", metric)
    return {seed: min(curve, key=lambda e: (sign * curve[e], e)) for seed, curve in held_out.items()}


def rise_after_stopping(results: Results, arm: str) -> dict[int, float]:
    """Test cross-entropy at the end minus at the evaluation with the least on held-out cases, in nats, by seed."""
    stops = stopping_epochs(results, arm, "cross_entropy")
    curve = curves(results, arm, "test", "cross_entropy")
    return {seed: curve[seed][max(curve[seed])] - curve[seed][stop] for seed, stop in stops.items()}


def percent_right(results: Results, arm: str, which: str = "test") -> dict[int, float]:
    """Accuracy in percent by seed; ``which`` is a split, ``stopped_`` before it where training is stopped early."""
    split = which.removeprefix("stopped_")
    found = [row for row in results.rows if row["arm"] == arm and row.get(f"{which}_errors") is not None]
    return {row["seed"]: 100.0 * (1 - row[f"{which}_errors"] / row[f"{split}_cases"]) for row in found}


def words(task: Task) -> str:
    return f"{task.cases:,} cases of {task.data}"


def chosen(task: Task, kind: str, results: Results) -> float | None:
    """The value that was chosen together with the rate of a kind of students; None before they have run."""
    (setting,) = KINDS[kind].chosen
    return next((row[setting] for row in results.rows if row["arm"] == arm_name(task, kind)), None)
