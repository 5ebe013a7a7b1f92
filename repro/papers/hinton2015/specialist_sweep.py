"""How many specialists, how large, how many of the generalist's classes: a sweep on frozen features.

The paper tried one setting: 61 specialists, 300 classes each, n = 1. Here specialists are single linear layers on the
generalist's features (its last block kept as it is), which costs seconds; counts, sizes and n are swept.

Departures: as in ``specialists``; one rate throughout, chosen for one count and size by ``specialist_tuning``; nothing
printed to hold it against. Cost at scale ``paper``: about 10 seconds of one core a run, 36 runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, t_interval
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import GENERALIST, JudgedOnMaps
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Options):
    seeds: int = Field(3, ge=1)
    counts: tuple[PositiveInt, ...] = Field(min_length=1)
    sizes: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    tops: tuple[PositiveInt, ...] = Field(min_length=1, description="n of section 5.4")
    training: JudgedOnMaps


def arms(config: Config) -> list[Arm]:
    listed = []
    for count in config.counts:
        for size in config.sizes:
            settings = _specialist_arms.on_features(count, size, config.training, list(config.tops))
            listed.append(
                Arm(f"count{count}.size{size}", settings, config.seeds, (GENERALIST,), config.seeds, device="cpu")
            )
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import on_features

    return on_features(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Gain over the generalist by count of specialists, a line a size, a panel an n."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import PRINTED, Mark, axes, with_intervals

    config = Config.model_validate(results.config)
    drawn, panels = axes(len(config.tops), width_in=3.4 * len(config.tops) + 1.0, height_in=3.9)
    data: list[dict[str, Any]] = []
    for ax, n in zip(panels, config.tops, strict=True):
        for number, size in enumerate(config.sizes):
            marks: list[Mark] = []
            for place, count in enumerate(config.counts):
                arm = f"count{count}.size{size}"
                before, after = results.values(arm, "generalist_accuracy"), results.values(arm, f"accuracy_n{n}")
                values = [after[seed] - before[seed] for seed in sorted(after)]
                if values:
                    mean, low, high = t_interval(values)
                    marks.append((place + 0.08 * (number - (len(config.sizes) - 1) / 2), mean, low, high))
                    row = {"n_classes": n, "size": size, "count": count, "mean": mean, "low": low, "high": high}
                    data.append(row | {"seeds": len(values)})
            if marks:
                with_intervals(ax, marks, number, f"{size} classes")
        ax.axhline(0, color=PRINTED, lw=1)
        ax.set_xticks(range(len(config.counts)), [str(count) for count in config.counts])
        ax.set_title(f"n = {n}")
        ax.set_xlabel("specialists")
    _same_scale(panels)
    panels[0].set_ylabel("gain over the generalist,\npercentage points")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.sizes))
    seeds = sorted({row["seeds"] for row in data})
    text = (
        "Change in test accuracy by specialists that are one linear layer on the generalist's frozen features, by "
        "their number, the size of their class sets, and n, the number of the generalist's most probable classes "
        f"that decide which specialists are asked. 95 % t-intervals over {'/'.join(map(str, seeds))} generalists. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def _same_scale(panels: Sequence["Axes"]) -> None:
    low, high = min(ax.get_ylim()[0] for ax in panels), max(ax.get_ylim()[1] for ax in panels)
    for ax in panels:
        ax.set_ylim(low, high)


def claims(results: Results) -> Sequence[Answer]:
    return []
