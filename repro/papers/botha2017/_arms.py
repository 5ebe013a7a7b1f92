"""Settings and arms of both tasks; importable without torch. The leading underscore says that it is no experiment."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from repro.experiment import Arm
from repro.settings import Options
from repro.training.settings import JUDGED_ONCE, NO_DROPOUT, NO_JITTER, Training

MOST_FREQUENT = "most_frequent"


class Size(Options):
    """Hash buckets of each size of n-grams, and numbers of an embedding."""

    buckets: PositiveInt
    dimension: PositiveInt


class Linear(Options):
    """Linear classifiers on the same n-grams, counted in so many buckets."""

    buckets: tuple[PositiveInt, ...] = Field(min_length=1)
    seeds: int = Field(3, ge=1)
    penalties: tuple[PositiveFloat, ...] = Field((1e-6, 1e-5), min_length=1, description="alpha, chosen on validation")
    epochs: PositiveInt = 5


class Config(Options):
    """The base net is varied in one direction at a time: ``buckets``, ``dimensions`` and learning ``rates``."""

    seeds: int = Field(3, ge=1)
    sizes: tuple[PositiveInt, ...] = Field(min_length=1, description="characters of the n-grams")
    reach: int = Field(ge=0, description="tokens of context on either side")
    base: Size
    buckets: tuple[PositiveInt, ...] = ()
    dimensions: tuple[PositiveInt, ...] = ()
    hidden: PositiveInt
    rates: tuple[PositiveFloat, ...] = ()
    training: Annotated[Training, NO_DROPOUT, NO_JITTER, JUDGED_ONCE]
    linear: Linear


def net_name(buckets: int, dimension: int) -> str:
    return f"v{buckets}.d{dimension}"


def base_name(config: Config) -> str:
    return net_name(config.base.buckets, config.base.dimension)


def rate_name(config: Config, rate: float) -> str:
    """The arm of the base net at a rate: the base arm itself where the rate is its own."""
    own = rate == config.training.learning_rate
    return base_name(config) if own else f"{base_name(config)}.rate{rate:g}"


def linear_name(buckets: int) -> str:
    return f"linear.v{buckets}"


def by_buckets(config: Config) -> dict[int, str]:
    """Arms of the base net's dimension by buckets."""
    return {v: net_name(v, config.base.dimension) for v in sorted({config.base.buckets, *config.buckets})}


def by_dimension(config: Config) -> dict[int, str]:
    """Arms of the base net's buckets by dimension."""
    return {d: net_name(config.base.buckets, d) for d in sorted({config.base.dimension, *config.dimensions})}


def arms(config: Config) -> list[Arm]:
    """Nets, linear classifiers, and the most frequent label of every token."""
    shared = config.model_dump(mode="json", include={"sizes", "reach"})
    net = shared | config.model_dump(mode="json", include={"hidden", "training"})
    made: dict[str, Arm] = {}

    def add(name: str, buckets: int, dimension: int, rate: float) -> None:
        training = config.training.model_copy(update={"learning_rate": rate}).model_dump(mode="json")
        settings = net | {"buckets": buckets, "dimension": dimension, "training": training}
        made[name] = Arm(name, settings, config.seeds, seeds_per_job=config.seeds, device="cpu")

    own = config.training.learning_rate
    for buckets, name in by_buckets(config).items():
        add(name, buckets, config.base.dimension, own)
    for dimension, name in by_dimension(config).items():
        add(name, config.base.buckets, dimension, own)
    for rate in config.rates:
        add(rate_name(config, rate), config.base.buckets, config.base.dimension, rate)
    for buckets in config.linear.buckets:
        settings = shared | config.linear.model_dump(mode="json", exclude={"buckets", "seeds"}) | {"buckets": buckets}
        made[linear_name(buckets)] = Arm(
            linear_name(buckets), settings, config.linear.seeds, seeds_per_job=config.linear.seeds, device="cpu"
        )
    made[MOST_FREQUENT] = Arm(MOST_FREQUENT, {}, 1, device="cpu")
    return list(made.values())
