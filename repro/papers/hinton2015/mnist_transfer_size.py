"""Section 3's premise, measured: what one soft target teaches, from 100 to 60,000 transfer cases.

The paper argues that a soft target carries much more information per case than a label, so that the student can
be trained on much less data; on MNIST it prints no curve. Here students see 100 to 60,000 cases, either with the
teacher's soft targets (made by a teacher that saw all 60,000) or with labels; classes are balanced and smaller
sets are contained in larger ones. Every student takes the same number of steps at least, whatever the size.

Departures: none of this is printed; T and rates as in ``mnist_students``.
Cost at scale ``paper``: 15 to 60 seconds of one core a run.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim
from repro.contrasts import minus, one_per_teacher
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Student
from repro.papers.hinton2015._teachers import teachers
from repro.plots.drawing import Drawing, number_of
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
KINDS = ("hard", "soft")
CHANCE_PERCENT = 80.0  # test error above which a student of ten classes has learned nothing


class Config(Options):
    seeds: int = Field(3, ge=1)
    temperature: float = Field(20.0, gt=0)
    sizes: tuple[PositiveInt, ...] = Field(min_length=2, description="transfer cases")
    least_steps: int = Field(gt=0, description="small sets are repeated until so many steps are done")
    student: Student


def arms(config: Config) -> list[Arm]:
    batch_size = config.student.training.batch_size
    listed = []
    for size in config.sizes:
        batches = -(-size // batch_size)
        epochs = max(config.student.training.epochs, -(-config.least_steps // batches))
        needs = (Need("teacher", experiment="mnist_students"),)
        hard = config.student.hard(epochs=epochs) | {"size": size}
        soft = config.student.soft(config.temperature, epochs=epochs) | {"size": size}
        listed.append(Arm(f"hard.n{size}", hard, config.seeds))
        listed.append(Arm(f"soft.n{size}", soft, config.seeds, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.data.sets import load_once
    from repro.distill.transfer import balanced_subset
    from repro.papers.hinton2015 import _nets as nets

    data = load_once(context.data)
    index = balanced_subset(data.train.labels, arm.settings["size"], seed)
    _, points = nets.fit_student(arm.settings, seed, context, index)
    metrics = nets.outcome(points, {"test": data.test})
    return Result(metrics | nets.precision(arm.settings, context), points)


def figure(results: Results) -> Drawing:
    """Test error against the number of transfer cases, soft and hard."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import COLOURS, axes, legend, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes()
    names = {"hard": "labels", "soft": f"soft targets, T = {config.temperature:g}"}
    cases = results.rows[0]["test_cases"]
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    dead: list[str] = []
    for number, kind in enumerate(KINDS):
        percent: dict[float, list[float]] = {
            size: [100 * v / cases for v in results.values(f"{kind}.n{size}", "test_errors").values()]
            for size in config.sizes
        }
        points = marks(percent)
        for size, mean, low, high in points:
            counts[f"{kind}{size}"] = n = len(percent[size])
            row = {"targets": kind, "cases": size, "error_percent": mean, "low": low, "high": high}
            data.append(row | {"n": n})
        if points:
            with_intervals(ax, points, number, names[kind])
        each = [(size, value) for size, values in percent.items() for value in values]
        ax.scatter([size for size, _ in each], [value for _, value in each], s=16, color=COLOURS[number], alpha=0.4)
        dead += [f"{names[kind].split(',')[0]}, {size:,} cases" for size, value in each if value > CHANCE_PERCENT]
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_ticks(ax.xaxis, config.sizes)
    plain_ticks(ax.yaxis, (0.5, 1, 2, 5, 10, 20, 50, 100))
    ax.set_ylim(0.7 * min(row["error_percent"] for row in data), 110)
    ax.set_xlabel("transfer cases")
    ax.set_ylabel("test error, %")
    legend(ax)
    caption = (
        "Test error of the student against the number of cases it learns from, with labels or with the soft targets of "
        "a teacher that saw all training cases. Balanced, nested subsets; small ones are repeated for at least "
        f"{config.least_steps:,} steps. 95 % t-intervals over seeds ({number_of(counts.values())}). The paper prints "
        f"no such curve. Faint: each seed; an interval may reach beyond the axis.{_told_of(dead)} "
    )
    return Drawing(drawn, data, caption + results.scope)


def _told_of(dead: Sequence[str]) -> str:
    if not dead:
        return ""
    return f" Ended at chance, at the rate tuned for students of all cases, and counted: {'; '.join(dead)}."


def claims(results: Results) -> Sequence[Answer]:
    sizes = Config.model_validate(results.config).sizes
    errors = {name: results.values(name, "test_errors") for n in sizes for name in (f"soft.n{n}", f"hard.n{n}")}
    return [
        Claim(
            f"KD-M03.transfer_n{size}",
            "test errors, soft minus hard student of the same transfer set and seed",
            tuple(one_per_teacher(minus(errors[f"soft.n{size}"], errors[f"hard.n{size}"]), teachers(results)).values()),
            direction="less",
            setting=f"{size} transfer cases",
            unit="errors",
        )
        for size in sizes
    ]
