"""What the language model's study may be set to, and what its arms are called.

The leading underscore says that it is no experiment.
"""

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.papers.anil2018._arms import Rule
from repro.settings import Options

SMALLER = "codistilled.smaller"


class Group(Options):
    """Synchronous SGD of so many workers."""

    workers: PositiveInt
    updates: PositiveInt
    learning_rate: PositiveFloat


class Pair(Options):
    """Two groups of so many workers that codistil."""

    group_workers: PositiveInt
    burn_in_steps: int = Field(0, ge=0)


class Net(Options):
    """``words``: the most frequent ones, every other is unknown."""

    words: PositiveInt
    embedding: PositiveInt
    hidden: PositiveInt
    layers: PositiveInt = 2


class Config(Options):
    """``sequences_per_worker`` of ``length`` tokens each make a worker's batch.

    The loss is taken every ``evaluate_updates`` on the first ``judged_tokens`` of the held-out text. ``cluster`` and
    ``workload`` are the simulator's, for hours.
    """

    seeds: int = Field(3, ge=1)
    net: Net
    length: PositiveInt = 32
    sequences_per_worker: PositiveInt = 2
    optimizer: Rule
    sync: tuple[Group, ...] = Field(min_length=1)
    group_workers: PositiveInt
    interval_steps: PositiveInt
    burn_in_steps: int = Field(0, ge=0)
    smaller_groups: Pair | None = None
    smoothing: float = Field(0.1, gt=0, lt=1)
    evaluate_updates: PositiveInt
    judged_tokens: PositiveInt
    cluster: str = "p100-ethernet"
    workload: str = "anil-lstm"
    codistilled_rate: PositiveFloat | None = Field(None, description="None: the rate of one group")
    tuned_rates: tuple[PositiveFloat, ...] = ()
    tuning_share: float = Field(0.5, gt=0, le=1, description="of a run's updates that tuning makes")

    @model_validator(mode="after")
    def _groups_are_known(self) -> "Config":
        for workers in (self.group_workers, *([self.smaller_groups.group_workers] if self.smaller_groups else ())):
            if workers not in [group.workers for group in self.sync]:
                raise ValueError(f"group_workers: {workers} is none of sync's workers; add it there")
        return self

    @model_validator(mode="after")
    def _equal_steps(self) -> "Config":
        for group in self.sync:
            if group.workers == 2 * self.group_workers and group.updates != self.base.updates:
                raise ValueError(
                    f"sync: {group.workers} workers are held against two groups of {self.group_workers} after equal "
                    f"steps; give both {self.base.updates} updates, not {group.updates}"
                )
        return self

    @property
    def base(self) -> Group:
        """One group: the baseline, and what codistils."""
        return self.group(self.group_workers)

    def group(self, workers: int) -> Group:
        return next(group for group in self.sync if group.workers == workers)


def sync_name(workers: int) -> str:
    return f"sync{workers}"
