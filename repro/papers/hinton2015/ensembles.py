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

Cost at scale ``paper``: 2 to 5 seconds of one core a run, 580 runs.
"""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, NotRun, Value, t_interval
from repro.contrasts import beyond_share, minus, one_per_teacher, shares
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


def figure(results: Results) -> Drawing:
    """Test error of single nets, of their means, and of nets distilled from them at each temperature."""
    from repro.plots.style import COLOURS, MARKERS, axes

    config = Config.model_validate(results.config)
    one_colour, ensemble_colour, student_colour, control_colour = COLOURS[:4]
    drawn, panels = axes(len(config.tasks), width_in=5.4 * len(config.tasks), height_in=4.6)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    told_shares = []
    beyond = False
    for task, ax in zip(config.tasks, panels, strict=True):
        name = task.data
        ensemble = f"{name}.ensemble"
        lines: list[tuple[str, dict[int, float], str, str]] = [
            ("single", percent_right(results, ensemble, "members_test_errors"), one_colour, MARKERS[0]),
            ("mean of p", percent_right(results, ensemble), ensemble_colour, MARKERS[1]),
            ("mean of log p", percent_right(results, ensemble, "geometric_test_errors"), ensemble_colour, MARKERS[1]),
        ]
        for temperature in config.temperatures:
            for source, colour, marker in (
                ("ensemble", student_colour, MARKERS[2]), ("one", control_colour, MARKERS[3]),
            ):  # fmt: skip
                found = percent_right(results, student_name(task, source, temperature))
                is_chosen = temperature == chosen_temperature(results, task, source, config)
                lines.append((f"T = {temperature:g}{' *' if is_chosen else ''}", found, colour, marker))
        ticks: list[str] = []
        marks: list[tuple[float, float, float, float]] = []
        for label, found, colour, marker in lines:
            bare = label.removesuffix(" *")
            if not ticks or ticks[-1].removesuffix(" *") != bare:
                ticks.append(bare)
            if not found:
                continue
            is_control = colour == control_colour
            x = len(ticks) - 1 + (0.28 if is_control else 0.0)
            mean, low, high = t_interval([100 - right for right in found.values()])
            counts[f"{name} {label}"] = len(found)
            ends = None if low is None or high is None else [[mean - low], [high - mean]]
            marks.append((x, mean, mean if low is None else low, mean if high is None else high))
            ax.errorbar([x], [mean], yerr=ends, fmt=marker, color=colour, ms=8, capsize=4,
                        mfc=colour if label.endswith("*") or not label.startswith("T") else "white")  # fmt: skip
            row = {
                "data": name,
                "net": bare,
                "learns_from": "one" if is_control else "ensemble",
                "chosen": label != bare,
            }
            data.append(row | {"test_error_percent": mean, "low": low, "high": high, "n": len(found)})
        ax.set_xticks(range(len(ticks)), ticks, rotation=35, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.5, len(ticks) - 0.3)
        beyond = _end_above_the_usual(ax, marks) or beyond
        ax.grid(axis="x", visible=False)
        ax.set_title(words(task))
        kept = shares_kept(results, task, "ensemble", config)
        if kept:
            mean, low, high = t_interval(kept)
            ends_told = "" if low is None else f" ({low:.0f} to {high:.0f})"
            told_shares.append(f"{mean:.0f} %{ends_told} on {words(task)}")
    panels[0].set_ylabel("test error, %")
    handles = [
        panels[0].errorbar([], [], fmt=marker, color=colour, ms=8, label=label)
        for label, colour, marker in (
            ("single net", one_colour, MARKERS[0]),
            (f"ensemble of {config.members}", ensemble_colour, MARKERS[1]),
            ("student of the ensemble", student_colour, MARKERS[2]),
            ("student of one net", control_colour, MARKERS[3]),
        )
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=4 if len(panels) > 1 else 2)
    told = "An arrow gives a mean beyond the axis: there a student learned nothing. " if beyond else ""
    caption = (
        f"Test error of single nets (mean of {config.members}), of ensembles that differ in initial weights alone, "
        "with the arithmetic (mean of p) and geometric (mean of log p) mean of their predictions, and of nets of the "
        "same size that learn from the soft targets of the ensemble, or of one net of it, at temperature T. Filled: "
        "the temperature with the fewest errors on held-out cases. "
        f"{told}95 % t-intervals over ensembles ({number_of(counts.values())}). Share of the ensemble's gain that its "
        f"student keeps: {'; '.join(told_shares)}; "
        f"printed for speech: {printed_share('KD-S10', 'KD-S08', 'KD-S06'):.0f} %. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _end_above_the_usual(ax: "Axes", marks: Sequence[tuple[float, float, float, float]]) -> bool:
    """Ends the axis above marks (x, mean, low, high) near their median; means far above it are told in numbers.

    True if there were any.
    """
    if not marks:
        return False
    limit = FAR * median([mean for _, mean, _, _ in marks])
    usual = [(low, high) for _, mean, low, high in marks if mean <= limit]
    least, most = min(low for low, _ in usual), max(high for _, high in usual)
    if len(usual) == len(marks):
        return False
    room = 0.1 * (most - least)
    ax.set_ylim(least - room, most + 2 * room)
    for x, mean, _, _ in marks:
        if mean > limit:
            ax.annotate(
                f"↑ {mean:.1f}", (x, most + room), ha="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 1}
            )
    return True


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
    printed = load_published()
    for task in config.tasks:
        answers += _claims_of(task, results, config, (printed["KD-S15"].low or 0.0))
    return answers


def _claims_of(task: Task, results: Results, config: Config, least_share: float) -> list[Answer]:
    data, setting = task.data, words(task)
    single = percent_right(results, f"{data}.ensemble", "members_test_errors")
    means = {
        "arithmetic": percent_right(results, f"{data}.ensemble"),
        "geometric": percent_right(results, f"{data}.ensemble", "geometric_test_errors"),
    }
    chosen = {teacher: chosen_temperature(results, task, teacher, config) for teacher in TEACHERS}
    students = {
        teacher: percent_right(results, student_name(task, teacher, t)) if t is not None else {}
        for teacher, t in chosen.items()
    }
    best = chosen["ensemble"]
    at_best = f"{setting}; T = {best:g} by held-out cases" if best is not None else setting

    def ours(values: dict[int, float]) -> tuple[float, ...]:
        return tuple(values[e] for e in sorted(values))

    quantity = "test accuracy"
    return [
        Value(f"KD-S06.{data}", ours(single), f"single net, mean of {config.members}; {setting}", quantity=quantity),
        *(
            Value(
                f"KD-S08.{data}_{name}", ours(found), f"{name} mean of {config.members}; {setting}", quantity=quantity
            )
            for name, found in means.items()
        ),
        Value(f"KD-S10.{data}", ours(students["ensemble"]), f"distilled net; {at_best}", quantity=quantity),
        Value(f"KD-S13.{data}", () if best is None else (best,), f"fewest errors on held-out cases; {setting}"),
        Claim(
            f"KD-S08.{data}_gain",
            "test accuracy, ensemble (arithmetic mean) minus the mean of its members",
            ours(minus(means["arithmetic"], single)),
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
            f"test accuracy that the distilled net gains, minus {least_share:g} % of what the ensemble gains",
            beyond_share(minus(students["ensemble"], single), minus(means["arithmetic"], single), least_share / 100),
            setting=at_best,
            unit="points",
        ),
        Claim(
            f"KD-S10.{data}_against_single",
            "test accuracy, distilled net minus the mean of the ensemble's members",
            ours(minus(students["ensemble"], single)),
            setting=at_best,
            unit="points",
        ),
        Claim(
            f"KD-S10.{data}_against_one",
            "test accuracy, net distilled from the ensemble minus net distilled from one member",
            ours(minus(students["ensemble"], students["one"])),
            setting=setting,
            unit="points",
        ),
    ]
