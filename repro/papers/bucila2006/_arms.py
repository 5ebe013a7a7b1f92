"""Settings and arms that the experiments share; importable without torch.

A *problem* is a data set with a binary question to it, called a task. Its arms, each with the seed of its own split:
``<task>.ensemble`` is selected from a library, ``<task>.net`` learns from labels, ``choice`` picks p, s and rates on
the validation cases, ``<task>.<method>`` are labelled pseudo-cases and ``<task>.mimic`` a net that learns them.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from repro.experiment import Arm, Need
from repro.settings import Options

METHODS = ("munge", "nbe", "random")


class Cases(Options):
    """How many cases of the shuffled data serve what; ``pool`` averages squares of so many pixels a side."""

    train: int = Field(4000, gt=1)
    validation: int = Field(1000, gt=0)
    test: int = Field(gt=0)
    pool: int = Field(1, ge=1)


class Selection(Options):
    """The library (None: all recipes) and the climb through it (``repro.distill.selection.select``)."""

    members: tuple[str, ...] | None = None
    rounds: int = Field(100, ge=0)
    start: int = Field(5, ge=1)
    bags: int = Field(1, ge=1)
    share: float = Field(1.0, gt=0, le=1)


class Steps(Options):
    """``steps`` of ``batch_size`` cases each, however many cases there are, to the nearest whole epoch; judged after
    about ``evaluations`` of the epochs, at most after each."""

    steps: int = Field(gt=0)
    batch_size: int = Field(128, gt=0)
    evaluations: int = Field(10, ge=1)

    def settings(self, cases: int, rate: float) -> dict[str, Any]:
        """The house's training settings for so many cases."""
        epochs = max(1, round(self.steps / math.ceil(cases / self.batch_size)))
        return {
            "epochs": epochs,
            "batch_size": self.batch_size,
            "learning_rate": rate,
            "precision": "float32",
            "evaluate_every_epochs": max(1, epochs // self.evaluations),
        }


class Training(Steps):
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)


class MimicTraining(Steps):
    """A mimic's: ``choice`` finds a rate for each way of making cases, by shorter trainings of a net of one width; the
    mimic takes the best of these factors times that rate."""

    rate_factors: tuple[PositiveFloat, ...] = Field((2.0, 1.0, 0.5), min_length=1)

    @field_validator("rate_factors")
    @classmethod
    def _differ(cls, rate_factors: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(rate_factors)) < len(rate_factors):
            raise ValueError("each is tried once; leave repeated ones out")
        return rate_factors


class OwnNet(Options):
    """The net that learns the original labels: hidden units and rate are chosen on the validation cases."""

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Training


class Choice(Options):
    """p and s of MUNGE, and rates, chosen on small pseudo-sets of ``multiplier`` times the training cases.

    ``most_components`` and ``rounds`` of EM bound the mixture of NBE.
    """

    probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    local_variances: tuple[PositiveFloat, ...] = Field(min_length=1)
    multiplier: int = Field(gt=0)
    most_components: int = Field(16, gt=0)
    rounds: int = Field(20, gt=0)
    hidden: int = Field(gt=0)
    training: Training


class Mimic(Options):
    hidden: int = Field(256, gt=0)
    multiplier: int = Field(100, gt=0)
    training: MimicTraining


class Compression(Options):
    """What Tables 2 to 4 need of one data set."""

    seeds: int = Field(3, ge=1)
    cases: Cases
    selection: Selection
    net: OwnNet
    choice: Choice
    mimic: Mimic


def compression_arms(config: Compression, tasks: Sequence[str]) -> list[Arm]:
    """Ensemble, net, pseudo-cases and mimic of every task, and the choice of p and s for all of them."""
    seeds, cases = config.seeds, config.cases.model_dump(mode="json")
    ensembles = tuple(Need(f"{task}.ensemble") for task in tasks)
    choice = {"cases": cases, "tasks": list(tasks)} | config.choice.model_dump(mode="json")
    listed = [Arm("choice", choice, seeds, ensembles)]
    for task, ensemble in zip(tasks, ensembles, strict=True):
        problem = {"task": task, "cases": cases}
        selection = problem | config.selection.model_dump(mode="json")
        mimic = {"hidden": config.mimic.hidden, "method": "munge"}
        mimic |= {"size": config.mimic.multiplier * config.cases.train}
        mimic |= {"training": config.mimic.training.model_dump(mode="json")}
        listed += [
            Arm(f"{task}.ensemble", selection, seeds),
            Arm(f"{task}.net", problem | config.net.model_dump(mode="json"), seeds),
            pseudo_arm(task, "munge", config.cases, config.mimic.multiplier, seeds, (ensemble, Need("choice"))),
            Arm(f"{task}.mimic", problem | mimic, seeds, (Need(f"{task}.munge"), Need("choice"))),
        ]
    return listed


def pseudo_arm(
    task: str, method: str, cases: Cases, multiplier: int, seeds: int, needs: tuple[Need, ...], **options: Any
) -> Arm:
    """Pseudo-cases of a method, labelled by the ensemble."""
    settings = {"task": task, "cases": cases.model_dump(mode="json"), "method": method, "multiplier": multiplier}
    return Arm(f"{task}.{method}", settings | options, seeds, needs)


class Sweep(Options):
    """What Figures 2 and 3 need: pseudo-set sizes at a fixed net, hidden units at a fixed set.

    ``sizes`` are in cases; those above ``rivals_multiplier`` times the training cases are run for MUNGE alone, since
    labelling costs most. ``most_components`` and ``rounds`` of EM bound the mixture of NBE.
    """

    seeds: int = Field(3, ge=1)
    cases: Cases
    multiplier: int = Field(100, gt=0)
    sizes: tuple[PositiveInt, ...] = Field(min_length=2)
    rivals_multiplier: int = Field(gt=0)
    hidden: int = Field(128, gt=0)
    units: tuple[PositiveInt, ...] = Field(min_length=2)
    units_size: int = Field(gt=0)
    most_components: int = Field(128, gt=0)
    rounds: int = Field(30, gt=0)
    training: MimicTraining

    @model_validator(mode="after")
    def _sizes_can_be_drawn(self) -> "Sweep":
        most, common = self._most("munge"), self._most("random")
        if max(*self.sizes, self.units_size) > most:
            raise ValueError(
                f"sizes and units_size: {most} pseudo-cases are made; ask for no more, or raise multiplier"
            )
        if min(self.sizes) > common:
            raise ValueError(
                f"sizes: the rivals make {common} pseudo-cases; ask for one size of no more, or raise rivals_multiplier"
            )
        return self

    def _most(self, method: str) -> int:
        return self.cases.train * (self.multiplier if method == "munge" else self.rivals_multiplier)

    def sizes_of(self, method: str) -> tuple[int, ...]:
        """The pseudo-set sizes that a method is run at."""
        return tuple(size for size in self.sizes if size <= self._most(method))


def sweep_arms(config: Sweep, tasks: Sequence[str], compression: str) -> list[Arm]:
    """``compression`` names the experiment whose ensembles, choices and MUNGE sets are used."""
    seeds, choice = config.seeds, Need("choice", experiment=compression)
    training = config.training.model_dump(mode="json")
    listed = []
    for task in tasks:
        ensemble, net = (Need(f"{task}.{arm}", experiment=compression) for arm in ("ensemble", "net"))
        problem = {"task": task, "cases": config.cases.model_dump(mode="json")}
        listed.append(Arm(f"{task}.reference", {"task": task}, seeds, (ensemble, net)))
        nbe = {"most_components": config.most_components, "rounds": config.rounds}
        for method, options in (("nbe", nbe), ("random", {})):
            needs = (ensemble,)
            listed.append(pseudo_arm(task, method, config.cases, config.rivals_multiplier, seeds, needs, **options))
        wanted = [
            (f"{task}.{method}.n{size}", method, size, config.hidden)
            for method in METHODS
            for size in config.sizes_of(method)
        ]
        wanted += [(f"{task}.units{units}", "munge", config.units_size, units) for units in config.units]
        for name, method, size, hidden in wanted:
            cases = Need(f"{task}.{method}", experiment=compression if method == "munge" else None)
            settings = problem | {"method": method, "size": size, "hidden": hidden, "training": training}
            listed.append(Arm(name, settings, seeds, (cases, choice)))
    return listed
