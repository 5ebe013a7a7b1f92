"""Images at large batch (section 3.3, Figure 3) on a convolutional net: CIFAR-100, one comparison.

As ``anil2018.image_batch``, at one batch: a small residual net with Goyal et al. 2017's recipe compressed to a few
epochs, one group, one of two codistilled groups, and one group of twice the batch for as many steps. The rate of either
batch is tuned for one group, with one seed, on training cases held out; two groups use the one of their batch. At scale
``cluster``, for one GPU: a wider net, Goyal et al.'s 90 epochs, two batches, falling weight decay, and tuned rates.

Departures: another net and other data, so no printed number is judged; few epochs; no augmentation, so that teachers
and students see the same pictures; batch norm over a group's whole batch, where Goyal et al. take 32 a worker.
Cost at scale ``paper``: 5 (one group) to 15 (two) minutes of one core a run; at ``cluster`` 44 runs of one GPU, each an
hour or so at a guess: nobody has run them.
"""

from collections.abc import Sequence

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018 import _batch
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "cifar-100", "cluster": "cifar-100"}
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
