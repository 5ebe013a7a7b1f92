"""Section 6, Table 5: soft targets let a net learn from 3 % of the data without over-fitting.

The paper: of the same acoustic model, trained on everything, 58.9 % of test frames are right; trained on 3 % of the
labels 44.5 %, and that only by stopping early, before the accuracy falls sharply; trained on the soft targets that
the full net gives to the same 3 %, 57.0 %, without stopping early: it converges.

Here: 3 % of MNIST, of Fashion-MNIST and of CIFAR-100, with a net of one size throughout each data set. Every student
takes the same number of steps, its rate falling to nothing. Hard labels are judged at the end and early stopped, at the
evaluation with the fewest errors on held-out training cases; soft targets (T = 2, no labels beside them) are judged at
the end, where stopping them early would have stopped is recorded. Controls: labels smoothed towards the uniform
distribution, which regularise without knowing anything of a case, and the net on all training cases, whose soft
targets are learnt. The number of cases is then varied at equal steps. Learning rates of every kind come from one grid,
by the errors on held-out cases at the end of training.

What falls must be over-fitting and not a rate that is too high: therefore rates fall to nothing and are chosen by the
end of training, not by its best evaluation. They rise over the first 30 % of a run. That soft targets stay where they
would have been stopped says little where labels stay too: what labels lose after their stop is held against it.

Departures: other data and nets, for the paper's speech is private; neither its schedule nor the temperature of these
runs is printed. Held-out cases do not count among the 3 %. The full nets are trained at one rate each. Smoothed
labels took the highest of the rates on MNIST and the lowest on CIFAR-100. Other numbers of cases use the rates chosen
at 3 %.

Cost at scale ``paper``: 10 to 60 seconds of one core a run, 5 minutes for CIFAR-100's full nets.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.compare import Answer, Claim, Value, t_interval
from repro.contrasts import beyond_share, minus, shares
from repro.experiment import BY_ARM, Arm, Context, Need, Result
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._arms import TunedNet
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options
from repro.training.settings import Training, refuse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "speech"
KINDS = ("hard", "smoothed", "soft")
LABELS = {"hard": "labels", "smoothed": "smoothed labels", "soft": "soft targets"}
STAYS = -0.5  # per cent of accuracy that soft targets may lose after the epoch at which they would have been stopped
EVALUATIONS = 25  # of a student of the sweep, whose epochs are longer or shorter


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
    full: Training = Field(description="training of the full net")
    seeds: int = Field(3, ge=1)
    sweep: tuple[PositiveInt, ...] = Field((), description="other numbers of cases, at equal steps")

    @model_validator(mode="after")
    def _every_option_has_effect(self) -> "Task":
        for training in (self.net.training, self.full):
            if self.net.channels:
                refuse(training, "nets with convolutions have no dropout", "dropout_input", "dropout_hidden")
            if not self.net.hidden:
                refuse(training, "the net has no hidden layer", "dropout_hidden", "max_norm_squared")
        return self


class Config(Options):
    temperature: float = Field(2.0, gt=0)
    smoothing: float = Field(0.1, gt=0, lt=1, description="probability shared by all classes under label smoothing")
    tasks: tuple[Task, ...] = Field(min_length=1)


def arms(config: Config) -> list[Arm]:
    return [arm for task in config.tasks for arm in _arms_of(task, config)]


def _arms_of(task: Task, config: Config) -> list[Arm]:
    data = task.data
    full_net = task.net.model_copy(update={"training": task.full})
    full = full_net.from_labels(task.full.learning_rate) | {"cases": None, "held_out": task.held_out, "role": "full"}

    def student(kind: str, cases: int, rate: float) -> dict[str, object]:
        steps = _equal_steps(task, cases)
        targets = {
            "hard": task.net.from_labels(rate, **steps),
            "smoothed": task.net.from_soft_targets(rate, 1.0, **steps) | {"smoothing": config.smoothing},
            "soft": task.net.from_soft_targets(rate, config.temperature, **steps),
        }
        return targets[kind] | {"cases": cases, "held_out": task.held_out, "role": "student_grid"}

    listed = [Arm(f"{data}.full", full, task.seeds, data=data)]
    for kind in KINDS:
        teacher = (Need(f"{data}.full"),) if kind == "soft" else ()
        tried = partial(student, kind, task.cases)
        rates = tuned.grid(f"{data}.{kind}", task.rates, tried, seeds=task.tuning_seeds, data=data, needs=teacher)
        listed += rates
        needs = (*teacher, *tuned.wanted(rates))
        for cases in sorted({task.cases, *(task.sweep if kind != "smoothed" else ())}):
            role = "student" if cases == task.cases else "student_sweep"
            settings = tuned.without_rate(student(kind, cases, task.rates[0])) | {"role": role}
            listed.append(Arm(arm_name(task, kind, cases), settings, task.seeds, needs, task.seeds, data))
    return listed


def arm_name(task: Task, kind: str, cases: int | None = None) -> str:
    return f"{task.data}.{kind}" if cases in (None, task.cases) else f"{task.data}.{kind}.n{cases}"


def _equal_steps(task: Task, cases: int) -> dict[str, int]:
    """Epochs that make as many steps of ``cases`` as the task's own take, and how often to evaluate."""
    training = task.net.training
    if cases == task.cases:
        return {}
    batches, own = (-(-n // training.batch_size) for n in (cases, task.cases))
    epochs = max(1, round(training.epochs * own / batches))
    return {"epochs": epochs, "evaluate_every_epochs": max(1, round(epochs / EVALUATIONS))}


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._regulariser_runs import RUNS

    return RUNS[arm.settings["role"]](arm, seed, context)


def figure(results: Results) -> Drawing:
    """A row a data set: training and test accuracy against epochs, test accuracy against cases."""
    from repro.plots.style import axes

    config = Config.model_validate(results.config)
    rows = len(config.tasks)
    drawn, panels = axes(3, rows, width_in=12.0, height_in=0.8 + 3.0 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, task in enumerate(config.tasks):
        left, middle, right = panels[3 * number : 3 * number + 3]
        for split, ax in (("train", left), ("test", middle)):
            _over_epochs(ax, task, split, results, data, counts)
            ax.set_title(f"{words(task)}: {'training' if split == 'train' else split}")
            ax.set_ylabel("accuracy, %")
            ax.set_xlabel("epochs")
        _over_cases(right, task, results, data)
    drawn.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    caption = (
        "Training and test accuracy of one net on few cases, from labels, from labels smoothed by "
        f"{config.smoothing:g}, and from the soft targets (T = {config.temperature:g}, no labels beside them) of the "
        "same net trained on all cases; dashed: that net. Bold: means over seeds, with the 95 % t-interval at the end; "
        "faint: each seed; circles: where labels would have been stopped early, by held-out cases. Right: accuracy on "
        "test cases over the number of cases at equal steps, labels early stopped, soft targets not, at the rates "
        "chosen for the number of cases on the "
        f"left; {number_of(counts.values())} seeds.{_gain_of_stopping(results, config)} The "
        f"paper prints {_printed('KD-R04')} early stopped, {_printed('KD-R06')} from soft targets and "
        f"{_printed('KD-R02')} on everything, for speech. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _gain_of_stopping(results: Results, config: Config) -> str:
    """How much there was to over-fitting: without any, soft targets' needing no early stopping says little."""
    gains = [
        sum(gained.values()) / len(gained)
        for task in config.tasks
        if (gained := minus(*(percent_right(results, arm_name(task, "hard"), w) for w in ("stopped_test", "test"))))
    ]
    if not gains:
        return ""
    told = f"{min(gains):+.1f} to {max(gains):+.1f}" if len(gains) > 1 else f"{gains[0]:+.1f}"
    return f" Stopped early, labels gain {told} points: so much, and no more, do they over-fit here."


def _over_epochs(
    ax: "Axes", task: Task, split: str, results: Results, data: list[dict[str, Any]], counts: dict[str, int]
) -> None:
    """Mean accuracy over seeds against epochs, one line a kind of target."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import COLOURS, PRINTED, with_intervals

    for number, kind in enumerate(KINDS):
        arm = arm_name(task, kind)
        cases = {row["seed"]: row[f"{split}_cases"] for row in results.rows if row["arm"] == arm}
        at: dict[float, list[float]] = {}
        by_seed: dict[int, list[tuple[float, float]]] = {}
        for point in results.curves:
            if point["arm"] == arm and point["split"] == split and point["metric"] == "errors":
                right = 100 * (1 - point["value"] / cases[point["seed"]])
                at.setdefault(point["epoch"], []).append(right)
                by_seed.setdefault(point["seed"], []).append((point["epoch"], right))
        if not at:
            continue
        drawn = marks({epoch: at[epoch] for epoch in sorted(at)})
        epochs = [epoch for epoch, *_ in drawn]
        counts[arm] = max(map(len, at.values()))
        ax.plot(epochs, [mean for _, mean, _, _ in drawn], color=COLOURS[number], label=LABELS[kind])
        for seed in cases:
            ax.plot(*zip(*sorted(by_seed[seed]), strict=True), color=COLOURS[number], lw=0.8, alpha=0.4)
        with_intervals(ax, drawn[-1:], number)
        for epoch, mean, low, high in drawn:
            row = {"data": task.data, "panel": split, "targets": kind, "epoch": epoch, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(at[epoch])})
        if kind == "hard":
            stops = {row["seed"]: row["stopped_epoch"] for row in results.rows if row["arm"] == arm}
            stopped = percent_right(results, arm, f"stopped_{split}")
            where = [(stops[seed], right) for seed, right in stopped.items()]
            ax.plot(*zip(*where, strict=True), "o", mfc="none", color=COLOURS[number], ms=8)
    if full := list(percent_right(results, f"{task.data}.full", split).values()):
        ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5, label="labels of all cases")
    own = [row["accuracy_percent"] for row in data if (row["data"], row["panel"]) == (task.data, split)]
    _above_the_start(ax, own)


def _over_cases(ax: "Axes", task: Task, results: Results, data: list[dict[str, Any]]) -> None:
    """Test accuracy against the number of cases."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import PRINTED, plain_ticks, with_intervals

    if not task.sweep:
        ax.set_visible(False)
        return
    for kind, which in (("hard", "stopped_test"), ("soft", "test")):
        found: dict[float, list[float]] = {
            cases: list(percent_right(results, arm_name(task, kind, cases), which).values())
            for cases in sorted({task.cases, *task.sweep})
        }
        drawn = marks(found)
        for cases, mean, low, high in drawn:
            row = {"data": task.data, "panel": "cases", "targets": kind, "cases": cases, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(found[cases])})
        if drawn:
            with_intervals(ax, drawn, KINDS.index(kind), LABELS[kind])
    if full := list(percent_right(results, f"{task.data}.full").values()):
        ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5)
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, sorted({task.cases, *task.sweep}))
    ax.set_xlabel("cases")
    ax.set_ylabel("accuracy, %")
    ax.set_title(f"{task.data}: test")


def _above_the_start(ax: "Axes", values: list[float]) -> None:
    """Cut off the first epochs' accuracies, which would leave no room for the differences at the end."""
    if values:
        late = sorted(values)[len(values) // 10 :]
        ax.set_ylim(late[0] - 0.15 * (late[-1] - late[0]), min(ax.get_ylim()[1], 101))


def _printed(row: str) -> str:
    return f"{load_published()[row].value:g} %"


def percent_right(results: Results, arm: str, which: str = "test") -> dict[int, float]:
    """Accuracy in percent by seed; ``which`` is a split, ``stopped_`` before it where training is stopped early."""
    split = which.removeprefix("stopped_")
    found = [row for row in results.rows if row["arm"] == arm and row.get(f"{which}_errors") is not None]
    return {row["seed"]: 100.0 * (1 - row[f"{which}_errors"] / row[f"{split}_cases"]) for row in found}


def words(task: Task) -> str:
    return f"{task.cases:,} cases of {task.data}"


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    return [answer for task in config.tasks for answer in _claims_of(task, results, config)]


def _claims_of(task: Task, results: Results, config: Config) -> list[Answer]:
    data, setting = task.data, words(task)
    at_t = f"soft targets at T = {config.temperature:g}; {setting}"

    def of(kind: str, which: str) -> dict[int, float]:
        return percent_right(results, arm_name(task, kind), which)

    def difference(a: dict[int, float], b: dict[int, float]) -> tuple[float, ...]:
        return tuple(minus(a, b).values())

    def value(row: str, kind: str, which: str, told: str) -> Value:
        split = "test" if which.endswith("test") else "train"
        found = of(kind, which)
        ours = tuple(found[s] for s in sorted(found))
        return Value(f"{row}.{data}", ours, told, quantity=f"{split} accuracy")

    full, hard, soft = of("full", "test"), of("hard", "stopped_test"), of("soft", "test")
    regained, lost = minus(soft, hard), minus(full, hard)
    return [
        value("KD-R01", "full", "train", f"all training cases of {data}"),
        value("KD-R02", "full", "test", f"all training cases of {data}"),
        value("KD-R03", "hard", "stopped_train", f"labels, early stopped; {setting}"),
        value("KD-R04", "hard", "stopped_test", f"labels, early stopped; {setting}"),
        value("KD-R05", "soft", "train", f"no early stopping; {at_t}"),
        value("KD-R06", "soft", "test", f"no early stopping; {at_t}"),
        Claim(
            f"KD-R04.{data}_falls",
            "test accuracy on labels, at the end minus early stopped",
            difference(of("hard", "test"), hard),
            direction="less",
            setting=setting,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_stays",
            "test accuracy on soft targets, at the end minus where they would have been stopped",
            difference(soft, of("soft", "stopped_test")),
            null=STAYS,
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_stays_better",
            "test accuracy at the end minus where it would have been stopped, soft targets minus labels",
            difference(minus(soft, of("soft", "stopped_test")), minus(of("hard", "test"), hard)),
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_against_hard",
            "test accuracy, soft targets at the end minus labels early stopped",
            difference(soft, hard),
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_against_smoothed",
            "test accuracy, soft targets at the end minus smoothed labels early stopped",
            difference(soft, of("smoothed", "stopped_test")),
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_recovered",
            "accuracy that soft targets regain of what labels, early stopped, lose against all cases, minus half of it",
            beyond_share(regained, lost, 0.5),
            setting=f"{_recovered(regained, lost)}; 'almost all' read as more than half; {at_t}",
            unit="points",
        ),
        Claim(
            f"KD-R05.{data}_against_hard",
            "training accuracy, soft targets at the end minus labels early stopped",
            difference(of("soft", "train"), of("hard", "stopped_train")),
            direction="less",
            setting=at_t,
            unit="points",
        ),
    ]


def _recovered(regained: dict[int, float], lost: dict[int, float]) -> str:
    found = shares(regained, lost)
    ours = f"{100 * t_interval(found)[0]:.0f} % regained" if found else "not run"
    return f"{ours}, {_printed_recovery():.0f} % printed"


def _printed_recovery() -> float:
    soft, hard, full = (float(load_published()[row].value or 0) for row in ("KD-R06", "KD-R04", "KD-R02"))
    return 100 * (soft - hard) / (full - hard)
