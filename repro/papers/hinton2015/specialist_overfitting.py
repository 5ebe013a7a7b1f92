"""Section 6.1: soft targets from the generalist against the specialists' over-fitting.

The paper only proposes it: a specialist with a softmax over all classes, begun at the generalist's weights, may retain
nearly all of its knowledge of the non-special classes if it is trained with the generalist's soft targets for these
beside its labels, where a dustbin or labels alone over-fit the few special classes.

Here: the first specialists of each generalist, trained far longer than is good for them, in three kinds: ``dustbin``
(section 5), ``full`` (all outputs, labels), ``full_soft`` (all outputs, labels, and among the non-special classes the
generalist's soft targets). After each pass: conditional accuracy among the special classes on the cases they learned
from and on test cases; for the full kinds also accuracy among the non-special classes on test cases.

Departures: as in ``specialists``. Cost at scale ``paper``: about 3 minutes of one core a run, 9 runs.
"""

from collections.abc import Sequence

from pydantic import Field, field_validator

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._arms import Section
from repro.papers.hinton2015._specialist_arms import GENERALIST, NOT_JFT, Specialists
from repro.plots.drawing import Drawing
from repro.results import Results

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
KINDS = ("dustbin", "full", "full_soft")


class Config(Section):
    seeds: int = Field(3, ge=1)
    specialists: Specialists
    trained: int = Field(ge=1, description="of the specialists, the first ones")

    @field_validator("specialists")
    @classmethod
    def _last_pass_is_judged(cls, specialists: Specialists) -> Specialists:
        training = specialists.training
        if training.epochs % (training.evaluate_every_epochs or training.epochs):
            raise ValueError("evaluate_every_epochs must divide epochs")
        return specialists


def arms(config: Config) -> list[Arm]:
    return [
        Arm(kind, config.specialists.settings(kind=kind) | {"trained": config.trained}, config.seeds, (GENERALIST,))
        for kind in KINDS
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import overfitting

    return overfitting(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._specialist_figures import overfitting

    return overfitting(results)


def claims(results: Results) -> Sequence[Answer]:
    rows = [
        ("conditional", "full", "conditional test accuracy after the last pass, with soft targets minus without"),
        (
            "others",
            "full",
            "test accuracy among non-special classes after the last pass, with soft targets minus without",
        ),
        (
            "conditional",
            "dustbin",
            "conditional test accuracy after the last pass, with soft targets minus a dustbin's",
        ),
    ]
    return [
        Claim(
            f"KD-J23.{metric}_against_{rival}",
            quantity,
            tuple(results.paired("full_soft", rival, metric)),
            unit="pp",
            departures=NOT_JFT,
        )
        for metric, rival, quantity in rows
    ]
