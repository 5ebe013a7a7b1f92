"""Section 6, Table 5: soft targets let a net learn from 3 % of the data without over-fitting.

The paper: of the same acoustic model, trained on everything, 58.9 % of test frames are right; trained on 3 % of the
labels 44.5 %, and that only by stopping early, before the accuracy falls sharply; trained on the soft targets that
the full net gives to the same 3 %, 57.0 %, without stopping early: it converges.

Here: 3 % of MNIST, of Fashion-MNIST and of CIFAR-100, with a net of one size throughout each data set. Every student
takes the same number of steps, its rate falling to nothing. Hard labels are judged at the end and early stopped, at the
evaluation with the fewest errors on held-out training cases; soft targets (no labels beside them) are judged at
the end, where stopping them early would have stopped is recorded. Controls: labels smoothed towards the uniform
distribution, which regularise without knowing anything of a case, and the net on all training cases, whose soft
targets are learnt. The number of cases is then varied at equal steps. Learning rates of every kind come from one grid,
together with the temperature of soft targets and the smoothing of labels, as many of the one as of the other, by the
errors on held-out cases at the end of training.

What falls must be over-fitting and not a rate that is too high: therefore rates fall to nothing and are chosen by the
end of training, not by its best evaluation. They rise over the first 30 % of a run. That soft targets stay where they
would have been stopped says little where labels stay too: what labels lose after their stop is held against it. A net
whose errors stay may over-fit all the same, more and more certain of what it has wrong: the cross-entropy with the
labels of test cases is held against its value at the evaluation where that of held-out cases is least.

Departures: other data and nets, for the paper's speech is private; neither its schedule nor the temperature of these
runs is printed. Held-out cases do not count among the 3 %. The full nets are trained at one rate each. Other numbers
of cases use the rates, the temperature and the smoothing chosen at 3 %.

Cost at scale ``paper``: 3 to 90 seconds of one core a run, 706 runs, nine in ten of them the grid's; 5 minutes for each
of CIFAR-100's full nets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

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
SWEPT = ("hard", "soft")  # the kinds that also see other numbers of cases
BY_THE_END = "labels, too, learn at the rate best for the end of training; they are stopped early on top of that"
STAYS = -0.5  # per cent of accuracy that soft targets may lose after the epoch at which they would have been stopped
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
    values: Callable[[Config], tuple[float, ...]] = lambda config: (0.0,)


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


def arms(config: Config) -> list[Arm]:
    return [arm for task in config.tasks for arm in _arms_of(task, config)]


def _arms_of(task: Task, config: Config) -> list[Arm]:
    data = task.data
    full_net = task.net.model_copy(update={"training": task.full})
    full = full_net.from_labels(task.full.learning_rate) | {"cases": None, "held_out": task.held_out, "role": "full"}

    listed = [Arm(f"{data}.full", full, task.seeds, data=data)]
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


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._regulariser_runs import RUNS

    return RUNS[arm.settings["role"]](arm, seed, context)


def figure(results: Results) -> Drawing:
    """A row a data set: training and test accuracy and test cross-entropy against epochs, accuracy against cases."""
    from repro.plots.style import axes

    config = Config.model_validate(results.config)
    rows, columns = len(config.tasks), 3 + any(task.sweep for task in config.tasks)
    drawn, panels = axes(columns, rows, width_in=4.0 * columns, height_in=0.8 + 3.0 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, task in enumerate(config.tasks):
        row = panels[columns * number : columns * (number + 1)]
        for panel, ax in zip(PANELS, row, strict=False):
            _over_epochs(ax, task, panel, results, data, counts)
        for ax in row[len(PANELS) :]:
            _over_cases(ax, task, results, data)
    drawn.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    caption = (
        "Training and test accuracy, and cross-entropy with the labels of test cases, of one net on few cases: from "
        "labels, from smoothed labels, and from the soft targets (no labels beside them) of the same net trained on "
        f"all cases; dashed: that net. {_chosen_everywhere(results, config)}Bold: means over seeds, with the 95 % "
        "t-interval at the end; faint: each seed; circles: where labels would have been stopped early, by the errors "
        "on held-out cases, in the third column by their cross-entropy."
    )
    if columns > len(PANELS):
        caption += (
            " Right: accuracy on test cases over the number of cases at equal steps, labels early stopped, soft "
            "targets not, as chosen for the number of cases on the left."
        )
    caption += (
        f" {number_of(counts.values())} seeds.{_gain_of_stopping(results, config)} The "
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
    return f" Stopped early, labels gain {told} points of accuracy: so much, and no more, do they over-fit by errors."


@dataclass(frozen=True)
class Panel:
    """What is drawn against epochs: a metric of a split, as ``unit`` says, and what early stopping goes by."""

    title: str
    split: str
    metric: str
    unit: str
    column: str  # in the figure's table


PANELS = (
    Panel("training", "train", "errors", "accuracy, %", "accuracy_percent"),
    Panel("test", "test", "errors", "accuracy, %", "accuracy_percent"),
    Panel("test", "test", "cross_entropy", "cross-entropy, nats", "cross_entropy_nats"),
)


def _over_epochs(
    ax: "Axes", task: Task, panel: Panel, results: Results, data: list[dict[str, Any]], counts: dict[str, int]
) -> None:
    """Mean over seeds against epochs, one line a kind of target."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import COLOURS, PRINTED, with_intervals

    own = []
    for number, (name, kind) in enumerate(KINDS.items()):
        by_seed = curves(results, arm_name(task, name), panel.split, panel.metric)
        if not by_seed:
            continue
        epochs = sorted({epoch for curve in by_seed.values() for epoch in curve})
        at = {epoch: [curve[epoch] for curve in by_seed.values() if epoch in curve] for epoch in epochs}
        drawn = marks(at)
        counts[name] = max(map(len, at.values()))
        ax.plot(epochs, [mean for _, mean, _, _ in drawn], color=COLOURS[number], label=kind.label)
        for curve in by_seed.values():
            ax.plot(*zip(*sorted(curve.items()), strict=True), color=COLOURS[number], lw=0.8, alpha=0.4)
        with_intervals(ax, drawn[-1:], number)
        for epoch, mean, low, high in drawn:
            row = {"data": task.data, "panel": panel.split, "targets": name, "epoch": epoch, panel.column: mean}
            data.append(row | {"low": low, "high": high, "n": len(at[epoch])})
        own += [mean for _, mean, _, _ in drawn]
        if name == "hard":
            stops = stopping_epochs(results, arm_name(task, name), panel.metric)
            where = [(epoch, by_seed[seed][epoch]) for seed, epoch in stops.items()]
            ax.plot(*zip(*where, strict=True), "o", mfc="none", color=COLOURS[number], ms=8)
    if panel.metric == "errors":
        if full := list(percent_right(results, f"{task.data}.full", panel.split).values()):
            ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5, label="labels of all cases")
        _above_the_start(ax, own)
    else:
        ax.set_ylim(0, 1.15 * sorted(own)[9 * len(own) // 10] if own else None)
    ax.set_title(f"{words(task)}: {panel.title}")
    ax.set_ylabel(panel.unit)
    ax.set_xlabel("epochs")


def _over_cases(ax: "Axes", task: Task, results: Results, data: list[dict[str, Any]]) -> None:
    """Test accuracy against the number of cases."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import PRINTED, plain_ticks, with_intervals

    if not task.sweep:
        ax.set_visible(False)
        return
    for number, (name, kind) in enumerate(KINDS.items()):
        which = "stopped_test" if name == "hard" else "test"
        found: dict[float, list[float]] = {
            cases: list(percent_right(results, arm_name(task, name, cases), which).values())
            for cases in sorted({task.cases, *task.sweep})
        }
        drawn = marks(found) if name in SWEPT else []
        for cases, mean, low, high in drawn:
            row = {"data": task.data, "panel": "cases", "targets": name, "cases": cases, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(found[cases])})
        if drawn:
            with_intervals(ax, drawn, number, kind.label)
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
    at_t = f"{_soft_targets(task, results)}; {setting}"

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
    rises = {kind: rise_after_stopping(results, arm_name(task, kind)) for kind in ("hard", "soft")}
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
            f"KD-R04.{data}_rises",
            "test cross-entropy on labels, at the end minus where that of held-out cases is least",
            tuple(rises["hard"].values()),
            setting=f"{setting}; beyond the paper",
            unit="nats",
        ),
        Claim(
            f"KD-R06.{data}_rises_less",
            "test cross-entropy at the end minus where that of held-out cases is least, soft targets minus labels",
            difference(rises["soft"], rises["hard"]),
            direction="less",
            setting=f"{at_t}; beyond the paper",
            unit="nats",
        ),
        Claim(
            f"KD-R06.{data}_against_hard",
            "test accuracy, soft targets at the end minus labels early stopped",
            difference(soft, hard),
            setting=at_t,
            unit="points",
            departures=BY_THE_END,
        ),
        Claim(
            f"KD-R06.{data}_against_smoothed",
            "test accuracy, soft targets at the end minus smoothed labels early stopped",
            difference(soft, of("smoothed", "stopped_test")),
            setting=at_t,
            unit="points",
            departures=BY_THE_END,
        ),
        Claim(
            f"KD-R06.{data}_recovered",
            "accuracy that soft targets regain of what labels, early stopped, lose against all cases, minus half of it",
            beyond_share(regained, lost, 0.5),
            setting=f"{_recovered(regained, lost)}; 'almost all' read as more than half; {at_t}",
            unit="points",
            departures=BY_THE_END,
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


def chosen(task: Task, kind: str, results: Results) -> float | None:
    """The value that was chosen together with the rate of a kind of students; None before they have run."""
    (setting,) = KINDS[kind].chosen
    return next((row[setting] for row in results.rows if row["arm"] == arm_name(task, kind)), None)


def _soft_targets(task: Task, results: Results) -> str:
    temperature = chosen(task, "soft", results)
    return "soft targets" if temperature is None else f"soft targets at T = {temperature:g}"


def _chosen_everywhere(results: Results, config: Config) -> str:
    """A sentence on the temperatures and smoothings that were taken, by data set."""
    told = [
        f"{task.data} T = {temperature:g}{_at_an_end(temperature, config.temperatures)} and "
        f"{smoothing:g}{_at_an_end(smoothing, config.smoothings)}"
        for task in config.tasks
        if (temperature := chosen(task, "soft", results)) is not None
        and (smoothing := chosen(task, "smoothed", results)) is not None
    ]
    how = ", chosen on held-out cases" if max(len(config.temperatures), len(config.smoothings)) > 1 else ""
    return f"Temperature of soft targets and smoothing of labels{how}: {'; '.join(told)}. " if told else ""


def _recovered(regained: dict[int, float], lost: dict[int, float]) -> str:
    found = shares(regained, lost)
    ours = f"{100 * t_interval(found)[0]:.0f} % regained" if found else "not run"
    return f"{ours}, {_printed_recovery():.0f} % printed"


def _printed_recovery() -> float:
    soft, hard, full = (float(load_published()[row].value or 0) for row in ("KD-R06", "KD-R04", "KD-R02"))
    return 100 * (soft - hard) / (full - hard)


def _at_an_end(value: float, tried: Sequence[float]) -> str:
    """What a caption adds to a value that might have been exceeded, had more been tried."""
    ends = {min(tried): " (the least tried)", max(tried): " (the largest tried)"}
    return ends.get(value, "") if len(tried) > 1 else ""
