"""The schedule: who computed which update on which version, and when. Engines make it, runs record it.

A struct of arrays. Updates are ordered by (group, version), events by time; a column that is constant may
have length 1. Examples are not stored: batch rows are a keyed function of (seed, worker, step). One
safetensors file holds `u.*`, `e.*` and the meta data as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from simulation.draws import Ints
from simulation.errors import UserError
from simulation.protocols import Codistillation, Protocol, from_dict

FORMAT = "schedule/1"

Column = NDArray[Any]


class Kind(IntEnum):
    """What happened. Columns that an event does not use hold -1.

    PUBLISH: `group` offered its `version` to others (`digest`: 64 bits of the weights, 0 where nobody knows).
    ADOPT: from its own `version` on, `group` learns from `peer_version` of `peer`. With predictions exchanged
        it teaches that one update only. The teacher may be ahead of the group.
    DROP: the gradient that `worker` began on `version` came too late; it takes part in no update before
        `peer_version`.
    FAIL: `worker` broke down while `version` was the group's newest.
    ROLLBACK: `group` went back from `version` to `peer_version`; the updates between were lost.
    """

    PUBLISH = 0
    ADOPT = 1
    DROP = 2
    FAIL = 3
    ROLLBACK = 4


@dataclass(frozen=True)
class Updates:
    """One row per version of one group's weights: the row of version v turns it into v + 1.

    time_ns int64: when it was applied; worker int32: who computed it, -1 = all of the group; read int32: the
    version its gradient was computed on; step int32: the worker's own count, which with seed and worker fixes
    the examples; count int32: how many workers contributed.
    """

    time_ns: Column
    group: Column
    version: Column
    worker: Column
    read: Column
    step: Column
    count: Column

    def __len__(self) -> int:
        return len(self.time_ns)

    def column(self, name: str) -> Column:
        """The named column at full length (a read-only view where it is constant)."""
        return np.broadcast_to(getattr(self, name), (len(self),))


@dataclass(frozen=True)
class Events:
    """Everything that is not an update, in order of time; see `Kind`."""

    kind: Column
    time_ns: Column
    group: Column
    version: Column
    worker: Column
    peer: Column
    peer_version: Column
    digest: Column

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, kind: Kind) -> Events:
        """Only the events of one kind."""
        chosen = self.kind == kind
        return Events(*(getattr(self, name)[chosen] for name in EVENT_TYPES))

    def rows(self) -> Iterator[dict[str, int]]:
        """Each event as a plain dictionary."""
        for values in zip(*(getattr(self, name).tolist() for name in EVENT_TYPES), strict=True):
            yield dict(zip(EVENT_TYPES, values, strict=True))


UPDATE_TYPES: dict[str, np.dtype[Any]] = {field.name: np.dtype(np.int32) for field in fields(Updates)} | {
    "time_ns": np.dtype(np.int64)
}
EVENT_TYPES: dict[str, np.dtype[Any]] = {field.name: np.dtype(np.int32) for field in fields(Events)} | {
    "kind": np.dtype(np.uint8),
    "time_ns": np.dtype(np.int64),
    "digest": np.dtype(np.uint64),
}


@dataclass
class EventLog:
    """Collects events, one at a time or in arrays, and sorts them once."""

    _parts: list[tuple[Ints, ...]] = field(default_factory=list)

    def add(
        self,
        kind: Kind,
        time_ns: int | Ints,
        group: int,
        version: int | Ints,
        worker: int | Ints = -1,
        peer: int = -1,
        peer_version: int | Ints = -1,
    ) -> None:
        """Append one event, or several where arguments are arrays (they broadcast)."""
        values = (int(kind), time_ns, group, version, worker, peer, peer_version)
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.int64)) for v in values))
        self._parts.append(tuple(arrays))

    def extend(self, other: EventLog) -> None:
        """Take over another log's events."""
        self._parts.extend(other._parts)

    def events(self) -> Events:
        """All events in order of (time, group, kind, version, worker, peer)."""
        joined = [np.concatenate([part[i] for part in self._parts] or [np.zeros(0, np.int64)]) for i in range(7)]
        kind, time_ns, group, version, worker, peer, peer_version = joined
        order = np.lexsort((peer, worker, version, kind, group, time_ns))
        columns: list[Column] = [
            column[order] for column in (kind, time_ns, group, version, worker, peer, peer_version)
        ]
        columns.append(np.zeros(len(order), dtype=np.uint64))
        typed = [c.astype(EVENT_TYPES[name]) for c, name in zip(columns, EVENT_TYPES, strict=True)]
        return Events(*typed)


@dataclass(frozen=True)
class Schedule:
    """Updates, events, and `meta`, which holds at least format, protocol, engine, seed and clock."""

    updates: Updates
    events: Events
    meta: Mapping[str, Any]

    @property
    def protocol(self) -> Protocol:
        """The protocol this schedule follows."""
        return from_dict(self.meta["protocol"], "schedule.meta.protocol")

    @property
    def seed(self) -> int:
        """The seed that with worker and step fixes draws and examples."""
        return int(self.meta["seed"])

    def group_slices(self) -> list[slice]:
        """Rows of each group, in order."""
        group = self.updates.column("group")
        edges = np.searchsorted(group, np.arange(self.protocol.groups + 1))
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]

    def save(self, path: Path) -> None:
        """Write one file, aside first, so that a half-written one never has this name."""
        arrays = {f"u.{name}": getattr(self.updates, name) for name in UPDATE_TYPES}
        arrays |= {f"e.{name}": getattr(self.events, name) for name in EVENT_TYPES}
        # safetensors writes the raw buffer: a strided view would silently become garbage.
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file(whole, aside, metadata={"format": FORMAT, "meta": json.dumps(dict(self.meta))})
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Schedule:
        """Read and validate a file that `save` wrote.

        Raises:
            UserError: no such file, torn, another format, or it breaks a rule of `check`.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such schedule")
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{path}: not a whole schedule file ({error}); make or record it again") from error
        if header.get("format") != FORMAT:
            raise UserError(f"{path}: format {header.get('format')!r}, expected {FORMAT!r}")
        missing = [f"u.{n}" for n in UPDATE_TYPES if f"u.{n}" not in arrays]
        missing += [f"e.{n}" for n in EVENT_TYPES if f"e.{n}" not in arrays]
        if missing:
            raise UserError(f"{path}: lacks column {missing[0]}")
        try:
            meta = json.loads(header.get("meta", ""))
        except json.JSONDecodeError:
            raise UserError(f"{path}: its meta data are not JSON") from None
        updates = Updates(**{name: arrays[f"u.{name}"] for name in UPDATE_TYPES})
        events = Events(**{name: arrays[f"e.{name}"] for name in EVENT_TYPES})
        schedule = cls(updates, events, meta)
        try:
            check(schedule)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return schedule


def check(schedule: Schedule) -> None:
    """Refuse a schedule that could not have happened.

    Raises:
        UserError: names the column and the first row that breaks a rule.
    """
    for key in ("format", "protocol", "engine", "seed", "clock"):
        if key not in schedule.meta:
            raise UserError(f"meta.{key}: missing")
    protocol = schedule.protocol
    _check_types(schedule)
    _check_updates(schedule.updates, protocol)
    lengths = [s.stop - s.start for s in schedule.group_slices()]
    if min(lengths) == 0:
        raise UserError(f"u.group: group {lengths.index(0)} of {protocol.groups} has no updates")
    _check_events(schedule.events, protocol, lengths)


def _check_types(schedule: Schedule) -> None:
    for prefix, table, types in (
        ("u", schedule.updates, UPDATE_TYPES),
        ("e", schedule.events, EVENT_TYPES),
    ):
        assert isinstance(table, Updates | Events)
        rows = len(table)
        for name, dtype in types.items():
            column = getattr(table, name)
            constant = prefix == "u" and name != "time_ns" and column.shape == (1,)
            if column.dtype != dtype:
                raise UserError(f"{prefix}.{name}: type {column.dtype}, expected {dtype}")
            if column.shape != (rows,) and not constant:
                raise UserError(f"{prefix}.{name}: shape {column.shape}, expected ({rows},)")
    if not len(schedule.updates):
        raise UserError("u.time_ns: no updates")


def _check_updates(updates: Updates, protocol: Protocol) -> None:
    time, group, version = (updates.column(n) for n in ("time_ns", "group", "version"))
    worker, read, step, count = (updates.column(n) for n in ("worker", "read", "step", "count"))
    same = group[1:] == group[:-1]
    per_group = protocol.total_workers // protocol.groups
    expected = np.arange(len(updates)) - np.searchsorted(group, group)
    first = group * per_group
    _refuse("u.group", (group < 0) | (group >= protocol.groups), "no such group")
    _refuse("u.group", np.append(False, np.diff(group) < 0), "rows must be ordered by group")
    _refuse("u.version", version != expected, "versions must be 0, 1, 2, ... within a group")
    _refuse("u.time_ns", (time < 0) | np.append(False, same & (np.diff(time) < 0)), "time runs backwards")
    _refuse("u.read", (read < 0) | (read > version), "reads a version that is not there yet")
    _refuse("u.read", (worker == -1) & (read != version), "an update by all workers reads its own version")
    _refuse("u.worker", (worker < -1) | (protocol.barrier & (worker != -1)), "not a worker")
    _refuse("u.worker", (not protocol.barrier) & (worker == -1), "each update has one worker here")
    _refuse("u.worker", (worker >= 0) & ((worker < first) | (worker >= first + per_group)), "of another group")
    _refuse("u.step", step < 0, "negative")
    _refuse("u.count", (count < 1) | (count > per_group), f"must be 1 to {per_group}")
    single = np.flatnonzero(worker >= 0)
    order = single[np.lexsort((version[single], worker[single]))]
    again = (np.diff(worker[order]) == 0) & (np.diff(step[order]) <= 0)
    bad = np.zeros(len(updates), dtype=bool)
    bad[order[1:][again]] = True
    _refuse("u.step", bad, "a worker's steps must rise")


def _check_events(events: Events, protocol: Protocol, lengths: list[int]) -> None:
    known = np.asarray(lengths)
    _refuse("e.kind", events.kind > max(Kind), "no such event")
    _refuse("e.group", (events.group < 0) | (events.group >= protocol.groups), "no such group")
    _refuse(
        "e.version",
        (events.version < 0) | (events.version > known[events.group]) & (events.kind != Kind.ROLLBACK),
        "no such version",
    )
    _refuse("e.time_ns", np.append(False, np.diff(events.time_ns) < 0)[: len(events)], "out of order")
    adopts = events.kind == Kind.ADOPT
    peers = np.where(adopts, events.peer, 0)
    _refuse(
        "e.peer",
        adopts & ((peers < 0) | (peers >= protocol.groups) | (peers == events.group)),
        "a teacher must be another group",
    )
    ahead = adopts & ((events.peer_version < 0) | (events.peer_version > known[peers]))
    _refuse("e.peer_version", ahead, "its teacher never exists")
    if isinstance(protocol, Codistillation) and protocol.exchange == "checkpoints":
        published = set(zip(*_pairs(events, Kind.PUBLISH, "group", "version"), strict=True))
        adopted = zip(*_pairs(events, Kind.ADOPT, "peer", "peer_version"), strict=True)
        unknown = [pair for pair in adopted if pair not in published]
        if unknown:
            peer, version = unknown[0]
            raise UserError(f"e.peer_version: version {version} of group {peer} was never published")
    adoption_order(events.of(Kind.ADOPT), len(lengths))


def _pairs(events: Events, kind: Kind, first: str, second: str) -> tuple[list[int], list[int]]:
    chosen = events.of(kind)
    return getattr(chosen, first).tolist(), getattr(chosen, second).tolist()


def adoption_order(adopts: Events, groups: int) -> list[int]:
    """An order in which all adoptions can happen, as indices into `adopts`: each after its peer's version
    exists.

    Version p of a peer exists once none of the peer's own unmet adoptions lies below p: versions decide,
    never clocks.

    Raises:
        UserError: two groups wait for each other.
    """
    by_group = [
        np.flatnonzero(adopts.group == g)[np.argsort(adopts.version[adopts.group == g], kind="stable")]
        for g in range(groups)
    ]
    queues = [index.tolist() for index in by_group]
    at = [0] * groups
    order: list[int] = []

    def reach(g: int) -> float:
        return float(adopts.version[queues[g][at[g]]]) if at[g] < len(queues[g]) else float("inf")

    moved = True
    while moved:
        moved = False
        for g in range(groups):
            while at[g] < len(queues[g]):
                i = queues[g][at[g]]
                if reach(int(adopts.peer[i])) < adopts.peer_version[i]:
                    break
                order.append(i)
                at[g] += 1
                moved = True
    for g in range(groups):
        if at[g] < len(queues[g]):
            i = queues[g][at[g]]
            raise UserError(
                f"e.peer_version: group {g} at version {adopts.version[i]} adopts version "
                f"{adopts.peer_version[i]} of group {adopts.peer[i]} before it exists"
            )
    return order


def _refuse(column: str, bad: Any, why: str) -> None:
    bad = np.atleast_1d(bad)
    if bad.any():
        raise UserError(f"{column}: row {int(np.argmax(bad))}: {why}")
