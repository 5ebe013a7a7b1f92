"""What each worker did when: worked out again from a schedule, its timing and the keyed draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulation.draws import Floats, Ints
from simulation.protocols import Codistillation
from simulation.schedule import Kind, Schedule
from simulation.timing import ComputeTimes, Timing


@dataclass(frozen=True)
class Cycles:
    """Gradients of some workers of an asynchronous group, one element each, ordered by (worker, step).

    A cycle runs from the worker's `previous` departure (0 at first) to this `departure`; all in int64
    nanoseconds. `begun` is when it read the weights; `held_ns` what of its wait at the servers was a hold
    for teachers. Where the worker `failed` in between, `begun` and `arrival` are unknown and left at
    `previous`.
    """

    worker: Ints
    row: Ints
    previous: Ints
    begun: Ints
    compute_ns: Ints
    teacher_ns: Ints
    arrival: Ints
    departure: Ints
    held_ns: Ints
    failed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def holds(schedule: Schedule, group: int) -> tuple[Floats, Ints]:
    """For each version of a group: the share of peers teaching it, and how long it stood still for them."""
    protocol = schedule.protocol
    updates = schedule.group_slices()[group]
    n = updates.stop - updates.start
    taught, stood = np.zeros(n), np.zeros(n, np.int64)
    if not isinstance(protocol, Codistillation):
        return taught, stood
    adopts = schedule.events.of(Kind.ADOPT)
    mine = adopts.group == group
    version, peer, time_ns = adopts.version[mine], adopts.peer[mine], adopts.time_ns[mine]
    applied = np.concatenate(([0], schedule.updates.time_ns[updates]))
    stood[version] = time_ns - applied[version]
    if protocol.exchange == "predictions":
        taught[version] = 1.0
        return taught, stood
    for p in np.unique(peer):
        taught[version[peer == p].min() :] += 1.0 / (protocol.groups - 1)
    return taught, stood


def free_cycles(
    schedule: Schedule,
    timing: Timing,
    group: int,
    workers: Ints | None = None,
    most_rows: int | None = None,
) -> Cycles:
    """Cycles of these local workers of an asynchronous group (default: as many as fit into `most_rows`)."""
    protocol = schedule.protocol
    part = schedule.group_slices()[group]
    u = schedule.updates
    size = protocol.total_workers // protocol.groups
    local = u.column("worker")[part].astype(np.int64) - group * size
    if workers is None:
        share = 1.0 if most_rows is None else min(1.0, most_rows / len(local))
        workers = np.unique(np.linspace(0, size - 1, max(1, int(size * share))).astype(np.int64))
    rows = np.flatnonzero(np.isin(local, workers))
    rows = rows[np.lexsort((rows, local[rows]))]
    worker, step = local[rows], u.column("step")[part][rows].astype(np.int64)
    time_ns, read = u.time_ns[part], u.column("read")[part][rows].astype(np.int64)
    departure = time_ns[rows]
    again = np.concatenate(([False], worker[1:] == worker[:-1]))
    previous = np.where(again, np.roll(departure, 1), 0)
    failed = np.where(again, step - np.roll(step, 1) > 1, step > 0)
    draws = ComputeTimes(timing, schedule.seed, np.arange(group * size, (group + 1) * size))
    compute_ns = draws.draw(worker, step)
    taught, stood = holds(schedule, group)
    # Teachers are adopted at `read`; the last version's own are not part of the run.
    teacher_ns = np.floor(timing.teacher_forward_ns * taught[read] + 1e-6).astype(np.int64)
    applied = np.concatenate(([0], time_ns))
    begun = np.where(failed, previous, applied[read])
    arrival = begun + timing.pull_ns + compute_ns + teacher_ns + timing.push_ns
    arrival = np.where(failed, previous, arrival)
    held_ns = np.where(failed, 0, _held(departure, applied, stood) - _held(arrival, applied, stood))
    return Cycles(worker, rows, previous, begun, compute_ns, teacher_ns, arrival, departure, held_ns, failed)


def _held(time_ns: Ints, applied: Ints, stood: Ints) -> Ints:
    """How long the group's servers have stood still for teachers before each of these times."""
    versions = np.flatnonzero(stood)
    begins, lengths = applied[versions], stood[versions]
    before = np.concatenate(([0], np.cumsum(lengths)))
    at = np.searchsorted(begins, time_ns, side="right")
    if not len(begins):
        return np.zeros_like(time_ns)
    current = np.where(at > 0, np.clip(time_ns - begins[at - 1], 0, lengths[at - 1]), 0)
    total: Ints = before[np.maximum(at - 1, 0)] + current
    return total
