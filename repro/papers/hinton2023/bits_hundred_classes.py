"""What a soft target is worth in labels, among a hundred classes.

As ``bits_ten_classes``, with more classes: a label holds at most 6.6 bits and a target 99 numbers. At scale ``paper``
the hundred classes of a set of small colour images, seen through frozen features (responses to random patches,
``repro.models.patches``), under a small net that learns; at scale ``quick`` a generated problem, a hundred Gaussian
clouds in twenty groups of near ones.

Departures: the lecture prints no experiment. With frozen features teacher and students err much more often than
convolutional nets do; what is compared is what they learn from. Cost at scale ``paper``: half a minute for the
features, a minute a teacher, 1 to 20 seconds of one core a run.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveInt

from repro.compare import Answer
from repro.experiment import NO_DATA, Arm, Context, Need, Result
from repro.papers.hinton2023 import _bits as bits
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": "cifar-100", "cluster": "cifar-100"}
PRINTED_DATA = NO_DATA
CLASSES = 100


class Features(Options):
    patches: PositiveInt
    side: PositiveInt = 6
    dimensions: PositiveInt


class Generated(Options):
    train: PositiveInt
    test: PositiveInt
    dimensions: PositiveInt


class Config(bits.Config):
    """Exactly one of ``features`` (of images) and ``generated`` says what is learned."""

    features: Features | None = None
    generated: Generated | None = Field(None, description="a seeded generator instead of data")

    def model_post_init(self, _context: object) -> None:
        if (self.features is None) == (self.generated is None):
            raise ValueError("give either features or generated")


def arms(config: Config) -> list[Arm]:
    if config.generated:
        return bits.arms(config, {"generated": config.generated.model_dump()})
    assert config.features is not None
    return [Arm("features", config.features.model_dump(), 1, device="cpu"), *bits.arms(config, {}, (Need("features"),))]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2023 import _hundred as hundred

    if arm.name == "features":
        hundred.leave_features(context.data, arm.settings, context.work)
        return Result({"dimensions": arm.settings["dimensions"]})
    if "generated" in arm.settings:
        return bits.run(arm, seed, context, hundred.generated(**arm.settings["generated"]))
    return bits.run(arm, seed, context, hundred.left_features(context.inputs["features"]))


def _problem(results: Results) -> str:
    return "A generated problem" if results.config.get("generated") else "Frozen features of images"


def figure(results: Results) -> Drawing:
    return bits.figure(results, Config.model_validate(results.config), CLASSES, _problem(results))


def claims(results: Results) -> Sequence[Answer]:
    return bits.claims(results, Config.model_validate(results.config), CLASSES, _problem(results).lower())
