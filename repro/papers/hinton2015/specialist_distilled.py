"""Section 8, left open there: distilling the generalist and its specialists back into one net.

The paper: "We have not yet shown that the specialists can distill their knowledge back into the single large net."

Here: the generalist's own top learns the combined distributions of eq 5 (``specialists``) on the cases it knows, from
its own weights, with labels beside them: ``combined`` those of the paper's specialists with a dustbin,
``combined_full_soft`` those of specialists with all outputs (section 6.1). Two controls have the same passes:
``labels`` alone, and ``generalist``, its own soft targets in place of the combined ones. What either of them gains owes
nothing to specialists. Each has the rate, of one grid, that is best on the held-out cases of the first generalist
(``specialist_tuning``); these hardly tell rates apart below one at which all diverge, and all are therefore compared at
the rate of labels as well (``same_rate``).

Departures: as in ``specialists``; soft targets at T = 1, as eq 5 gives probabilities. Cost at scale ``paper``: 1 to 2
minutes of one core a run, 18 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat

from repro.compare import Answer, Claim, t_interval
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import NOT_JFT, TARGETS, Distilled, gain
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Rates(Options):
    """Learning rates by what is learned from, each chosen over the same grid."""

    combined: PositiveFloat
    combined_full_soft: PositiveFloat
    generalist: PositiveFloat
    labels: PositiveFloat


class Config(Distilled):
    seeds: int = Field(3, ge=1)
    rates: Rates


def arms(config: Config) -> list[Arm]:
    own = [config.arm(targets, targets, getattr(config.rates, targets), config.seeds) for targets in TARGETS]
    compared = {_at_the_rate_of_labels(config, targets): targets for targets in TARGETS}
    return own + [
        config.arm(name, targets, config.rates.labels, config.seeds)
        for name, targets in compared.items()
        if name != targets
    ]


def _at_the_rate_of_labels(config: Config, targets: str) -> str:
    """The arm that learns from the targets at the rate of labels: its own where the two are the same."""
    return targets if getattr(config.rates, targets) == config.rates.labels else f"{targets}.same_rate"


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_tops import distilled

    return distilled(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Gain over the generalist by what its top learned from."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes()
    data: list[dict[str, Any]] = []
    shown = [(place, targets, targets) for place, targets in enumerate(TARGETS)]
    shown += [(place, targets, _at_the_rate_of_labels(config, targets)) for place, targets in enumerate(TARGETS)]
    for place, targets, arm in dict.fromkeys(shown):
        if values := gain(results, arm, "accuracy"):
            mean, low, high = t_interval(values)
            bars = None if low is None or high is None else [[mean - low], [high - mean]]
            colour = COLOURS[place]
            x, inside = (place - 0.15, colour) if arm == targets else (place + 0.2, "white")
            ax.errorbar([x], [mean], yerr=bars, color=colour, marker=MARKERS[place], mfc=inside, ms=9, capsize=4)
            ax.plot([x + 0.1] * len(values), values, "_", color=colour, ms=9)
            rate = next(float(row["settings.training.learning_rate"]) for row in results.rows if row["arm"] == arm)
            row = {"targets": arm, "learning_rate": rate, "mean": mean, "low": low, "high": high}
            data.append(row | {"n": len(values)})
    ax.axhline(0, color=PRINTED, lw=1)
    for inside, label in ((PRINTED, "at the rate best for it"), ("white", "at the rate of labels")):
        ax.plot([], [], "o", color=PRINTED, mfc=inside, ms=9, label=label)
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    ax.set_xticks(range(len(TARGETS)), list(TARGETS.values()))
    ax.set_xlim(-0.5, len(TARGETS) - 0.5)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("gain over the generalist,\npercentage points")
    seeds = sorted({row["n"] for row in data})
    text = (
        "Change in test accuracy when the generalist's top is trained on by soft targets of the generalist combined "
        "with its specialists (eq 5), with a dustbin or with all outputs, by its own soft targets, and by labels "
        "alone, the same passes each; labels stand beside soft targets. Filled: each at the rate that is best on "
        "held-out cases; hollow: at that of labels, where it is another. "
        f"95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists; dashes are "
        "single ones. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for arm, ids, who in (
        ("combined", "KD-J25", "the net distilled back"),
        ("combined_full_soft", "KD-J25.full_soft", "the net taught by specialists with all outputs"),
    ):
        compared = {
            "gain": ("the generalist's", gain(results, arm, "accuracy")),
            "against_labels": ("that of as many passes on labels alone", results.paired(arm, "labels", "accuracy")),
            "against_generalist": (
                "that of as many passes on its own soft targets",
                results.paired(arm, "generalist", "accuracy"),
            ),
        }
        at = {targets: _at_the_rate_of_labels(config, targets) for targets in (arm, "generalist")}
        for name, rival in (("against_labels", "labels"), ("against_generalist", "generalist")):
            if (pair := (at[arm], at.get(rival, rival))) != (arm, rival):
                told = f"{compared[name][0]}, both at the rate of labels"
                compared[f"{name}.same_rate"] = (told, results.paired(*pair, "accuracy"))
        for name, (rival, values) in compared.items():
            quantity = f"test accuracy of {who} minus {rival}"
            answers.append(Claim(f"{ids}.{name}", quantity, tuple(values), unit="points", departures=NOT_JFT))
    return answers
