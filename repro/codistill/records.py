"""What a real run writes down as it goes, and the schedule that is made of it."""

from __future__ import annotations

import errno
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.codistill.patience import Patience
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError
from simulation.schedule import EVENT_TYPES, FORMAT, UPDATE_TYPES, Events, Kind, Schedule, Updates, check

UPDATE = 255
"""The kind of a record that is an update; events have the kinds of `simulation.schedule.Kind`."""

RECORD = np.dtype(
    [
        ("kind", "<u1"),
        ("group", "<i4"),
        ("version", "<i4"),
        ("worker", "<i4"),
        ("first", "<i4"),  # update: read; event: peer
        ("second", "<i4"),  # update: step; event: peer_version
        ("count", "<i4"),
        ("time_ns", "<i8"),
        ("digest", "<u8"),
        ("check", "<u4"),
    ]
)
_CHECKED = RECORD.itemsize - 4


class Clock:
    """Nanoseconds since a run's origin, never running backwards within one process.

    On the origin's host and boot it is the monotonic clock; elsewhere that clock plus an offset, which wall clocks
    give once, at the start. Versions, never times, say what came before what.
    """

    def __init__(self, origin: Mapping[str, Any]) -> None:
        self.same_host = origin["boot"] == boot_id()
        begin = int(origin["monotonic_ns"])
        if not self.same_host:
            begin = time.monotonic_ns() - (time.time_ns() - origin["wall_ns"])
        self._begin = begin

    def __call__(self) -> int:
        return max(0, time.monotonic_ns() - self._begin)


def boot_id() -> str:
    """Names this host's present run; two hosts, or a host before and after a restart, differ."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.uname().nodename


def origin_now() -> dict[str, Any]:
    """The present moment as a run's origin."""
    return {"boot": boot_id(), "monotonic_ns": time.monotonic_ns(), "wall_ns": time.time_ns()}


class Records:
    """One group's file of fixed-size records, appended and handed to the system at once.

    A torn record at the end, which a killed process may leave, is dropped when the file is opened again.
    """

    def __init__(self, path: Path, clock: Clock, patience: Patience) -> None:
        self._clock, self._patience, self._path = clock, patience, path
        self._one_at_a_time = threading.Lock()
        self.before = read_records(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        self._length = len(self.before) * RECORD.itemsize
        os.ftruncate(self._file, self._length)
        self._last_ns = int(self.before["time_ns"].max()) if len(self.before) else 0

    def update(self, group: int, version: int, step: int, count: int) -> None:
        """All workers of a group made `version` into the next."""
        self._append(UPDATE, group, version, -1, version, step, count, 0)

    def event(
        self,
        kind: Kind,
        group: int,
        version: int,
        *,
        peer: int = -1,
        peer_version: int = -1,
        digest: int = 0,
    ) -> None:
        """Anything else that befalls a group; see `simulation.schedule.Kind`."""
        self._append(int(kind), group, version, -1, peer, peer_version, 0, digest)

    def sync(self) -> None:
        """Return once all records so far are on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Nothing more will be recorded."""
        os.close(self._file)

    def _append(self, *values: int) -> None:
        kind, group, version, worker, first, second, count, digest = values
        with self._one_at_a_time:  # the training loop and the writer both record
            self._last_ns = max(self._last_ns, self._clock())
            record = np.array((kind, group, version, worker, first, second, count, self._last_ns, digest, 0), RECORD)
            record["check"] = zlib.crc32(record.tobytes()[:_CHECKED])
            content = record.tobytes()

            def write() -> None:
                if os.pwrite(self._file, content, self._length) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            self._patience.until_written(self._path, write)
            self._length += len(content)


def read_records(path: Path) -> NDArray[Any]:
    """All whole records of a file, in the order they were written; none if there is no file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    whole = len(content) // RECORD.itemsize
    records = np.frombuffer(content, RECORD, whole).copy()
    for i in range(whole):
        if zlib.crc32(records[i].tobytes()[:_CHECKED]) != records[i]["check"]:
            return records[:i]
    return records


@dataclass(frozen=True)
class LearningPath:
    """What one group learned by: its updates and events, those overtaken by a rollback left out."""

    updates: list[Any]
    events: list[Any]
    lost: int


def learning_path(records: NDArray[Any]) -> LearningPath:
    """Follow a group's records: a failure at, or a rollback to, version v takes back what came from v on."""
    updates: list[Any] = []
    events: list[Any] = []
    published: dict[int, Any] = {}
    lost = 0
    for record in records:
        kind = int(record["kind"])
        if kind == UPDATE:
            if int(record["version"]) != len(updates):
                raise UserError(f"records: group {record['group']} skips from version {len(updates)}")
            updates.append(record)
        elif kind == Kind.PUBLISH:
            published[int(record["version"])] = record
        else:
            if kind in (Kind.FAIL, Kind.ROLLBACK):
                # A failure may come between an adoption and the first update it was meant for.
                target = int(record["second"] if kind == Kind.ROLLBACK else record["version"])
                lost += len(updates) - target
                del updates[target:]
                events = [e for e in events if e["kind"] != Kind.ADOPT or e["version"] < target]
            events.append(record)
    reached = len(updates)
    events += [record for version, record in published.items() if version <= reached]
    return LearningPath(updates, [e for e in events if e["kind"] != Kind.ADOPT or e["version"] <= reached], lost)


def schedule_of(groups: Sequence[NDArray[Any]], meta: Mapping[str, Any]) -> Schedule:
    """The schedule of a run from its groups' records.

    Raises:
        UserError: a group has none, or they could not have happened.
    """
    paths = [learning_path(records) for records in groups]
    for g, path in enumerate(paths):
        if not path.updates:
            raise UserError(f"schedule: group {g} has recorded no update yet")
    rows = np.array([record for path in paths for record in path.updates], dtype=RECORD)
    columns = {"time_ns": rows["time_ns"], "group": rows["group"], "version": rows["version"]}
    columns |= {"worker": rows["worker"], "read": rows["first"], "step": rows["second"], "count": rows["count"]}
    updates = Updates(**{name: np.ascontiguousarray(columns[name].astype(t)) for name, t in UPDATE_TYPES.items()})
    found = np.array([record for path in paths for record in path.events], dtype=RECORD)
    found = found[np.lexsort((found["first"], found["version"], found["kind"], found["group"], found["time_ns"]))]
    columns = {name: found[name] for name in ("kind", "time_ns", "group", "version", "worker", "digest")}
    columns |= {"peer": found["first"], "peer_version": found["second"]}
    # A failure may have come at a version that a rollback took back and that was not reached again.
    reached = np.array([len(path.updates) for path in paths])
    failed = found["kind"] == Kind.FAIL
    columns["version"] = np.where(failed, np.minimum(found["version"], reached[found["group"]]), found["version"])
    events = Events(**{name: np.ascontiguousarray(columns[name].astype(t)) for name, t in EVENT_TYPES.items()})
    lost = [path.lost for path in paths]
    schedule = Schedule(updates, events, {"format": FORMAT, **meta, "lost_updates": lost})
    try:
        check(schedule)
    except SimulatorError as error:
        raise UserError(f"schedule: the records do not fit together: {error}") from None
    return schedule
