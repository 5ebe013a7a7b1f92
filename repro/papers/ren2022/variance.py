"""Table 1: the variance of four estimates of a gradient, measured on real gradients against the formulas.

The paper (Propositions 1 to 4): with per-weight variance V of the cases' gradients and squared mean gradient S, batch N
and Gaussian noise, the mean variance of an estimate is (d+2)/N V + (d+1) S where a batch shares a draw, (d+2)/N V +
(d+1)/N S where every case has its own; d = pq, the number of weights, for perturbed weights, and d = q, the fan-out,
for perturbed units. All four are unbiased.

Here: a feed-forward net in the middle of training by backprop; V and S exactly, from the gradients of all pool cases
one by one; then estimates on batches drawn from the pool with fresh noise, all by the estimators that the learning
experiments use. Weights are perturbed all at once, so d counts all that is perturbed; units layer by layer, as the
formula wants, and also all at once, where other layers' noise comes on top: that row has no formula. The head keeps
its exact gradient and is not counted. The ratio of measured to predicted should be 1.

Departures: the paper gives the formulas without measurements. Signs, whose fourth moment is 1, have d and d-1 in place
of d+2 and d+1, derived here; their rows are marked.

Cost at scale ``paper``: about half a minute of one core a run.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.ren2022._arms import Section
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
FORMULAS = {
    "weights_shared": ("PS155", "weights, shared draw"),
    "weights_own": ("PS156", "weights, own draws"),
    "units_shared": ("PS157", "units, shared draw"),
    "units_own": ("PS158", "units, own draws"),
}


class Config(Section):
    """``widths``, ``depths`` and ``batch_sizes`` are varied one at a time around the first of each; ``draws`` estimates
    each; ``pool`` cases; ``warm_up_steps`` of backprop before anything is measured."""

    seeds: PositiveInt = 3
    widths: tuple[PositiveInt, ...] = Field(min_length=1)
    depths: tuple[PositiveInt, ...] = Field(min_length=1, description="hidden layers")
    batch_sizes: tuple[PositiveInt, ...] = Field(min_length=1)
    draws: int = Field(ge=10)
    pool: PositiveInt
    warm_up_steps: PositiveInt = 50


def points(config: Config) -> list[tuple[int, int, int]]:
    """(width, depth, batch): the middle one and those that differ from it in one respect."""
    width, depth, batch = config.widths[0], config.depths[0], config.batch_sizes[0]
    found = [(w, depth, batch) for w in config.widths]
    found += [(width, d, batch) for d in config.depths[1:]]
    return found + [(width, depth, b) for b in config.batch_sizes[1:]]


def point_name(width: int, depth: int, batch: int) -> str:
    return f"width{width}.depth{depth}.batch{batch}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"draws", "pool", "warm_up_steps"})
    return [
        Arm(point_name(w, d, b), {"width": w, "depth": d, "batch": b, **shared}, config.seeds, seeds_per_job=10)
        for w, d, b in points(config)
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.ren2022 import _variance

    return _variance.measure(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.ren2022._figures import variances

    return variances(results)


def claims(results: Results) -> Sequence[Answer]:
    """A ratio within a tenth of 1, where the interval over seeds allows to say so."""
    config = Config.model_validate(results.config)
    name = point_name(*points(config)[0])
    answers: list[Answer] = []
    for key, (row, what) in FORMULAS.items():
        ratios = tuple(results.values(name, f"{key}_ratio").values())
        for side, null, direction in (("above", 0.9, "greater"), ("below", 1.1, "less")):
            answers.append(
                Claim(
                    f"{row}.{side}",
                    f"measured over predicted variance, {what}",
                    ratios,
                    null=null,
                    direction="greater" if direction == "greater" else "less",
                    setting=name,
                    unit="",
                )
            )
    return answers
