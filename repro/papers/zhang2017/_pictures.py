"""How a ShuffleNet is trained on small images. The leading underscore says that it is no experiment."""

from collections.abc import Mapping
from typing import Any

from repro.data import sets
from repro.experiment import Context, Result
from repro.models.shufflenet import Architecture, counts, shufflenet
from repro.runner import CHECKPOINT
from repro.training import small_images
from repro.training.settings import Training


def fit(settings: Mapping[str, Any], seed: int, context: Context) -> Result:
    """One run: a net of the arm's settings on its classes, judged on held-out training cases and on the test set."""
    cases = small_images.split(
        sets.load(context.data), every_class=settings["every_class"], held_out=settings["held_out"]
    )
    channels, side, _ = cases.shape
    stages = len(settings["repeats"])
    net = Architecture(
        settings["groups"],
        settings["stem"],
        tuple(settings["outputs"] * 2**stage for stage in range(stages)),
        tuple(settings["repeats"]),
        settings["stem_stride"],
        pool=False,
    )
    fitted = small_images.fit(
        shufflenet(net, cases.classes, seed=seed, channels=channels, order=settings["order"]),
        cases,
        Training(**settings["training"]),
        seed=seed,
        name=context.name,
        device=context.device,
        checkpoint=context.work / CHECKPOINT,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    counted = counts(net, side, cases.classes, channels=channels)
    counted_metrics = {"multiply_adds": counted.multiply_adds, "parameters": counted.parameters}
    return Result({**fitted.metrics, **counted_metrics}, fitted.curves)
