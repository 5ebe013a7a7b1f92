"""Section 8, left open there: distilling the generalist and its specialists back into one net.

The paper: "We have not yet shown that the specialists can distill their knowledge back into the single large net."

Here: the generalist's own top learns the combined distributions of eq 5 (``specialists``) on the cases it knows, from
its own weights, with labels beside them: ``combined`` those of the paper's specialists with a dustbin,
``combined_full_soft`` those of specialists with all outputs (section 6.1). Two controls have the same passes at the
same rate, which is tuned on labels (``specialist_tuning``): ``labels`` alone, and ``generalist``, its own soft targets
in place of the combined ones. What either of them gains owes nothing to specialists.

Departures: as in ``specialists``; soft targets at T = 1, as eq 5 gives probabilities. Cost at scale ``paper``: 1 to 2
minutes of one core a run, 12 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import GENERALIST, NOT_JFT, JudgedOnMaps, JudgedSpecialists, gain
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
TARGETS = {
    "combined": "generalist and\nspecialists",
    "combined_full_soft": "generalist and\nspecialists with\nall outputs",
    "generalist": "generalist\nalone",
    "labels": "labels\nalone",
}


class Config(Options):
    seeds: int = Field(3, ge=1)
    specialists: JudgedSpecialists = Field(description="those of the experiment specialists")
    full_soft_rate: float = Field(gt=0, description="as there")
    training: JudgedOnMaps
    hard_weight: float = Field(0.5, gt=0, description="of the labels' loss beside the soft one")


def arms(config: Config) -> list[Arm]:
    training = {"training": config.training.model_dump(mode="json"), "hard_weight": config.hard_weight}
    chosen, count = config.specialists, config.specialists.count
    specialists = {
        "combined": (f"clusters{count}", chosen.settings()),
        "combined_full_soft": (
            f"full_soft{count}",
            chosen.settings(kind="full_soft", learning_rate=config.full_soft_rate),
        ),
    }
    listed = []
    for targets in TARGETS:
        settings, needs = training | {"targets": targets}, [GENERALIST]
        if targets in specialists:
            arm, settings["specialists"] = specialists[targets]
            needs.append(Need(arm, experiment="specialists"))
        listed.append(Arm(targets, settings, config.seeds, tuple(needs), device="cpu"))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_tops import distilled

    return distilled(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Gain over the generalist by what its top learned from."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    drawn, (ax,) = axes()
    data: list[dict[str, Any]] = []
    for place, arm in enumerate(TARGETS):
        values = gain(results, arm, "accuracy")
        if values:
            mean, low, high = t_interval(values)
            bars = None if low is None or high is None else [[mean - low], [high - mean]]
            ax.errorbar([place], [mean], yerr=bars, color=COLOURS[place], marker=MARKERS[place], ms=9, capsize=4)
            ax.plot([place + 0.12] * len(values), values, "_", color=COLOURS[place], ms=9)
            data.append({"targets": arm, "mean": mean, "low": low, "high": high, "n": len(values)})
    ax.axhline(0, color=PRINTED, lw=1)
    ax.set_xticks(range(len(TARGETS)), list(TARGETS.values()))
    ax.set_xlim(-0.5, len(TARGETS) - 0.5)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("gain over the generalist,\npercentage points")
    seeds = sorted({row["n"] for row in data})
    text = (
        "Change in test accuracy when the generalist's top is trained on by soft targets of the generalist combined "
        "with its specialists (eq 5), with a dustbin or with all outputs, by its own soft targets, and by labels "
        "alone, the same passes each; labels "
        f"stand beside soft targets. 95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists; dashes are "
        "single ones. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
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
        for name, (rival, values) in compared.items():
            quantity = f"test accuracy of {who} minus {rival}"
            answers.append(Claim(f"{ids}.{name}", quantity, tuple(values), unit="points", departures=NOT_JFT))
    return answers
