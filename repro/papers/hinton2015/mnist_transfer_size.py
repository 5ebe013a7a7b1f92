"""Section 3's premise, measured: what one soft target teaches, from 100 to 60,000 transfer cases.

The paper argues that a soft target carries much more information per case than a label, so that the student can
be trained on much less data; on MNIST it prints no curve. Here students see 100 to 60,000 cases, either with the
teacher's soft targets (made by a teacher that saw all 60,000) or with labels; classes are balanced and smaller
sets are contained in larger ones. Every student takes the same number of steps at least, whatever the size.

Departures: none of this is printed; T and rates as in ``mnist_students``.
Cost at scale ``paper``: 15 to 60 seconds of one core a run.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Section, Student
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
KINDS = ("hard", "soft")


class Config(Section):
    seeds: int = Field(3, ge=1)
    temperature: float = Field(20.0, gt=0)
    sizes: tuple[PositiveInt, ...] = Field(min_length=2, description="transfer cases")
    least_steps: int = Field(gt=0, description="small sets are repeated until so many steps are done")
    student: Student


def arms(config: Config) -> list[Arm]:
    batch_size = config.student.training.batch_size
    listed = []
    for size in config.sizes:
        batches = -(-size // batch_size)
        epochs = max(config.student.training.epochs, -(-config.least_steps // batches))
        needs = (Need("teacher", experiment="mnist_students"),)
        hard = config.student.hard(epochs=epochs) | {"size": size}
        soft = config.student.soft(config.temperature, epochs=epochs) | {"size": size}
        listed.append(Arm(f"hard.n{size}", hard, config.seeds))
        listed.append(Arm(f"soft.n{size}", soft, config.seeds, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.distill.transfer import balanced_subset
    from repro.papers.hinton2015 import _nets as nets

    data = nets.image_set(context.data)
    index = balanced_subset(data.train.labels, arm.settings["size"], seed)
    _, points = nets.fit_student(arm.settings, seed, context, index)
    metrics = nets.outcome(points, {"test": data.test})
    return Result(metrics | nets.precision(arm.settings, context), nets.curves(points))


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._figures import transfer_sizes

    return transfer_sizes(results)


def claims(results: Results) -> Sequence[Answer]:
    sizes = Config.model_validate(results.config).sizes
    return [
        Claim(
            f"KD-M03.transfer_n{size}",
            "test errors, soft minus hard student of the same transfer set and seed",
            tuple(results.paired(f"soft.n{size}", f"hard.n{size}", "test_errors")),
            direction="less",
            setting=f"{size} transfer cases",
            unit="errors",
        )
        for size in sizes
    ]
