"""A schedule as a picture over time: JSON for Perfetto (ui.perfetto.dev) or chrome://tracing.

One process per group, one thread per sampled worker, complete events ("X") for what each worker does,
counters ("C") for versions and staleness, instants ("i") for events. Times are microseconds, as the format
wants.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simulation.cycles import free_cycles, holds
from simulation.draws import Ints
from simulation.engines.barrier import round_of
from simulation.errors import UserError
from simulation.protocols import Codistillation
from simulation.schedule import Kind, Schedule
from simulation.timing import ComputeTimes, Timing

Slices = tuple[str, Ints, Ints, Ints]
"""Name, thread, begin and end in nanoseconds, one element per slice."""

CHUNK = 1 << 16


def write_trace(schedule: Schedule, timing: Timing, path: Path, workers: int = 16, most_updates: int = 100_000) -> int:
    """Write a trace of a sample of workers, evenly spread, and the first `most_updates` updates; return its
    slices.

    Raises:
        UserError: the schedule was drawn without workers (engine closed_form).
    """
    if schedule.meta["engine"] == "closed_form":
        raise UserError("trace: engine closed_form knows no single workers; run engine window or heap")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with aside.open("w", encoding="ascii") as file:
            file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
            file.write(",\n".join(json.dumps(event, separators=(",", ":")) for event in _names(schedule, workers)))
            for group in range(schedule.protocol.groups):
                for name, thread, begin, end in _slices(schedule, timing, group, workers, most_updates):
                    long = end > begin
                    count += int(long.sum())
                    for text in _complete(name, group, thread[long], begin[long], end[long]):
                        file.write(text)
                for text in _counters(schedule, group, most_updates):
                    file.write(text)
            for event in _instants(schedule):
                file.write(",\n" + json.dumps(event, separators=(",", ":")))
            file.write("\n]}\n")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return count


def _sample(size: int, workers: int) -> Ints:
    return np.unique(np.linspace(0, size - 1, min(size, workers)).astype(np.int64))


def _names(schedule: Schedule, workers: int) -> Iterator[dict[str, Any]]:
    protocol = schedule.protocol
    size = protocol.total_workers // protocol.groups
    for group in range(protocol.groups):
        yield {"ph": "M", "name": "process_name", "pid": group, "args": {"name": f"group {group}"}}
        for w in _sample(size, workers).tolist():
            name = {"name": f"worker {group * size + w}"}
            yield {"ph": "M", "name": "thread_name", "pid": group, "tid": group * size + w, "args": name}


def _slices(schedule: Schedule, timing: Timing, group: int, workers: int, most_updates: int) -> Iterator[Slices]:
    protocol = schedule.protocol
    size = protocol.total_workers // protocol.groups
    sample = _sample(size, workers)
    if protocol.barrier:
        yield from _barrier_slices(schedule, timing, group, sample, most_updates)
        return
    c = free_cycles(schedule, timing, group, sample)
    kept = c.row < most_updates
    thread = (c.worker + group * size)[kept]
    previous, begun, arrival, departure = (x[kept] for x in (c.previous, c.begun, c.arrival, c.departure))
    failed = c.failed[kept]
    # A failed worker's cycle is one gap: what it did in it is not in the schedule.
    pulled = np.where(failed, previous, begun + timing.pull_ns)
    pushed = np.where(failed, previous, arrival - timing.push_ns)
    served = departure - timing.service_ns
    yield "blocked", thread, previous, begun
    yield "pull", thread, begun, np.where(failed, begun, pulled)
    yield "compute", thread, pulled, pushed
    yield "push", thread, pushed, arrival
    yield "queue", thread[~failed], arrival[~failed], served[~failed]
    yield "failed", thread[failed], previous[failed], served[failed]
    yield "server", thread, served, departure


def _barrier_slices(
    schedule: Schedule, timing: Timing, group: int, sample: Ints, most_updates: int
) -> Iterator[Slices]:
    """Rounds as they would be without failures; with failures only the rounds that lasted are drawn."""
    protocol = schedule.protocol
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    what = round_of(within, timing)
    times = schedule.updates.time_ns[schedule.group_slices()[group]][:most_updates]
    taught, stood = (x[: len(times)] for x in holds(schedule, group))
    begin = np.concatenate(([0], times[:-1])) + stood
    thread = np.repeat(sample + group * what.workers, len(times)).reshape(len(sample), -1)
    begins, ends = (np.broadcast_to(x, thread.shape) for x in (begin, times))
    held = np.broadcast_to(begin - stood, thread.shape)
    yield "adopt", thread.ravel(), held.ravel(), begins.ravel()
    if timing.failures_per_hour or getattr(within, "late", "abort") == "finish":
        # Attempts and late finishers are not in the schedule, so neither are their draws.
        yield "round", thread.ravel(), begins.ravel(), ends.ravel()
        return
    draws = ComputeTimes(timing, schedule.seed, sample + group * what.workers)
    steps = np.arange(len(times)) * what.gradients
    compute = draws.draw(slice(None), steps[:, None]).T.copy()
    for h in range(1, what.gradients):
        compute += draws.draw(slice(None), steps[:, None] + h).T
    compute += (what.gradients * np.floor(timing.teacher_forward_ns * taught + 1e-6)).astype(np.int64)
    pulled = begins + timing.pull_ns
    computed = np.minimum(pulled + compute, ends)
    link = ends - (what.overhead_ns - timing.pull_ns)
    yield "pull", thread.ravel(), begins.ravel(), pulled.ravel()
    yield "compute", thread.ravel(), pulled.ravel(), computed.ravel()
    yield "wait", thread.ravel(), computed.ravel(), np.maximum(link, computed).ravel()
    yield "exchange", thread.ravel(), np.maximum(link, computed).ravel(), ends.ravel()


def _complete(name: str, group: int, thread: Ints, begin: Ints, end: Ints) -> Iterator[str]:
    """Complete events, formatted by the thousand: one template, one `%`."""
    one = f',\n{{"ph":"X","name":"{name}","pid":{group},"tid":%d,"ts":%d.%03d,"dur":%d.%03d}}'
    length = end - begin
    columns = (thread, begin // 1000, begin % 1000, length // 1000, length % 1000)
    table = np.stack(columns, axis=1)
    for a in range(0, len(table), CHUNK):
        part = table[a : a + CHUNK]
        yield one * len(part) % tuple(part.ravel().tolist())


def _counters(schedule: Schedule, group: int, most_updates: int) -> Iterator[str]:
    part = schedule.group_slices()[group]
    part = slice(part.start, min(part.stop, part.start + most_updates))
    u = schedule.updates
    every = max(1, (part.stop - part.start) // 10_000)
    rows = slice(part.start, part.stop, every)
    time_ns, version = u.time_ns[rows], u.column("version")[rows].astype(np.int64)
    staleness = version - u.column("read")[rows]
    for name, values in (("version", version + 1), ("staleness", staleness)):
        one = f',\n{{"ph":"C","name":"{name}","pid":{group},"ts":%d.%03d,"args":{{"{name}":%d}}}}'
        table = np.stack((time_ns // 1000, time_ns % 1000, values), axis=1)
        yield one * len(table) % tuple(table.ravel().tolist())


def _instants(schedule: Schedule) -> Iterator[dict[str, Any]]:
    for e in schedule.events.rows():
        kind = Kind(e["kind"])
        args = {n: e[n] for n in ("version", "worker", "peer", "peer_version") if e[n] >= 0}
        where = {"s": "p"} if e["worker"] < 0 else {"s": "t", "tid": e["worker"]}
        yield {
            "ph": "i", "name": kind.name, "pid": e["group"], "ts": e["time_ns"] / 1000, "args": args, **where,
        }  # fmt: skip
