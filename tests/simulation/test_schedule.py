"""Schedules survive their file bit for bit, and impossible ones are refused with the row that is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from simulation.distributions import ShiftedExponential
from simulation.engines import run
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, BackupWorkers, Codistillation, StaleSynchronous, SyncSGD
from simulation.schedule import EVENT_TYPES, UPDATE_TYPES, Kind, Schedule, check
from simulation.timing import Timing

TIMING = Timing(ShiftedExponential(8e5, 2e5))
PAIR = Codistillation(2, SyncSGD(2), 5, 5)


def make(protocol, updates=30):
    return run(protocol, TIMING, updates, seed=3)


@pytest.mark.parametrize(
    "protocol", [SyncSGD(3), AsyncSGD(3), StaleSynchronous(4, 1), BackupWorkers(3, 2, "finish"), PAIR]
)
def test_file_and_back(tmp_path, protocol):
    schedule = make(protocol)
    file = tmp_path / "deep" / "schedule.safetensors"
    schedule.save(file)
    again = Schedule.load(file)
    for name in UPDATE_TYPES:
        np.testing.assert_array_equal(getattr(again.updates, name), getattr(schedule.updates, name))
    for name in EVENT_TYPES:
        np.testing.assert_array_equal(getattr(again.events, name), getattr(schedule.events, name))
    assert again.meta == schedule.meta
    assert again.protocol == protocol
    assert [path.name for path in file.parent.iterdir()] == ["schedule.safetensors"]


def test_strided_columns_are_written_whole(tmp_path):
    schedule = make(AsyncSGD(3))
    table = np.zeros((30, 2), dtype=np.int32)
    table[:, 0] = schedule.updates.worker
    strided = replace(schedule, updates=replace(schedule.updates, worker=table[:, 0]))
    strided.save(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "s.safetensors")["u.worker"], schedule.updates.worker)


def test_torn_and_foreign_files_are_refused(tmp_path):
    file = tmp_path / "s.safetensors"
    with pytest.raises(UserError, match="no such schedule"):
        Schedule.load(file)
    make(AsyncSGD(3)).save(file)
    whole = file.read_bytes()
    for cut in (0, 5, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(UserError, match="not a whole schedule file"):
            Schedule.load(file)
    file.write_bytes(whole.replace(b"schedule/1", b"schedule/9"))
    with pytest.raises(UserError, match="schedule/9"):
        Schedule.load(file)
    file.write_bytes(whole.replace(b"u.read", b"u.raed"))
    with pytest.raises(UserError, match=r"lacks column u\.read"):
        Schedule.load(file)


def broken(schedule, table, name, row, value):
    part = getattr(schedule, table)
    column = np.array(part.column(name) if table == "updates" else getattr(part, name))
    column[row] = value
    return replace(schedule, **{table: replace(part, **{name: column})})


ADOPT_ROW = int(np.argmax(make(PAIR).events.kind == Kind.ADOPT))


@pytest.mark.parametrize(
    ("protocol", "table", "name", "row", "value", "says"),
    [
        (AsyncSGD(3), "updates", "version", 7, 8, "u.version: row 7"),
        (AsyncSGD(3), "updates", "read", 7, 8, "u.read: row 7: reads a version"),
        (AsyncSGD(3), "updates", "read", 7, -1, "u.read: row 7"),
        (AsyncSGD(3), "updates", "time_ns", 7, 0, "u.time_ns: row 7: time runs backwards"),
        (AsyncSGD(3), "updates", "worker", 7, 3, "u.worker: row 7: of another group"),
        (AsyncSGD(3), "updates", "worker", 7, -1, "u.(read|worker): row 7"),
        (AsyncSGD(3), "updates", "step", slice(3, 30), 0, "a worker's steps must rise"),
        (AsyncSGD(3), "updates", "count", 7, 0, "u.count: row 7"),
        (AsyncSGD(3), "updates", "group", 7, 1, "u.group: row 7: no such group"),
        (SyncSGD(3), "updates", "read", 7, 6, "reads its own version"),
        (SyncSGD(3), "updates", "worker", 7, 1, "u.worker: row 7"),
        (PAIR, "updates", "group", 0, 1, "ordered by group"),
        (PAIR, "updates", "group", slice(None), 0, "u.version: row 30"),
        (PAIR, "events", "kind", 0, 9, "e.kind: row 0"),
        (PAIR, "events", "time_ns", 1, 2**60, "e.time_ns: row 2: out of order"),
        (PAIR, "events", "version", 0, 31, "e.version: row 0"),
        (PAIR, "events", "peer_version", ADOPT_ROW, 31, "its teacher never exists"),
        (PAIR, "events", "peer_version", ADOPT_ROW, 1, "was never published"),
        (PAIR, "events", "peer", ADOPT_ROW, 7, "e.peer: row"),
    ],
)
def test_impossible_schedules_are_refused(protocol, table, name, row, value, says):
    with pytest.raises(UserError, match=says):
        check(broken(make(protocol), table, name, row, value))


def test_groups_that_wait_for_each_other_are_refused():
    schedule = make(PAIR)
    events = schedule.events
    first = np.flatnonzero((events.kind == Kind.ADOPT) & (events.version == 5))
    assert len(first) == 2
    later = events.peer_version.copy()
    later[first] = 10
    with pytest.raises(UserError, match="before it exists"):
        check(replace(schedule, events=replace(events, peer_version=later)))


def test_types_shapes_and_meta_are_refused():
    schedule = make(AsyncSGD(3))
    with pytest.raises(UserError, match=r"u\.read: type int64"):
        check(replace(schedule, updates=replace(schedule.updates, read=schedule.updates.read.astype(np.int64))))
    with pytest.raises(UserError, match=r"u\.read: shape"):
        check(replace(schedule, updates=replace(schedule.updates, read=schedule.updates.read[:-1])))
    with pytest.raises(UserError, match=r"meta\.seed"):
        check(replace(schedule, meta={k: v for k, v in schedule.meta.items() if k != "seed"}))
