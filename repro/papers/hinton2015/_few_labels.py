"""Few labels and cases held out: what the runs of sections 4 and 6 share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from repro.data.sets import ImageSet, LabelledImages, hold_out
from repro.distill.transfer import balanced_subset
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _tuned as tuned
from repro.training.loop import DivergedError

Runner = Callable[[Arm, int, Context], Result]


@dataclass(frozen=True)
class FewLabels:
    """The cases a run learns from, their places in the training set, and the cases it is judged on."""

    index: Tensor
    cases: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    validation_index: Tensor

    @property
    def judged_on(self) -> dict[str, LabelledImages]:
        return {"validation": self.validation, "test": self.test}


def few_labels(settings: Mapping[str, Any], data: ImageSet, seed: int) -> FewLabels:
    """``held_out`` training cases for validation, the same for every run; of the others ``cases`` in balanced classes,
    drawn by ``seed``, or all of them where that is None. Smaller draws of one seed are contained in larger ones.

    Raises:
        UserError: fewer cases are left than are wanted.
    """
    kept, held_out = hold_out(len(data.train), settings["held_out"], seed=0)
    size = settings["cases"]
    index = kept if size is None else kept[balanced_subset(data.train.labels[kept], size, seed)]
    return FewLabels(index, nets.subset(data.train, index), nets.subset(data.train, held_out), data.test, held_out)


def of_a_grid(run: Runner) -> Runner:
    """The same run as one of a grid of rates: one at which the loss diverges has been tried and is never the best."""

    def tried(arm: Arm, seed: int, context: Context) -> Result:
        try:
            return run(arm, seed, context)
        except DivergedError:
            tried = arm.settings.get("tried_with_rate", ())
            tuned.leave(context, arm.settings, math.inf, *tried)
            return Result({"diverged": 1, **tuned.told(arm.settings, *tried)})

    return tried
