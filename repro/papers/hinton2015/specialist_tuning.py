"""The learning rates of section 5's experiments, chosen on training cases that nothing learns from.

Every kind of specialists has the same grid; so has the generalist's top on all classes, for the passes of the control
``longer`` of ``specialists`` and for those of ``specialist_distilled``, each of its targets apart; ``sweep`` is for
``specialist_sweep``. All are judged by accuracy over all classes on the held-out cases, specialists and the sweep's
heads by that of eq 5 with all of them, those of the first generalist. A rate at which the loss of any specialist ends
in no number has been tried, and is never chosen. The chosen rates stand in the config of the experiments; a test holds
them against these rows.

Whole nets are judged on test cases as well, as everywhere, and nothing is chosen by that.

The rates of the generalist and of a dustbin's head before the rest is trained were not tuned: a generalist costs more
than all of this. Cost at scale ``paper``: up to 6 minutes of one core a run, 52 runs.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import GENERALIST, TARGETS, Distilled, JudgedOnMaps, JudgedSpecialists
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from repro.training.settings import Training

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Options):
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of specialists")
    top_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of the generalist's top")
    specialists: JudgedSpecialists
    longer: JudgedOnMaps
    distilled: Distilled
    sweep_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of specialist_sweep's heads")
    sweep: JudgedOnMaps


def arms(config: Config) -> list[Arm]:
    needs = (replace(GENERALIST, seed=0),)
    listed = []
    for rate in config.rates:
        for kind in get_args(_specialist_arms.Kind):
            settings = config.specialists.settings(kind=kind, learning_rate=rate)
            listed.append(Arm(f"{kind}.rate{rate:g}", settings, 1, needs, device="cpu"))
    for rate in config.top_rates:
        training = config.longer.model_copy(update={"learning_rate": rate}).model_dump(mode="json")
        listed.append(Arm(f"longer.rate{rate:g}", {"training": training}, 1, needs, device="cpu"))
        for targets in TARGETS:
            listed.append(config.distilled.arm(f"{targets}.rate{rate:g}", targets, rate, seeds=1, seed=0))
    for rate in config.sweep_rates:
        heads = config.sweep.model_copy(update={"learning_rate": rate})
        settings = _specialist_arms.on_features(config.specialists.count, config.specialists.size, heads, [1])
        listed.append(Arm(f"sweep.rate{rate:g}", settings, 1, needs, device="cpu"))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    """A rate at which the loss diverges has been tried, and is never the best."""
    from repro.papers.hinton2015._specialist_runs import held_out_alone, on_features
    from repro.papers.hinton2015._specialist_tops import distilled, longer
    from repro.training.loop import DivergedError

    by_setting = {"tops": on_features, "kind": held_out_alone, "targets": distilled}
    judged = next((run for name, run in by_setting.items() if name in arm.settings), longer)
    try:
        return judged(arm, seed, context)
    except DivergedError:
        return Result({"diverged": 1})


def figure(results: Results) -> Drawing:
    """Accuracy on held-out cases over the learning rates tried: specialists alone, together, and whole nets."""
    from repro.papers.hinton2015._figures import SPECIALIST_KINDS, caption_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, plain_ticks

    config = Config.model_validate(results.config)
    whole = {
        "longer": f"generalist's top, {_passes(config.longer)}",
        "sweep": f"{config.specialists.count} heads on its features, eq 5",
    }
    targets = {name: label.replace("\n", " ") for name, label in TARGETS.items()}
    taught = f"generalist's top, {_passes(config.distilled.training)}, by what teaches it"
    shown = (
        (SPECIALIST_KINDS, "conditional", "specialists, special classes"),
        (SPECIALIST_KINDS, "accuracy", "specialists, all classes (eq 5)"),
        (whole, "accuracy", "others, all classes"),
        (targets, "accuracy", taught),
    )
    drawn, panels = axes(2, 2, width_in=11.0, height_in=8.4)
    data: list[dict[str, Any]] = []
    for ax, (labels, metric, title) in zip(panels, shown, strict=True):
        rates = []
        for number, (name, label) in enumerate(labels.items()):
            found = {
                float(rate): float(row[f"validation_{metric}"])
                for row in results.rows
                for trained, rate in [re.split(r"\.rate", str(row["arm"]))]
                if trained == name and row.get(f"validation_{metric}") is not None
            }
            data += [{"trained": name, "learning_rate": rate, metric: value} for rate, value in sorted(found.items())]
            rates += list(found)
            if found:
                points = zip(*sorted(found.items()), strict=True)
                ax.plot(*points, color=COLOURS[number], marker=MARKERS[number], label=label)
                if metric == "accuracy":
                    best = max(found, key=lambda rate: found[rate])
                    ax.plot([best], [found[best]], "o", mfc="none", color=COLOURS[number], ms=14)
        for before in {row.get(f"generalist_validation_{metric}") for row in results.rows}:
            if before is not None:
                ax.axhline(before, ls="--", color=PRINTED, lw=1.2)
        ax.set_xscale("log")
        decades = range(math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates))) + 1) if rates else ()
        plain_ticks(ax.xaxis, [10.0**decade for decade in decades])
        ax.set_title(title)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("right on held-out cases, %")
        ax.margins(y=0.15)
        ax.legend(fontsize=9)
    text = (
        f"Accuracy on training cases held out, over the learning rates tried. Above: {config.specialists.count} "
        "specialists, alone, with answers among their classes, and together by eq 5. Below: the generalist's top "
        "trained on, as a control, and heads on its features; and the same top taught by soft targets, labels beside "
        "them, or by labels alone. Rings: chosen, by accuracy over all classes; a rate without a mark diverged. "
        "Dashed: the generalist. One generalist, one run a point. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def _passes(training: Training) -> str:
    return "1 pass" if training.epochs == 1 else f"{training.epochs} passes"


def claims(results: Results) -> Sequence[Answer]:
    return []
