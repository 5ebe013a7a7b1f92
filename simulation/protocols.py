"""How workers cooperate, said once: engines time it, processes run it, replay learns under it.

A *group* shares one set of weights; an *update* turns version v of a group's weights into v + 1. Every
protocol is a frozen dataclass that checks itself, so an object that exists is an object that can run.

- `SyncSGD`, `BackupWorkers` (Chen et al. 2016, 1604.00981), `LocalSGD` (Stich 2018, 1805.09767) are *barrier*
  protocols: one update per round of all workers.
- `AsyncSGD` (Dean et al. 2012) and `StaleSynchronous` (Ho et al. 2013) apply every gradient as it comes.
- `Codistillation` (Anil et al. 2018, 1804.03235) runs one of these inside each of several groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from simulation.errors import UserError

Aggregation = Literal["allreduce", "parameter_servers"]
Late = Literal["abort", "finish"]
LocalMomentum = Literal["keep", "reset", "average"]
Exchange = Literal["checkpoints", "predictions"]
Pickup = Literal["wait", "latest"]


class Counted:
    """What every protocol offers to a sweep, which gives worker counts instead of the description."""

    @classmethod
    def filled(cls, values: Mapping[str, Any], total: int, where: str) -> dict[str, Any]:
        """The description with so many workers in all; `where` names it in messages."""
        return {**values, "workers": total}


@dataclass(frozen=True)
class SyncSGD(Counted):
    """Every worker computes one gradient on the same version; their mean makes the next one.

    `aggregation`: "allreduce" among the workers, or push to and pull from "parameter_servers".
    """

    workers: int
    aggregation: Aggregation = "allreduce"

    barrier: ClassVar[bool] = True
    groups: ClassVar[int] = 1
    steps_per_update: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _at_least("SyncSGD.workers", self.workers, 1)
        _one_of("SyncSGD.aggregation", self.aggregation, get_args(Aggregation))

    @property
    def total_workers(self) -> int:
        """All workers there are, in all groups."""
        return self.workers


@dataclass(frozen=True)
class BackupWorkers(Counted):
    """Synchronous SGD over parameter servers that takes the first `workers` of `workers + backups` gradients.

    `late="abort"`: the rest drop their gradient when the step closes and begin the next with everyone.
    `late="finish"`: they finish it first (it is thrown away) and join whatever step is then open.
    """

    workers: int
    backups: int
    late: Late = "abort"

    barrier: ClassVar[bool] = True
    groups: ClassVar[int] = 1
    steps_per_update: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _at_least("BackupWorkers.workers", self.workers, 1)
        _at_least("BackupWorkers.backups", self.backups, 1, "without backups it is SyncSGD")
        _one_of("BackupWorkers.late", self.late, get_args(Late))

    @classmethod
    def filled(cls, values: Mapping[str, Any], total: int, where: str) -> dict[str, Any]:
        """The description with so many workers in all, backups included."""
        backups = values.get("backups", 0)
        if isinstance(backups, int) and backups >= total:
            raise UserError(f"{where}.backups: {backups} leave none of {total} workers: give fewer")
        return {**values, "workers": total - backups if isinstance(backups, int) else total}

    @property
    def total_workers(self) -> int:
        """All workers there are, backups included."""
        return self.workers + self.backups


@dataclass(frozen=True)
class AsyncSGD(Counted):
    """Each worker pushes a gradient, reads the weights right after its own update, and goes on."""

    workers: int

    barrier: ClassVar[bool] = False
    groups: ClassVar[int] = 1
    steps_per_update: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _at_least("AsyncSGD.workers", self.workers, 1)

    @property
    def total_workers(self) -> int:
        """All workers there are, in all groups."""
        return self.workers


@dataclass(frozen=True)
class StaleSynchronous(Counted):
    """Asynchronous, but nobody begins a step more than `bound_steps` ahead of the slowest worker's count.

    A worker that has done c steps begins the next once every worker has done at least c - bound_steps.
    """

    workers: int
    bound_steps: int

    barrier: ClassVar[bool] = False
    groups: ClassVar[int] = 1
    steps_per_update: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _at_least("StaleSynchronous.workers", self.workers, 2, "one worker waits for nobody: use AsyncSGD")
        _at_least("StaleSynchronous.bound_steps", self.bound_steps, 0)

    @property
    def total_workers(self) -> int:
        """All workers there are, in all groups."""
        return self.workers


@dataclass(frozen=True)
class LocalSGD(Counted):
    """Each worker takes `interval_steps` steps of its own, then all weights are averaged: one update.

    `momentum` at an averaging: every worker may "keep" its own buffer, "reset" it to zero, or "average" the
    buffers like the weights (which doubles the bytes of an averaging).
    """

    workers: int
    interval_steps: int
    momentum: LocalMomentum = "keep"

    barrier: ClassVar[bool] = True
    groups: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _at_least("LocalSGD.workers", self.workers, 1)
        _at_least("LocalSGD.interval_steps", self.interval_steps, 1)
        _one_of("LocalSGD.momentum", self.momentum, get_args(LocalMomentum))

    @property
    def total_workers(self) -> int:
        """All workers there are, in all groups."""
        return self.workers

    @property
    def steps_per_update(self) -> int:
        """Local steps that one update (averaging) stands for."""
        return self.interval_steps


Within = SyncSGD | BackupWorkers | AsyncSGD | StaleSynchronous | LocalSGD


@dataclass(frozen=True)
class Codistillation(Counted):
    """`groups` copies of one model, each trained `within` itself and taught by the others.

    Steps are updates of a group's weights (local steps under LocalSGD). A *boundary* is a multiple of
    `interval_steps`; teaching begins at the first one that is at least max(burn_in_steps, interval_steps).

    `exchange="checkpoints"`: at boundary k a group publishes its weights and adopts its peers' as teachers
    until the next boundary. `pickup="wait"` takes the snapshot of boundary k - 1 and waits for it, so runs
    repeat whatever the speeds and the transfer hides behind one interval; `pickup="latest"` takes the newest
    that is there and waits for nobody.
    `exchange="predictions"`: at every boundary all groups meet and swap predictions of their present weights,
    which teach that one step; between boundaries there is no teacher.
    """

    groups: int
    within: Within
    interval_steps: int
    burn_in_steps: int = 0
    exchange: Exchange = "checkpoints"
    pickup: Pickup = "wait"

    def __post_init__(self) -> None:
        _at_least("Codistillation.groups", self.groups, 2)
        if not isinstance(self.within, Within):
            raise UserError(
                f"Codistillation.within: {type(self.within).__name__} cannot run inside a group; "
                f"choose one of {', '.join(cls.__name__ for cls in get_args(Within))}"
            )
        _at_least("Codistillation.interval_steps", self.interval_steps, 1)
        _at_least("Codistillation.burn_in_steps", self.burn_in_steps, 0)
        _one_of("Codistillation.exchange", self.exchange, get_args(Exchange))
        _one_of("Codistillation.pickup", self.pickup, get_args(Pickup))
        per_update = self.within.steps_per_update
        if self.interval_steps % per_update:
            raise UserError(
                f"Codistillation.interval_steps: {self.interval_steps} is not a multiple of "
                f"within.interval_steps = {per_update}; weights exist only at averagings"
            )
        if self.exchange == "predictions":
            if not self.within.barrier:
                raise UserError(
                    f"Codistillation.exchange: predictions need groups that step together, which "
                    f"{type(self.within).__name__} does not; use exchange: checkpoints"
                )
            if isinstance(self.within, LocalSGD) and per_update > 1:
                raise UserError(
                    "Codistillation.exchange: predictions teach single steps, LocalSGD has only averagings; "
                    "use exchange: checkpoints or within.interval_steps: 1"
                )
            if self.pickup != "wait":
                raise UserError(
                    "Codistillation.pickup: has no effect on exchange: predictions, where groups always "
                    "meet; leave it out"
                )

    @classmethod
    def filled(cls, values: Mapping[str, Any], total: int, where: str) -> dict[str, Any]:
        """The description with so many workers in all groups together.

        Raises:
            UserError: groups that do not divide them, or no protocol to fill in.
        """
        groups, within = values.get("groups"), values.get("within")
        _at_least(f"{where}.groups", groups, 2)
        if total % values["groups"]:
            raise UserError(f"{where}.groups: {groups} does not divide {total} workers: choose counts it does")
        if not isinstance(within, Mapping):
            raise UserError(f"{where}.within: describe the protocol inside a group, for example kind: SyncSGD")
        return {**values, "within": with_workers(within, total // values["groups"], f"{where}.within")}

    @property
    def total_workers(self) -> int:
        """All workers there are, in all groups."""
        return self.groups * self.within.total_workers

    @property
    def barrier(self) -> bool:
        """Whether the groups' own protocol steps together."""
        return self.within.barrier

    @property
    def steps_per_update(self) -> int:
        """Steps that one update of a group stands for."""
        return self.within.steps_per_update

    @property
    def interval_updates(self) -> int:
        """Versions between two boundaries."""
        return self.interval_steps // self.steps_per_update

    @property
    def first_adoption(self) -> int:
        """Version of the first boundary at which teachers are adopted."""
        burn_in_updates = -(-self.burn_in_steps // self.steps_per_update)
        return max(1, -(-burn_in_updates // self.interval_updates)) * self.interval_updates

    @property
    def first_publication(self) -> int:
        """Version of the first snapshot anyone may need."""
        return self.first_adoption - self.interval_updates


Protocol = Within | Codistillation

MOST_UPDATES = 10**8
"""Rows of a schedule: some ten GB while an engine makes them."""

PROTOCOLS: dict[str, type[Any]] = {cls.__name__: cls for cls in (*get_args(Within), Codistillation)}


def to_dict(protocol: Protocol) -> dict[str, Any]:
    """Plain data for YAML and JSON: `kind` is the class name, the rest its fields."""
    values = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
    if isinstance(protocol, Codistillation):
        values["within"] = to_dict(protocol.within)
    return {"kind": type(protocol).__name__, **values}


def with_workers(description: Mapping[str, Any], total: int, where: str) -> dict[str, Any]:
    """A description without worker counts (as `from_dict` takes it) with so many workers in all.

    Raises:
        UserError: an unknown kind, a count that is already there, or workers that cannot be shared out.
    """
    if "workers" in description:
        raise UserError(f"{where}.workers: leave workers out of the protocol, a count for all is filled in")
    filled: dict[str, Any] = _class_of(description, where).filled(description, total, where)
    return filled


def _class_of(data: Mapping[str, Any], where: str) -> type[Any]:
    if not isinstance(data, Mapping) or "kind" not in data:
        raise UserError(f"{where}: needs a `kind`, one of {', '.join(PROTOCOLS)}")
    cls = PROTOCOLS.get(str(data["kind"]))
    if cls is None:
        raise UserError(f"{where}.kind: unknown {data['kind']!r}; choose one of {', '.join(PROTOCOLS)}")
    return cls


def check_burn_in(protocol: Protocol, where: str) -> None:
    """Refuse a burn-in that ends before the first teachers could come anyway.

    Raises:
        UserError: such a burn-in.
    """
    if isinstance(protocol, Codistillation) and 0 < protocol.burn_in_steps <= protocol.interval_steps:
        raise UserError(
            f"{where}: burn_in_steps {protocol.burn_in_steps} has no effect: the first teachers come after "
            f"interval_steps, {protocol.interval_steps}; leave it out or make it longer"
        )


def from_dict(data: Mapping[str, Any], where: str = "protocol") -> Protocol:
    """The protocol that `to_dict` described. `where` names the file and key in messages.

    Raises:
        UserError: an unknown kind or key, a missing key, or a value the protocol refuses.
    """
    cls = _class_of(data, where)
    values = {key: value for key, value in data.items() if key != "kind"}
    known = [field.name for field in fields(cls)]
    for key in values:
        if key not in known:
            raise UserError(f"{where}.{key}: {cls.__name__} has no such key; it takes {', '.join(known)}")
    if "within" in values:
        values["within"] = from_dict(values["within"], f"{where}.within")
    try:
        protocol: Protocol = cls(**values)
    except TypeError as error:
        missing = str(error).partition("argument")[2].strip(": s")
        raise UserError(f"{where}: {cls.__name__} needs {missing}") from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return protocol


def check_run_length(protocol: Protocol, updates: int) -> None:
    """Refuse a run in which part of the protocol would never happen.

    Raises:
        UserError: no updates, more than fit into memory, or a codistillation whose first teacher comes after the end.
    """
    _at_least("updates", updates, 1)
    if updates * protocol.groups > MOST_UPDATES:
        raise UserError(
            f"updates: {updates:,} of {protocol.groups} groups are more than a schedule holds ({MOST_UPDATES:,}): "
            "simulate fewer"
        )
    if isinstance(protocol, Codistillation) and protocol.first_adoption >= updates:
        raise UserError(
            f"Codistillation: the first teachers come at update {protocol.first_adoption}, "
            f"the run ends at {updates}; lengthen the run or shorten interval_steps or burn_in_steps"
        )


def _at_least(name: str, value: object, least: int, why: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name}: {value!r} must be a whole number >= {least}" + (f" ({why})" if why else ""))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{name}: {value!r} must be one of {', '.join(allowed)}")
