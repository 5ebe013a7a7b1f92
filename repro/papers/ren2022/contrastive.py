"""The talk's local objective: patches of an image agree, learned greedily by activity perturbation, read out linearly.

Hinton's talk: many small local objectives rescue activity perturbation in bigger nets; at every level a patch should
agree with the average of the other patches of its image and disagree with other images'. Ren et al. 2022 (Table 4)
learn LocalMixer by InfoNCE on two augmented views, with losses by block, patch and group, and read it out linearly.

Here: the talk's variant in a small LocalMixer. Every block has a contrastive loss for each patch
(``repro.perturb.contrastive``), nothing travels between blocks, and hidden layers never see a label; then a linear
readout learns from the mean of the last block's patches, with labels. Arms: greedy activity perturbation, greedy weight
perturbation, greedy backprop of the same losses, and features left at random, the control. Every arm's rate is tuned
on held-out cases by the readout's errors.

Departures: no augmented views: patches of one image are each other's views, as the talk has it; small nets and short
runs; ordinary SGD; hidden biases start at random and not at zero, for patches may be blank. Where the lowest rate is
the best, what is learned does the readout no good. None of Table 4's numbers is held against ours.

Cost at scale ``paper``: about a minute of one core a run.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Need, Result
from repro.papers.ren2022._arms import Course, Grouped
from repro.plots.drawing import Drawing, number_of
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "cifar-10"
Way = Literal["activities", "weights", "backprop", "random"]
NAMES = {
    "activities": "activity perturbation",
    "weights": "weight perturbation",
    "backprop": "backprop, greedy",
    "random": "random features",
}


class Config(Grouped):
    seeds: PositiveInt = 3
    blocks: PositiveInt = 2
    patches: int = Field(ge=2)
    temperature: PositiveFloat = 0.2
    ways: tuple[Way, ...] = ("activities", "weights", "backprop", "random")
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    course: Course
    readout: Course
    readout_rate: PositiveFloat = 0.5
    bias_deviation: float = Field(0.1, ge=0, description="of the hidden biases at the start")
    held_out: PositiveInt
    train_cases: PositiveInt | None = None


def tuning_name(way: str, rate: float) -> str:
    return f"{way}.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = {
        "net": config.model_dump(include={"blocks", "patches", "channels", "groups"}),
        "temperature": config.temperature, "held_out": config.held_out, "train_cases": config.train_cases,
        "readout": config.readout.learning(config.readout_rate, tuning=False),
        "bias_deviation": config.bias_deviation,
    }  # fmt: skip
    listed = []
    for way in config.ways:
        rates = config.rates if way != "random" else config.rates[:1]  # nothing there depends on it
        needs = tuple(Need(tuning_name(way, rate), seed=0) for rate in rates)
        for need, rate in zip(needs, rates, strict=True):
            learning = config.course.learning(rate, tuning=True)
            listed.append(Arm(need.arm, {"way": way, "learning": learning, "tuning": True, **shared}, 1))
        learning = config.course.learning(0.0, tuning=False)
        listed.append(Arm(way, {"way": way, "learning": learning, "tuning": False, **shared}, config.seeds, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.ren2022 import _contrastive

    return _contrastive.run(arm, seed, context)


def figure(results: Results) -> Drawing:
    """The readout's errors by way of learning."""
    from repro.papers.ren2022._figures import across, row_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=8.0, height_in=3.6)
    data: list[dict[str, Any]] = []
    for position, way in enumerate(config.ways):
        rows = [r for r in results.rows if r["arm"] == way]
        for split, filled in (("test", True), ("train", False)):
            values = [100 * r[f"{split}_errors"] / r[f"{split}_cases"] for r in rows]
            if not values:
                continue
            row = row_of(values, way=way, split=split)
            data.append(row)
            colour = PRINTED if way == "random" else COLOURS[position]
            across(
                ax, position + (0.1 if filled else -0.1), row, {"color": colour, "marker": MARKERS[position]}, filled
            )
    ax.set_yticks(range(len(config.ways)), [NAMES[way] for way in config.ways])
    ax.set_ylim(len(config.ways) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("error of the linear readout, %")
    caption = (
        "Linear readout of a LocalMixer whose hidden layers learned, without labels, that patches of an image agree: "
        "filled: test, open: train. Greedy, a loss for every block and patch; random features are the control. 95 % "
        f"t-intervals over seeds ({number_of([row['n'] for row in data])}). {_losses_told(results, config)}"
    )
    return Drawing(drawn, data, caption + results.scope)


def _losses_told(results: Results, config: Config) -> str:
    """The loss that each way ended with: near that of a guess its hidden layers have learned nothing."""
    found = {way: list(results.values(way, "contrastive_loss").values()) for way in config.ways}
    told = [f"{NAMES[way]} {sum(values) / len(values):.2f}" for way, values in found.items() if values]
    guess = math.log(config.course.batch_size)
    return f"Contrastive loss at the end, {guess:.2f} for a guess: {'; '.join(told)}. " if told else ""


def claims(results: Results) -> Sequence[Answer]:
    return [
        Claim(
            f"PS264.{way}",
            f"test errors of the readout, {NAMES[way]} minus random features, same seed",
            tuple(results.paired(way, "random", "test_errors")),
            direction="less",
            unit="errors",
        )
        for way in Config.model_validate(results.config).ways
        if way != "random"
    ]
