"""What a soft target is worth in labels, among ten classes.

The lecture: with 1024 classes a label tells a learner 10 bits at most, while a teacher's probabilities are 1023 real
numbers, "hundreds of times" the constraint if the small ones are not tiny; so distillation needs far fewer examples.

Here: image classification with ten classes, a teacher that learned from other cases than its students see, and students
on growing numbers of cases with labels or soft targets (``_bits``). The target error stands in the config.

Departures: the lecture prints no experiment; with ten classes a target holds 9 numbers, and a label at most 3.3 bits.
Cost at scale ``paper``: 1 to 15 seconds of one core a run, half a minute or more a teacher.
"""

from collections.abc import Sequence

from repro.compare import Answer
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.hinton2023 import _bits as bits
from repro.papers.hinton2023._bits import Config
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = NO_DATA
CLASSES = 10
__all__ = ["DATA", "PRINTED_DATA", "Config", "arms", "claims", "figure", "run"]


def arms(config: Config) -> list[Arm]:
    return bits.arms(config, {})


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2023._learning import image_task

    return bits.run(arm, seed, context, image_task(context.data))


def figure(results: Results) -> Drawing:
    return bits.figure(results, Config.model_validate(results.config), CLASSES, "Images")


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    return [*bits.arithmetic(), *bits.claims(results, config, CLASSES, "images")]
