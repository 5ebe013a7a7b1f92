"""The learning rates of section 5's experiments, chosen on training cases that nothing learns from.

Every kind of specialists has the same grid; so has the generalist's top on all classes, for the passes of the control
``longer`` of ``specialists`` and for those of ``specialist_distilled``; ``sweep`` is for ``specialist_sweep``. A rate
at which the loss of any specialist ends in no number has been tried too. One rate of specialists was tried when the
others had been used (``later_rates``): it does no worse than the chosen one, within the noise of some 1,800 cases, or
ends in no number, and nothing was run anew with it. Specialists are judged by what Table 3 asks, their conditional
accuracy on the held-out cases of their classes, the first ones of the first generalist standing for all; whole nets,
and the heads of the sweep together, by accuracy on all held-out cases. For accuracy over all classes, which hangs on a
specialist's dustbin too, the control's rate is tuned and specialists' are not. The chosen rates stand in the config of
the experiments; a test holds them against these rows.

The rates of the generalist and of a dustbin's head before the rest is trained were not tuned: a generalist costs more
than all of this. Cost at scale ``paper``: 1 to 4 minutes of one core a run, 31 runs.
"""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import JudgedOnMaps, JudgedSpecialists, NumberTrained
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Options):
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of specialists")
    later_rates: tuple[PositiveFloat, ...] = Field((), description="of specialists, not chosen from")
    top_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of the generalist's top")
    specialists: JudgedSpecialists
    trained: NumberTrained
    kinds: tuple[_specialist_arms.Kind, ...] = Field(("dustbin", "full_soft"), min_length=1)
    longer: JudgedOnMaps
    distilled: JudgedOnMaps
    sweep_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="of specialist_sweep's heads")
    sweep: JudgedOnMaps


def arms(config: Config) -> list[Arm]:
    needs = (Need("generalist", experiment="specialist_generalist", seed=0),)
    listed = []
    for rate in (*config.rates, *config.later_rates):
        for kind in config.kinds:
            settings = config.specialists.settings(kind=kind, learning_rate=rate) | {"trained": config.trained}
            listed.append(Arm(f"{kind}.rate{rate:g}", settings, 1, needs, device="cpu"))
    for name, top in (("longer", config.longer), ("distilled", config.distilled)):
        for rate in config.top_rates:
            training = top.model_copy(update={"learning_rate": rate}).model_dump(mode="json")
            listed.append(Arm(f"{name}.rate{rate:g}", {"training": training}, 1, needs, device="cpu"))
    for rate in config.sweep_rates:
        heads = config.sweep.model_copy(update={"learning_rate": rate})
        settings = _specialist_arms.on_features(config.specialists.count, config.specialists.size, heads, [1])
        listed.append(Arm(f"sweep.rate{rate:g}", settings, 1, needs, device="cpu"))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    """A rate at which the loss diverges has been tried, and is never the best."""
    from repro.papers.hinton2015._specialist_runs import on_features, overfitting
    from repro.papers.hinton2015._specialist_tops import longer
    from repro.training.loop import DivergedError

    judged = on_features if "tops" in arm.settings else overfitting if "trained" in arm.settings else longer
    try:
        return judged(arm, seed, context)
    except DivergedError:
        return Result({"diverged": 1})


def figure(results: Results) -> Drawing:
    """Accuracy on held-out cases over the learning rates tried."""
    from repro.papers.hinton2015._figures import SPECIALIST_KINDS, caption_of
    from repro.plots.style import COLOURS, MARKERS, axes, legend, plain_ticks

    config = Config.model_validate(results.config)
    whole = {
        "longer": f"generalist's top, {config.longer.epochs} passes",
        "distilled": f"generalist's top, {config.distilled.epochs} passes",
        "sweep": f"{config.specialists.count} heads on its features, eq 5",
    }
    metrics = {"conditional": "special classes", "accuracy": "all classes"}
    drawn, panels = axes(2, width_in=9.0, height_in=3.8)
    data: list[dict[str, Any]] = []
    for ax, (metric, title) in zip(panels, metrics.items(), strict=True):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in results.rows:
            value = row.get(f"validation_{metric}")
            if value is not None:
                name, rate = re.split(r"\.rate", str(row["arm"]))
                lines.setdefault(name, []).append((float(rate), value))
                data.append({"trained": name, "learning_rate": float(rate), metric: value})
        for number, (name, points) in enumerate(sorted(lines.items())):
            x, y = zip(*sorted(points), strict=True)
            label = SPECIALIST_KINDS.get(name) or whole[name]
            ax.plot(x, y, color=COLOURS[number], marker=MARKERS[number], label=label)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({x for points in lines.values() for x, _ in points}))
        ax.set_title(title)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("right on held-out cases, %")
        legend(ax, fontsize=9.5)
    text = (
        "Accuracy on training cases held out, over the learning rates tried: of specialists among their classes "
        "(left), and of the generalist's top trained on and of specialists on its features (right). One generalist, "
        "one run a point. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
    return []
