"""The learning rates of section 5's experiments, chosen on training cases that nothing learns from.

Every kind of fine-tuning has the same grid: specialists by kind, and the generalist's top on all classes (``longer``,
whose rate the net distilled back uses too). Specialists are judged by their conditional accuracy on the held-out cases
of their classes, the first ones of the first generalist standing for all; whole nets by accuracy on all held-out
cases. The chosen rates stand in the config of the experiments; a test holds them against these rows.

The generalist's own rate was not tuned: a run of it costs more than all of this. Cost at scale ``paper``: 1 to 2
minutes of one core a run, 15 runs."""

from collections.abc import Sequence

from pydantic import Field, PositiveFloat

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._arms import Section
from repro.papers.hinton2015._specialist_arms import Specialists
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.training.settings import Training

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Section):
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    specialists: Specialists
    trained: int = Field(ge=1, description="of the specialists, the first ones")
    kinds: tuple[_specialist_arms.Kind, ...] = Field(("dustbin", "full_soft"), min_length=1)
    longer: Training


def arms(config: Config) -> list[Arm]:
    needs = (Need("generalist", experiment="specialist_generalist", seed=0),)
    listed = []
    for rate in config.rates:
        for kind in config.kinds:
            settings = config.specialists.settings(kind=kind, learning_rate=rate) | {"trained": config.trained}
            listed.append(Arm(f"{kind}.rate{rate:g}", settings, 1, needs))
        training = config.longer.model_copy(update={"learning_rate": rate}).model_dump(mode="json")
        listed.append(Arm(f"longer.rate{rate:g}", {"training": training}, 1, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015 import _specialist_runs as runs

    return (runs.longer if arm.name.startswith("longer") else runs.overfitting)(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._specialist_figures import tuning

    return tuning(results)


def claims(results: Results) -> Sequence[Answer]:
    return []
