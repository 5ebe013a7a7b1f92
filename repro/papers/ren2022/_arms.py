"""Settings and arms that the experiments of this paper share; importable without torch."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.experiment import Arm, Need
from repro.settings import Options

Method = Literal["bp", "lg_bp", "fa", "dfa", "wp8", "fg_w", "fg_a", "lg_fg_w", "lg_fg_a", "frozen"]
NAMES: Mapping[str, str] = {
    "bp": "BP",
    "lg_bp": "LG-BP",
    "fa": "FA",
    "dfa": "DFA",
    "wp8": "WP, 8 directions",
    "fg_w": "FG-W",
    "fg_a": "FG-A",
    "lg_fg_w": "LG-FG-W",
    "lg_fg_a": "LG-FG-A",
    "frozen": "frozen features",
}


class Course(Options):
    """How long a net learns, and in which batches; its rate falls as a cosine."""

    epochs: PositiveInt
    tuning_epochs: PositiveInt
    batch_size: PositiveInt = 128
    momentum: float = Field(0.9, ge=0, lt=1)
    evaluate_every_epochs: PositiveInt | None = None

    def learning(self, rate: float, tuning: bool) -> dict[str, Any]:
        """Plain values of ``repro.perturb.settings.Learning``."""
        epochs = self.tuning_epochs if tuning else self.epochs
        every = None if tuning else self.evaluate_every_epochs
        return {
            "epochs": epochs, "batch_size": self.batch_size, "momentum": self.momentum,
            "learning_rate": rate, "evaluate_every_epochs": every,
        }  # fmt: skip


class Grouped(Options):
    """Channels of a LocalMixer, and groups of them that learn from losses of their own."""

    channels: PositiveInt
    groups: PositiveInt = 1

    @model_validator(mode="after")
    def _groups_are_equal(self) -> Self:
        if self.channels % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {self.channels} channels; choose a divisor")
        return self


class Mixer(Grouped):
    """A LocalMixer, the methods that train it, and the rates that every method tries."""

    name: str
    blocks: PositiveInt = 1
    patches: PositiveInt = 1
    methods: tuple[Method, ...] = Field(min_length=1)
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    course: Course
    seeds: PositiveInt = 3
    seeds_per_job: PositiveInt = 1

    @property
    def shape(self) -> dict[str, int]:
        return self.model_dump(include={"blocks", "patches", "channels", "groups"})


class Study(Options):
    """Nets trained by several methods. ``held_out`` training cases choose every method's rate; ``train_cases`` limits
    the training set to a stratified part, drawn once."""

    held_out: PositiveInt
    train_cases: PositiveInt | None = None
    nets: tuple[Mixer, ...] = Field(min_length=1)


def tuning_name(net: str, method: str, rate: float) -> str:
    return f"{net}.{method}.rate{rate:g}"


def arm_name(net: str, method: str) -> str:
    return f"{net}.{method}"


def study_arms(study: Study) -> list[Arm]:
    """Tuning arms, one seed each, and for every net and method the arm that learns at the best rate it needs."""
    shared = {"train_cases": study.train_cases, "held_out": study.held_out}
    listed = []
    for net in study.nets:
        for method in net.methods:
            settings = {"net": net.shape, "method": method, **shared}
            needs = tuple(Need(tuning_name(net.name, method, rate), seed=0) for rate in net.rates)
            listed += [
                Arm(need.arm, settings | {"learning": net.course.learning(rate, tuning=True), "tuning": True}, 1)
                for need, rate in zip(needs, net.rates, strict=True)
            ]
            learning = net.course.learning(0.0, tuning=False)
            listed.append(
                Arm(
                    arm_name(net.name, method), settings | {"learning": learning, "tuning": False},
                    net.seeds, needs, net.seeds_per_job,
                )
            )  # fmt: skip
    return listed


def final_arms(study: Study) -> Iterable[tuple[Mixer, str, str]]:
    """Every net and method with its arm."""
    return ((net, method, arm_name(net.name, method)) for net in study.nets for method in net.methods)
