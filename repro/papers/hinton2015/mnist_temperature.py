"""Section 3: the best temperature depends on the student's width.

The paper: with 300 or more units in each of two hidden layers all temperatures above 8 gave fairly similar
results; with 30 units, temperatures from 2.5 to 4 worked significantly better than higher or lower ones. It
prints no numbers, and neither the temperatures nor the widths between.

Here: two hidden layers of 30, 100, 300 and 800 units at T from 1 to 40, soft targets alone, beside a student of
the same width trained on labels. The learning rate is tuned per width on held-out cases, at T = 20 (30 units: T = 3
and 20) and for the labels, and used for all temperatures of that width: the factor T^2 is there to make that
fair (end of section 2), and ``mnist_tuning`` shows how far it does.

Departures: schedule, optimiser, batch and initialisation as in ``mnist_students``; fewer epochs (10 to 15), and the
rates of 800 units are those tuned for the longer schedule of ``mnist_students``.

Cost at scale ``paper``: 10 to 60 seconds of one core a run, 260 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import beyond_share, minus, one_per_teacher
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Student
from repro.papers.hinton2015._teachers import teachers, test_errors
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
BEST = (2.5, 4.0)  # temperatures, for 30 units
SIMILAR_FROM = 8.0  # the paper: "above 8", for 300 units and more


class Width(Student):
    """Students of one width, with ``seeds`` runs for every temperature and for labels."""

    seeds: int = Field(ge=1)
    seeds_per_job: int = Field(1, ge=1)


class Config(Options):
    temperatures: tuple[PositiveFloat, ...] = Field(min_length=2)
    widths: tuple[Width, ...] = Field(min_length=1)


def arm_name(units: int, temperature: float | None) -> str:
    return f"units{units}.hard" if temperature is None else f"units{units}.t{temperature:g}"


def arms(config: Config) -> list[Arm]:
    needs = (Need("teacher", experiment="mnist_students"),)
    listed = []
    for width in config.widths:
        units = width.hidden[0]
        listed.append(Arm(arm_name(units, None), width.hard(), width.seeds, seeds_per_job=width.seeds_per_job))
        for temperature in config.temperatures:
            listed.append(
                Arm(
                    arm_name(units, temperature),
                    width.soft(temperature),
                    width.seeds,
                    needs,
                    width.seeds_per_job,
                )
            )
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._nets import run_student

    return run_student(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Test errors against temperature, a panel a width, the student on labels as a band."""
    from repro.plots.style import PRINTED, Mark, axes, band, legend, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    columns = 2 if len(config.widths) > 1 else 1
    rows = -(-len(config.widths) // columns)
    drawn, panels = axes(columns, rows, width_in=8.0, height_in=3.1 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, (width, ax) in enumerate(zip(config.widths, panels, strict=False)):
        units = width.hidden[0]
        points: list[Mark] = []
        for temperature in (None, *config.temperatures):
            values = list(test_errors(results, arm_name(units, temperature)).values())
            if not values:
                continue
            mean, low, high = t_interval(values)
            counts[arm_name(units, temperature)] = len(values)
            row = {"units": units, "temperature": temperature, "mean": mean, "low": low, "high": high}
            data.append(row | {"n": len(values)})
            if temperature is None:
                ax.axhline(mean, ls="--", color=PRINTED, lw=1.5, label="labels")
                if low is not None and high is not None:
                    band(ax, low, high)
            else:
                points.append((temperature, mean, low, high))
        if points:
            with_intervals(ax, points, number, "soft targets")
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, [t for t in config.temperatures if t in (1, 2, 4, 8, 20, 40)])
        ax.set_xlim(0.88 * min(config.temperatures), 1.14 * max(config.temperatures))
        n = sorted({c for name, c in counts.items() if name.startswith(f"units{units}.")})
        if n:
            ax.set_ylim(bottom=max(ax.get_ylim()[0], 0))
        else:
            ax.set_yticks([])
            ax.text(0.5, 0.5, "not run yet", transform=ax.transAxes, ha="center", color=PRINTED)
        ends = str(n[0]) if len(n) == 1 else f"{n[0]} to {n[-1]}" if n else "0"
        ax.set_title(f"2 × {units} units (n = {ends})")
        ax.set_xlabel("temperature T")
        ax.set_ylabel("test errors")
    legend(panels[0])
    for ax in panels[len(config.widths) :]:
        ax.set_visible(False)
    caption = (
        "Test errors of students of two hidden layers against the temperature of the soft targets they learn "
        "from (no labels), and of the same nets on labels (dashed, grey: 95 % interval). Bars: 95 % t-intervals over "
        "seeds, students of one teacher averaged. The paper prints that 30 units do best at T of 2.5 to 4, and 300 or "
        "more alike above 8, without numbers. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    return [answer for width in config.widths for answer in _claims_of(width.hidden[0], results, config)]


def _claims_of(units: int, results: Results, config: Config) -> list[Answer]:
    """Of one width: each temperature against those that the paper calls better, or as good."""

    def mean_errors(temperatures: Sequence[float]) -> dict[int, float]:
        """Over ``temperatures``, by teacher; empty before all have run."""
        found = [test_errors(results, arm_name(units, t)) for t in temperatures]
        common = set.intersection(*(set(f) for f in found)) if found else set()
        return {teacher: sum(f[teacher] for f in found) / len(found) for teacher in sorted(common)}

    setting = f"{units} units per hidden layer"
    answers: list[Answer] = []
    if units <= 30:
        best = [t for t in config.temperatures if BEST[0] <= t <= BEST[1]]
        for t in config.temperatures:
            if best and t not in best:
                answers.append(
                    Claim(
                        f"KD-M06.units{units}_t{t:g}",
                        f"mean test errors at T in {BEST[0]:g}..{BEST[1]:g} minus at T = {t:g}",
                        tuple(minus(mean_errors(best), mean_errors([t])).values()),
                        direction="less",
                        setting=setting,
                        unit="errors",
                    )
                )
    high = [t for t in config.temperatures if t >= SIMILAR_FROM]
    if units >= 300 and len(high) > 1:
        labels = one_per_teacher(results.values(arm_name(units, None), "test_errors"), teachers(results))
        gain = minus(labels, mean_errors(high))
        for t in high:
            excess = minus(mean_errors([t]), mean_errors([other for other in high if other != t]))
            answers.append(
                Claim(
                    f"KD-M05.units{units}_t{t:g}",
                    f"test errors at T = {t:g} minus the mean at other T >= {SIMILAR_FROM:g}, minus a quarter of the "
                    "gain over labels",
                    beyond_share(excess, gain, 0.25),
                    direction="less",
                    setting=f"{setting}; 'fairly similar' read as none worse than the others by that much",
                    unit="errors",
                )
            )
    return answers
