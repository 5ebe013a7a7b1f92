"""How the learning rates of section 3's nets were chosen, on cases held out of training.

The paper prints no rates. Here every net that the other experiments train is tuned over a grid of its own kind:
teacher, students on labels, on soft targets and on both, of every width, each trained on the training set less
10,000 cases and judged on those. The test set is not looked at. The rates in the config are those with the fewest
errors in this experiment's rows, summed over the temperatures tried (a test compares them); the tuning teacher is
the best of its own grid.

Departures: one seed a cell, so that a difference of fewer than about two square roots of the errors is noise; all
arms get the same number of tries instead. Only students on labels were best at the highest rate; for them alone the
grid goes on, to 0.4. Students are keyed apart from their teacher, as in all experiments; the rows on record of those at
rates up to 0.2 are older and share the first rows of their initial weights with the teacher, which has the same seed.
Cost at scale ``paper``: about an hour of one core.
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import TunedNet
from repro.plots.drawing import Drawing
from repro.results import SETTING, Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class StudentGrid(TunedNet):
    """A net, and the rates at which every kind of student is made of it."""

    hard_weight: PositiveFloat
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    temperatures: tuple[PositiveFloat, ...] = Field((20.0,), min_length=1)
    kinds: tuple[Literal["hard", "soft", "soft_hard"], ...] = ("hard", "soft", "soft_hard")


class Config(Options):
    held_out: int = Field(gt=0, description="training cases kept for validation")
    teacher: TunedNet
    teacher_rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    teacher_rate: float = Field(gt=0, description="of the teacher that the students of this experiment learn from")
    students: tuple[StudentGrid, ...]


def teacher_name(rate: float) -> str:
    return f"teacher.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    held_out = {"held_out": config.held_out}
    listed = [
        Arm(teacher_name(rate), config.teacher.settings(learning_rate=rate) | held_out, 1)
        for rate in config.teacher_rates
    ]
    needs = (Need(teacher_name(config.teacher_rate)),)
    for grid in config.students:
        units = f"units{grid.hidden[0]}"
        weights = {"soft": 0.0, "soft_hard": grid.hard_weight}
        for rate in grid.rates:
            if "hard" in grid.kinds:
                listed.append(Arm(f"{units}.hard.rate{rate:g}", grid.from_labels(rate) | held_out, 1))
            for temperature in grid.temperatures:
                for kind, weight in weights.items():
                    if kind in grid.kinds:
                        name = f"{units}.{kind}.t{temperature:g}.rate{rate:g}"
                        settings = grid.from_soft_targets(rate, temperature, weight)
                        listed.append(Arm(name, settings | held_out, 1, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import hold_out, load_once
    from repro.papers.hinton2015 import _nets as nets

    data = load_once(context.data)
    kept, held_out = hold_out(len(data.train), arm.settings["held_out"], seed=0)
    judged_on = {"validation": nets.subset(data.train, held_out)}
    cases = nets.subset(data.train, kept)
    teacher = None
    for folder in context.inputs.values():
        teacher = nets.left_logits(folder)["train"][kept]
    objective = nets.distilling(arm.settings, cases.labels, teacher, torch.device(context.device))
    key = seed if arm.name.startswith("teacher") else nets.student_seed(seed)
    model, points = nets.fit(arm.settings, key, context, cases, judged_on, objective)
    if arm.name.startswith("teacher"):
        nets.leave_logits(context.work, model, data)
    metrics = nets.outcome(points, judged_on)
    return Result(metrics | nets.precision(arm.settings, context), points)


def figure(results: Results) -> Drawing:
    """Validation errors over the learning-rate grid, a panel a net, a line a kind of target."""
    from repro.plots.style import COLOURS, MARKERS, axes, plain_ticks

    rows = results.rows
    widths = sorted({row[f"{SETTING}hidden"] for row in rows}, key=lambda h: int(str(h).split()[0]))
    drawn, panels = axes(3, -(-(len(widths) + 1) // 3), width_in=9.5, height_in=3.3 * -(-(len(widths) + 1) // 3))
    data: list[dict[str, Any]] = []
    for row in rows:
        net, _, kind = str(row["arm"]).split(".rate")[0].partition(".")
        rate, errors = row[f"{SETTING}training.learning_rate"], row["validation_errors"]
        name = words(kind) if kind else net
        hidden = row[f"{SETTING}hidden"]
        data.append({"hidden": hidden, "net": name, "learning_rate": rate, "validation_errors": errors})
    names = sorted({row["net"] for row in data})
    styles: dict[str, dict[str, Any]] = {
        name: {"color": COLOURS[i % 7], "marker": MARKERS[i % 7]} for i, name in enumerate(names)
    }
    for hidden, ax in zip(widths, panels, strict=False):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in data:
            if row["hidden"] == hidden:
                lines.setdefault(row["net"], []).append((row["learning_rate"], row["validation_errors"]))
        for name, points in lines.items():
            x, y = zip(*sorted(points), strict=True)
            ax.plot(x, y, **styles[name])
        best = [min(errors for _, errors in points) for points in lines.values()]
        ax.set_ylim(0.9 * min(best), min(ax.get_ylim()[1], max(2.0 * min(best), 1.15 * max(best))))
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({rate for points in lines.values() for rate, _ in points}))
        ax.set_title(f"hidden {' × '.join(str(hidden).split())}")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("validation errors")
    for ax in panels[len(widths) :]:
        ax.set_axis_off()
    for name in names:
        panels[len(widths)].plot([], [], label=name, **styles[name])
    panels[len(widths)].legend(loc="center", fontsize=10)
    held_out = results.config["held_out"]
    caption = (
        f"Errors on {held_out:,} training cases held out, over the learning rates tried for every net and kind of "
        "target. One seed a point (n = 1). Points above twice the best of a panel are "
        "cut off: there the net did not learn. "
    )
    return Drawing(drawn, data, caption + results.scope)


def words(kind: str) -> str:
    """``soft_hard.t20`` as people say it."""
    target, _, temperature = kind.partition(".t")
    said = {"hard": "labels", "soft": "soft targets", "soft_hard": "soft targets and labels"}[target]
    return f"{said}, T = {temperature}" if temperature else said


def claims(results: Results) -> Sequence[Answer]:
    return []
