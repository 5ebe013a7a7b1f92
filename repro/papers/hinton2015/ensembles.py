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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, NotRun, Value, t_interval
from repro.contrasts import BySeed, beyond_share, minus, one_per_teacher, shares
from repro.experiment import BY_ARM, Arm, Context, Need, Result
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._arms import TunedNet
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "speech"
TEACHERS = ("ensemble", "one")
FAR = 1.3  # a mean error so many times the median is one that a student which learned nothing has lifted


class Task(Options):
    """One data set, its nets, and how many of each."""

    data: str
    cases: PositiveInt | None = Field(None, description="training cases, with their labels, that are seen; None: all")
    held_out: PositiveInt = Field(description="training cases kept for validation")
    net: TunedNet
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="learning rates tried for every kind of net")
    tuning_seeds: int = Field(1, ge=1, description="of every rate tried")
    ensembles: int = Field(3, ge=1)
    students: int = Field(1, ge=1, description="of each ensemble, at each temperature")


class Config(Options):
    members: int = Field(10, ge=2)
    mean: Literal["arithmetic", "geometric"] = "arithmetic"
    temperatures: tuple[PositiveFloat, ...] = Field((1.0, 2.0, 5.0, 10.0), min_length=1)
    hard_weight: float = Field(0.5, ge=0, description="of the labels' cross-entropy beside the soft one")
    tasks: tuple[Task, ...] = Field(min_length=1)


def student_name(task: Task, teacher: str, temperature: float) -> str:
    return f"{task.data}.from_{teacher}.t{temperature:g}"


def arms(config: Config) -> list[Arm]:
    return [arm for task in config.tasks for arm in _arms_of(task, config)]


def _arms_of(task: Task, config: Config) -> list[Arm]:
    data, count = task.data, task.ensembles
    common = {"cases": task.cases, "held_out": task.held_out, "ensembles": count}

    def net(rate: float) -> dict[str, object]:
        return task.net.from_labels(rate) | common | {"role": "net_grid"}

    rates = tuned.grid(f"{data}.net", task.rates, net, seeds=task.tuning_seeds, data=data)
    listed = list(rates)
    members = []
    for number in range(config.members):
        settings = tuned.without_rate(net(task.rates[0])) | {"role": "net", "member": number + 1}
        members.append(Arm(f"{data}.net{number + 1}", settings, count, tuned.wanted(rates), count, data))
    listed += members
    taught_by = {"ensemble": members, "one": members[:1]}
    for teacher in TEACHERS:
        needs = tuple(Need(member.name) for member in taught_by[teacher])
        listed.append(Arm(f"{data}.{teacher}", common | {"role": "teacher"}, count, needs, count, data))
    for temperature in config.temperatures:

        def student(rate: float, temperature: float = temperature) -> dict[str, object]:
            settings = task.net.from_soft_targets(rate, temperature, config.hard_weight)
            return settings | common | {"role": "student_grid", "mean": config.mean}

        settings = tuned.without_rate(student(task.rates[0])) | {"role": "student"}
        for source in TEACHERS:
            name, needs = student_name(task, source, temperature), (Need(f"{data}.{source}"),)
            rates = tuned.grid(name, task.rates, student, seeds=task.tuning_seeds, data=data, needs=needs)
            needs = (*needs, *tuned.wanted(rates))
            listed += [*rates, Arm(name, settings, count * task.students, needs, count * task.students, data)]
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._ensemble_runs import RUNS

    return RUNS[arm.settings["role"]](arm, seed, context)


@dataclass(frozen=True)
class Accuracies:
    """Test accuracy in percent by ensemble: the mean of its members, its two means, and its students and those of one
    member, each at the temperature ``chosen`` for them."""

    single: BySeed
    means: Mapping[str, BySeed]
    chosen: Mapping[str, float | None]
    students: Mapping[str, BySeed]


@dataclass(frozen=True)
class _Mark:
    """Differences of test accuracy in points, one an ensemble, and where the figure shows them."""

    column: float
    tick: str
    of: str
    points: Sequence[float]
    filled: bool = True
    beside: float = 0.0


STYLES = {"mean": 1, "ensemble": 2, "one": 3, "less": 0}  # numbers of colours and markers
LESS_FROM = 0.65  # columns from the last temperature to the line before what is less than a gain over single nets


def figure(results: Results) -> Drawing:
    """What claims judge: differences of test accuracy between nets of the same ensemble, a panel a task."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    config = Config.model_validate(results.config)
    drawn, panels = axes(len(config.tasks), width_in=5.8 * len(config.tasks), height_in=5.2)
    printed = printed_share("KD-S10", "KD-S08", "KD-S06")
    data: list[dict[str, Any]] = []
    counts: list[int] = []
    told_shares = []
    beyond = False
    for task, ax in zip(config.tasks, panels, strict=True):
        found = accuracies(results, task, config)
        marks = _marks(results, task, config, found)
        rows = _draw(ax, marks)
        counts += [row["n"] for row in rows]
        data += [{"data": task.data} | {name: row[name] for name in row if name != "x"} for row in rows]
        title = words(task)
        if found.single:
            error = 100 - fmean(found.single.values())
            title += f"\nsingle nets: {error:.2f} % test error"
            data.append({"data": task.data, "net": "single", "test_error_percent": error, "n": len(found.single)})
            beyond = _end_below_the_usual(ax, rows, error) or beyond
        ax.set_title(title)
        if gain := minus(found.means["arithmetic"], found.single):
            students = [mark.column for mark in marks if mark.of in TEACHERS]
            share = printed / 100 * fmean(gain.values())
            ax.plot([min(students) - 0.4, max(students) + 0.4], [share, share], "--", color=PRINTED, lw=1.5)
            data.append({"data": task.data, "net": "printed share of the ensemble's gain", "points": share})
        kept = shares_kept(results, task, "ensemble", config)
        if kept:
            mean, low, high = t_interval(kept)
            ends_told = "" if low is None else f" ({low:.0f} to {high:.0f})"
            told_shares.append(f"{mean:.0f} %{ends_told} on {words(task)}")
    panels[0].set_ylabel("difference of test accuracy,\npercentage points")
    names = {
        "mean": f"ensemble of {config.members}",
        "ensemble": "student of the ensemble",
        "one": "student of one net",
        "less": "student of the ensemble, less …",
    }
    handles = [
        panels[0].errorbar([], [], fmt=MARKERS[STYLES[of]], color=COLOURS[STYLES[of]], ms=8, label=label)
        for of, label in names.items()
    ]
    (line,) = panels[0].plot([], [], "--", color=PRINTED, lw=1.5, label=f"printed share of the gain, {printed:.0f} %")
    drawn.legend(handles=[*handles, line], loc="outside lower center", ncols=3 if len(panels) > 1 else 2)
    values = {row: load_published()[row].value for row in ("KD-S06", "KD-S08", "KD-S10")}
    kept_told = "; ".join(told_shares) or "none on record"
    told = "An arrow gives a mean beyond the axis: there a student learned nothing. " if beyond else ""
    caption = (
        f"Test accuracy less that of single nets, the {config.members} members of the same ensemble: of ensembles that "
        "differ in initial weights alone, with the arithmetic (mean of p) and geometric (mean of log p) mean of their "
        "predictions, and of nets of the same size that learn from the soft targets of the ensemble, or of one net of "
        "it, at temperature T. Filled: the temperature with the fewest errors on held-out cases. Right of the line: "
        "the accuracy of the filled student of the ensemble less that of the filled student of one net; and its gain "
        f"over single nets less {_least_share():g} % of the ensemble's, of which more is claimed to be kept. "
        f"{told}95 % t-intervals over differences within ensembles ({number_of(counts)}), an ensemble's students "
        f"averaged. Share of the ensemble's gain that its student keeps: {kept_told}; printed for speech: "
        f"{printed:.0f} % ({values['KD-S06']} % of frames right by a single net, {values['KD-S08']} % by the ensemble, "
        f"{values['KD-S10']} % by its student), of our ensembles' gain the dashed line. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _marks(results: Results, task: Task, config: Config, found: Accuracies) -> list[_Mark]:
    """Gains over single nets by temperature, and the two differences of them that are claimed beside."""
    marks = [
        _Mark(0, "mean of p", "mean", _in_order(minus(found.means["arithmetic"], found.single))),
        _Mark(1, "mean of log p", "mean", _in_order(minus(found.means["geometric"], found.single))),
    ]
    for column, t in enumerate(config.temperatures, start=2):
        for beside, source in zip((-0.15, 0.15), TEACHERS, strict=True):
            gain = minus(percent_right(results, student_name(task, source, t)), found.single)
            marks.append(_Mark(column, f"T = {t:g}", source, _in_order(gain), t == found.chosen[source], beside))
    after = marks[-1].column + 2 * LESS_FROM
    return [
        *marks,
        _Mark(after, "… student of one net", "less", against_one(found)),
        _Mark(after + 1, f"… {_least_share():g} % of the gain", "less", beyond_least(found)),
    ]


def _draw(ax: "Axes", marks: Sequence[_Mark]) -> list[dict[str, Any]]:
    """Marks with intervals, and their ticks; returns the rows drawn."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED

    rows: list[dict[str, Any]] = []
    for mark in marks:
        if not mark.points:
            continue
        mean, low, high = t_interval(mark.points)
        colour, x = COLOURS[STYLES[mark.of]], mark.column + mark.beside
        ends = None if low is None or high is None else [[mean - low], [high - mean]]
        marker, face = MARKERS[STYLES[mark.of]], colour if mark.filled else "white"
        ax.errorbar([x], [mean], yerr=ends, fmt=marker, color=colour, mfc=face, ms=8, capsize=4)
        row = {"net": mark.tick, "of": mark.of, "x": x, "chosen": mark.filled if mark.of in TEACHERS else None}
        rows.append(row | {"points": mean, "low": low, "high": high, "n": len(mark.points)})
    ticks = {mark.column: mark.tick for mark in marks}
    ax.set_xticks(list(ticks), list(ticks.values()), rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, max(ticks) + 0.5)
    ax.grid(axis="x", visible=False)
    ax.axhline(0, color=PRINTED, lw=1)
    ax.axvline(max(mark.column for mark in marks if mark.of in TEACHERS) + LESS_FROM, color=PRINTED, lw=0.8)
    return rows


def _end_below_the_usual(ax: "Axes", rows: Sequence[Mapping[str, Any]], single_error: float) -> bool:
    """Ends the axis below the rows whose nets err about as often as most; means far below are told in numbers.

    True if there were any.
    """
    gains = [row for row in rows if row["of"] != "less"]
    if not gains:
        return False
    limit = FAR * median(single_error - row["points"] for row in gains)
    far = [row for row in gains if single_error - row["points"] > limit]
    if not far:
        return False
    ends = [row[end] for row in rows if row not in far for end in ("points", "low", "high") if row[end] is not None]
    least, most = min(0.0, *ends), max(0.0, *ends)
    room = 0.1 * (most - least)
    ax.set_ylim(least - 2 * room, most + room)
    for row in far:
        told, place = f"↓ {row['points']:.1f}".replace("-", "−"), (row["x"], least - 1.5 * room)
        ax.annotate(told, place, ha="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 1})
    return True


def accuracies(results: Results, task: Task, config: Config) -> Accuracies:
    ensemble = f"{task.data}.ensemble"
    chosen = {teacher: chosen_temperature(results, task, teacher, config) for teacher in TEACHERS}
    return Accuracies(
        single=percent_right(results, ensemble, "members_test_errors"),
        means={
            "arithmetic": percent_right(results, ensemble),
            "geometric": percent_right(results, ensemble, "geometric_test_errors"),
        },
        chosen=chosen,
        students={
            teacher: percent_right(results, student_name(task, teacher, t)) if t is not None else {}
            for teacher, t in chosen.items()
        },
    )


def against_one(found: Accuracies) -> tuple[float, ...]:
    """Accuracy of the student of the ensemble minus that of the student of one member, one number an ensemble."""
    return _in_order(minus(found.students["ensemble"], found.students["one"]))


def beyond_least(found: Accuracies) -> tuple[float, ...]:
    """What the student gains minus the share of the ensemble's gain that the paper says is exceeded."""
    gained, whole = minus(found.students["ensemble"], found.single), minus(found.means["arithmetic"], found.single)
    return beyond_share(gained, whole, _least_share() / 100)


def _in_order(values: BySeed) -> tuple[float, ...]:
    return tuple(values[seed] for seed in sorted(values))


def _least_share() -> float:
    """Of the ensemble's gain, in percent."""
    return load_published()["KD-S15"].low or 0.0


def percent_right(results: Results, arm: str, metric: str = "test_errors") -> dict[int, float]:
    """Test accuracy in percent by ensemble, the mean over its students where there are several."""
    rows = [row for row in results.rows if row["arm"] == arm and row.get(metric) is not None]
    right = {row["seed"]: 100.0 * (1 - row[metric] / row["test_cases"]) for row in rows}
    return one_per_teacher(right, rows[0]["settings.ensembles"]) if rows else {}


def chosen_temperature(results: Results, task: Task, teacher: str, config: Config) -> float | None:
    """The temperature at which the students err least on the held-out cases, over all seeds; None before any ran."""
    mean_errors = {}
    for temperature in config.temperatures:
        errors = results.values(student_name(task, teacher, temperature), "validation_errors").values()
        if errors:
            mean_errors[temperature] = sum(errors) / len(errors)
    return min(mean_errors, key=lambda t: (mean_errors[t], t)) if mean_errors else None


def shares_kept(results: Results, task: Task, teacher: str, config: Config) -> tuple[float, ...]:
    """Share of the ensembles' gain, in percent, that the students at the chosen temperature keep; one an ensemble."""
    temperature = chosen_temperature(results, task, teacher, config)
    if temperature is None:
        return ()
    ensemble = percent_right(results, f"{task.data}.ensemble")
    single = percent_right(results, f"{task.data}.ensemble", "members_test_errors")
    student = percent_right(results, student_name(task, teacher, temperature))
    return tuple(100 * share for share in shares(minus(student, single), minus(ensemble, single)))


def words(task: Task) -> str:
    """A task for readers: its data, and how many of them where that is not all."""
    return task.data if task.cases is None else f"{task.cases:,} cases of {task.data}"


def printed_share(gained: str, of: str, against: str) -> float:
    """(gained - against) / (of - against) of three printed rows, in percent."""
    a, b, c = (float(load_published()[row].value or 0) for row in (gained, of, against))
    return 100 * (a - c) / (b - c)


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
    single, student, least = found.single, found.students["ensemble"], _least_share()
    best = found.chosen["ensemble"]
    at_best = f"{setting}; T = {best:g} by held-out cases" if best is not None else setting

    quantity = "test accuracy"
    return [
        Value(
            f"KD-S06.{data}", _in_order(single), f"single net, mean of {config.members}; {setting}", quantity=quantity
        ),
        *(
            Value(
                f"KD-S08.{data}_{name}",
                _in_order(right),
                f"{name} mean of {config.members}; {setting}",
                quantity=quantity,
            )
            for name, right in found.means.items()
        ),
        Value(f"KD-S10.{data}", _in_order(student), f"distilled net; {at_best}", quantity=quantity),
        Value(f"KD-S13.{data}", () if best is None else (best,), f"fewest errors on held-out cases; {setting}"),
        Claim(
            f"KD-S08.{data}_gain",
            "test accuracy, ensemble (arithmetic mean) minus the mean of its members",
            _in_order(minus(found.means["arithmetic"], single)),
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
            _in_order(minus(student, single)),
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
