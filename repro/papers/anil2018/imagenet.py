"""Images at large batch (section 3.3, Figure 3) as printed: ResNet-50 on ImageNet, batch 16,384.

Two groups codistil after 3,000 of 7,250 steps; one group, and one group of twice the batch, beside them. The data are
an ImageNet folder, ``$REPRO_DATA/imagenet/{train,val}/<class>/*.JPEG``; Goyal et al. 2017's recipe and augmentation.
At scale ``paper`` the same code runs end to end on 25 classes of Tiny ImageNet with a small net, as an exercise.

Departures: one process computes a group's batch in parts, one GPU after the other's work; batch norm sees a part at a
time. Processes on many GPUs run the same task under ``python -m repro.codistill``.
Cost: priced by the simulator in the rows of ``anil2018.image_batch``.
"""

from collections.abc import Sequence

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018 import _batch
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "tiny-imagenet-25", "paper": "tiny-imagenet-25", "cluster": "imagenet"}
PRINTED_DATA = "imagenet"


class Config(_batch.Config):
    """As `_batch.Config`."""


def arms(config: Config) -> list[Arm]:
    return _batch.arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    return _batch.run(arm, seed, context)


def figure(results: Results) -> Drawing:
    return _batch.figure(results, Config.model_validate(results.config))


def claims(results: Results) -> Sequence[Answer]:
    return _batch.claims(results, Config.model_validate(results.config))
