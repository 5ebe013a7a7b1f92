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
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Section, Student
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Width(Student):
    """Students of one width, with ``seeds`` runs for every temperature and for labels."""

    seeds: int = Field(ge=1)
    seeds_per_job: int = Field(1, ge=1)


class Config(Section):
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
            values = list(results.values(arm_name(units, temperature), "test_errors").values())
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
        "seeds. The paper prints that 30 units do best at T of 2.5 to 4, and 300 or more alike above 8, without "
        "numbers. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for width in config.widths:
        units = width.hidden[0]
        by_temperature = {t: results.values(arm_name(units, t), "test_errors") for t in config.temperatures}
        seeds = sorted(set.intersection(*(set(found) for found in by_temperature.values())))

        def mean_error(low: float, high: float, seed: int, table: dict = by_temperature) -> float:  # type: ignore[type-arg]
            chosen = [found[seed] for t, found in table.items() if low <= t <= high]
            return sum(chosen) / len(chosen) if chosen else float("nan")

        if units <= 30:
            for name, low, high in (("lower", 0.0, 2.4), ("higher", 8.0, 1e9)):
                answers.append(
                    Claim(
                        f"KD-M06.{name}_units{units}",
                        f"mean test errors at T in 2.5..4 minus at {name} T",
                        tuple(mean_error(2.5, 4.0, s) - mean_error(low, high, s) for s in seeds),
                        direction="less",
                        setting=f"{units} units per hidden layer",
                        unit="errors",
                    )
                )
        if units >= 300:
            answers.append(
                Claim(
                    f"KD-M05.units{units}",
                    "spread over T >= 8 of the mean test errors, as a share of the gain over labels",
                    _spread(results, units, config, seeds),
                    null=0.25,
                    direction="less",
                    setting=f"{units} units per hidden layer; 'fairly similar' read as within a quarter of the gain",
                    unit="ratio",
                )
            )
    return answers


def _spread(results: Results, units: int, config: Config, seeds: list[int]) -> tuple[float, ...]:
    """Per seed: (largest - smallest error over T >= 8) / (errors with labels - mean error over T >= 8)."""
    hard = results.values(arm_name(units, None), "test_errors")
    high = [results.values(arm_name(units, t), "test_errors") for t in config.temperatures if t >= 8]
    found = []
    for seed in seeds:
        if seed in hard and high:
            errors = [values[seed] for values in high]
            gain = hard[seed] - sum(errors) / len(errors)
            if gain > 0:
                found.append((max(errors) - min(errors)) / gain)
    return tuple(found)
