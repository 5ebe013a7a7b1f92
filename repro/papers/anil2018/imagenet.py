"""Images at large batch (section 3.3, Figure 3) as printed: ResNet-50 on ImageNet, batch 16,384.

Two groups codistil after 3,000 of 7,250 steps; one group, and one group of twice the batch, beside them. The data are
an ImageNet folder, ``$REPRO_DATA/imagenet/{train,val}/<class>/*.JPEG``; Goyal et al. 2017's recipe and augmentation.
At scale ``paper`` the same code runs end to end on 25 classes of Tiny ImageNet with a small net, as an exercise; which
classes, under what terms, and the command that makes their folder stand in ``repro.data.tiny_imagenet``.

Each run of ``config/cluster.yaml`` is a job with one GPU: every group is a process that computes its batch in parts,
eight more a group read pictures ahead, checkpoints are kept at every evaluation, and an interrupted run goes on from
them. The workflow asks for the cores, memory and minutes that the section names. On many GPUs the same task runs under
torchrun: ``repro/papers/anil2018/runs/imagenet.yaml`` has the commands, and a test holds it against that section.

Departures: batch norm sees 128 pictures at a time, where Goyal et al. have 32 a worker; two groups share a GPU, which
changes when they learn and not what.
Cost: four runs of 1 to 3 days on one GPU of 80 GB and 9 (one group) to 18 cores (two), which read 155 pictures a second
each; the GPU's share is priced by the simulator in the rows of ``anil2018.image_batch``.
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
