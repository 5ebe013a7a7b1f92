"""Table 2: clusters of classes by name.

The paper prints three of JFT's clusters by a few class names each. Here: every cluster of the first generalist of
``specialist_generalist``, each class marked with its superclass, which the clustering never saw.

Trains nothing. Departures as in ``specialist_generalist``.
"""

from collections.abc import Sequence

from pydantic import Field

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._arms import Section
from repro.plots.drawing import Drawing
from repro.results import Results

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA


class Config(Section):
    count: int = Field(ge=1, description="of clusters")


def arms(config: Config) -> list[Arm]:
    need = Need("generalist", experiment="specialist_generalist", seed=0)
    return [Arm("clusters", config.model_dump(mode="json"), 1, (need,))]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import names

    return names(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._specialist_figures import names

    return names(results)


def claims(results: Results) -> Sequence[Answer]:
    return []
