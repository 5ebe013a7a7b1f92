"""The fast exact engine: all arrivals before anyone can return are one batch of array operations.

Take the earliest pending arrivals in order, let them depart as if nobody else came (Lindley's recursion as a
running maximum), and look up each worker's next draw, which is keyed and hence already known. The earliest
return is the horizon: arrivals before it are final, whatever the distribution, also where a gradient may
take no time at all. Agrees with `heap` element for element.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.draws import Bits, Ints
from simulation.engines.barrier import BarrierGroup, Lengths, Round, round_of
from simulation.engines.rows import LateFinishRows, SingleRows, refuse_failures
from simulation.protocols import AsyncSGD, BackupWorkers, StaleSynchronous, Within
from simulation.timing import ComputeTimes, Timing

BLOCK = 1 << 17
"""Draws made at once: enough to amortise calls, few enough to stay in the cache."""

NEVER = 2**62


def group(protocol: Within, timing: Timing, seed: int, number: int) -> BarrierGroup | LateFinish | Free:
    """The `number`-th group under a protocol, at version 0 and time 0."""
    workers = protocol.total_workers
    times = ComputeTimes(timing, seed, np.arange(number * workers, (number + 1) * workers))
    if isinstance(protocol, BackupWorkers) and protocol.late == "finish":
        return LateFinish(protocol, timing, number, times)
    if isinstance(protocol, AsyncSGD | StaleSynchronous):
        refuse_failures(timing, "window", type(protocol).__name__)
        return Free(protocol, timing, number, times)
    return BarrierGroup(protocol, timing, seed, number, rounds(round_of(protocol, timing), times))


def rounds(what: Round, times: ComputeTimes) -> Lengths:
    """Rounds of a barrier protocol, many at a time where there are few workers."""
    slowest_only = what.late == 0 and what.service_ns == 0

    def lengths(first: int, count: int, extra_ns: int) -> tuple[Ints, Ints]:
        block = max(1, BLOCK // what.workers)
        result, late = np.zeros(count, np.int64), np.zeros((count, what.late), np.int64)
        for a in range(0, count, block):
            attempts = np.arange(first + a, first + min(a + block, count))[:, None]
            part = slice(a, a + len(attempts))
            if slowest_only and times.identical and what.gradients == 1:
                # The inverse survival function falls: the smallest draw is the slowest worker.
                slowest: Bits = times.bits(attempts).min(axis=1)
                result[part] = times.from_bits(slowest) + extra_ns
                continue
            arrivals = times.draw(slice(None), attempts * what.gradients)
            for h in range(1, what.gradients):
                arrivals += times.draw(slice(None), attempts * what.gradients + h)
            arrivals += what.gradients * extra_ns
            if slowest_only:
                result[part] = arrivals.max(axis=1)
            else:
                result[part], late[part] = _served(arrivals, what)
        return result + what.overhead_ns, late

    return lengths


def _served(arrivals: Ints, what: Round) -> tuple[Ints, Ints]:
    """When the servers are done with the first `needed` of each row, and who was late."""
    # Stable: equal arrivals are served in order of worker number.
    order = np.argsort(arrivals, axis=1, kind="stable")
    first = np.take_along_axis(arrivals, order[:, : what.needed], axis=1)
    queue = what.service_ns * np.arange(what.needed, 0, -1)
    return (first + queue).max(axis=1), np.sort(order[:, what.needed :], axis=1)


class LateFinish(LateFinishRows):
    """BackupWorkers whose late workers finish what nobody wants before they join again."""

    def __init__(self, protocol: BackupWorkers, timing: Timing, number: int, times: ComputeTimes) -> None:
        super().__init__(protocol, timing, number)
        self._draw = times.draw
        # Each worker's gradient under way: when it arrives, and on which version it was begun. -1: none.
        self._arrival = np.zeros(self.workers, np.int64)
        self._begun = np.full(self.workers, -1, np.int64)

    def advance(self, until: int) -> None:
        """Go on to version `until`."""
        fixed = self.timing.pull_ns + self.timing.push_ns
        while self.version < until:
            busy = self._begun >= 0
            read_ns = np.where(busy, np.maximum(self._arrival, self.start_ns), self.start_ns)
            arrival = read_ns + fixed + self._draw(slice(None), self.version) + self.extra_ns
            order = np.argsort(arrival, kind="stable")[: self.needed]
            served = arrival[order] + self.timing.service_ns * np.arange(self.needed, 0, -1)
            last, last_worker = arrival[order[-1]], order[-1]
            # A late worker joins this version if its old gradient arrives before the last one that counts.
            numbers = np.arange(self.workers)
            joins = ~busy | (self._arrival < last) | ((self._arrival == last) & (numbers <= last_worker))
            late = np.flatnonzero(busy & joins)
            if len(late):
                self.drop(self._arrival[late], self._begun[late], late, self.version)
            self._arrival[joins] = arrival[joins]
            self._begun[joins] = self.version
            self._begun[order] = -1
            self.apply(int(served.max()))

    def outstanding(self) -> list[tuple[int, int, int]]:
        """(arrival, version begun on, worker) of the gradients still under way."""
        workers = np.flatnonzero(self._begun >= 0)
        columns = (self._arrival[workers].tolist(), self._begun[workers].tolist(), workers.tolist())
        return list(zip(*columns, strict=True))


class Free(SingleRows):
    """AsyncSGD and StaleSynchronous: every worker for itself, one queue at the servers.

    Pending arrivals before `_cut` are kept sorted in `_near`, each packed with its worker into one integer so
    that sorting also settles ties; the others lie unsorted in `_far`.
    """

    def __init__(self, protocol: AsyncSGD | StaleSynchronous, timing: Timing, number: int, times: ComputeTimes) -> None:
        super().__init__(protocol, timing, number)
        n = self.workers
        self._draw = times.draw
        self._fixed_ns = timing.push_ns + timing.pull_ns
        self._queue = np.arange(n) * timing.service_ns
        self._step = np.full(n, -1, np.int32)  # of each worker's gradient under way
        self._read = np.zeros(n, np.int32)
        self._next = times.draw(slice(None), 0)  # how long each worker's next gradient will take
        self._bits = max(1, (n - 1).bit_length())
        self._base = self._cut = 0
        self._near: Ints = np.zeros(0, np.int64)
        self._far: list[tuple[Ints, Ints]] = []
        self._batch = 64  # what recent windows held, on average
        self._waiting = np.arange(n)  # who reads the newest version, at `time_ns`, and has yet to begin
        self._pace = _Pace(n, protocol.bound_steps) if isinstance(protocol, StaleSynchronous) else None
        self._pieces: list[tuple[NDArray[Any], ...]] = []

    def advance(self, until: int) -> None:
        """Go on to version `until`."""
        rows: tuple[NDArray[Any], ...] = tuple(
            np.empty(until - self.version, t) for t in (np.int64, np.int32, np.int32, np.int32)
        )
        row = 0
        self._begin(self._waiting, self.time_ns, self.version)
        self._waiting = np.zeros(0, np.int64)
        while self.version < until:
            worker, arrival = self._earliest(min(until - self.version, 4 * self._batch + 64))
            departure = self._depart(arrival)
            # restart[i]: after which departure of this window worker[i] begins anew (its own, unless
            # blocked).
            restart, release = np.arange(len(worker)), len(worker)
            blocked = np.zeros(0, np.int64)
            if self._pace is not None:
                restart, release, blocked = self._pace.restarts(worker)
            horizon = self._horizon(worker, departure, restart)
            if release < len(worker) and len(blocked):
                horizon = min(horizon, self._horizon(blocked, departure, np.full(len(blocked), release)))
            n = max(1, int(np.searchsorted(arrival, horizon)))
            self._near = self._near[n:]
            worker, departure, restart = worker[:n], departure[:n], restart[:n]
            columns = (departure, worker, self._read[worker], self._step[worker])
            for target, values in zip(rows, columns, strict=True):
                target[row : row + n] = values
            row += n
            if self._pace is not None:
                worker, restart = self._pace.move(worker, restart, release)
            if self.version + n == until:
                last = restart == n - 1
                self._waiting = worker[last]
                worker, restart = worker[~last], restart[~last]
            self._begin(worker, departure[restart], self.version + 1 + restart)
            self.version += n
            self.time_ns = self.free_ns = int(departure[-1])
            self._batch = (self._batch + n) // 2 + 1
        self._pieces.append(rows)

    def columns(self) -> tuple[Ints, Ints, Ints, Ints]:
        """time_ns, local worker, read, step of all updates."""
        time_ns, worker, read, step = (np.concatenate(p) for p in zip(*self._pieces, strict=True))
        return time_ns, worker, read, step

    def _earliest(self, most: int) -> tuple[Ints, Ints]:
        """Workers and arrivals of the earliest pending gradients, ties in order of worker."""
        if not len(self._near):
            self._refill()
        keys = self._near[:most]
        return keys & ((1 << self._bits) - 1), (keys >> self._bits) + self._base

    def _depart(self, arrival: Ints) -> Ints:
        """Lindley's recursion D_i = max(a_i, D_(i-1)) + s, all at once."""
        queue = self._queue[: len(arrival)]
        departure: Ints = np.maximum(arrival - queue, self.free_ns)
        np.maximum.accumulate(departure, out=departure)
        departure += queue
        departure += self.timing.service_ns
        return departure

    def _horizon(self, worker: Ints, departure: Ints, restart: Ints) -> int:
        """The earliest return among those that begin anew in this window (restart >= 0)."""
        begins = restart >= 0
        if not begins.all():
            worker, restart = worker[begins], restart[begins]
            if not len(worker):
                return NEVER
        returns = departure[restart]
        returns += self._next[worker]
        return int(returns.min()) + self._fixed_ns + self.extra_ns

    def _begin(self, worker: Ints, time_ns: Ints | int, version: Ints | int) -> None:
        """These workers read `version` at `time_ns`; their arrivals become pending."""
        if not len(worker):
            return
        arrival = self._next[worker] + time_ns
        arrival += self._fixed_ns + self.extra_ns
        self._read[worker] = version
        step = self._step[worker] + 1
        self._step[worker] = step
        self._next[worker] = self._draw(worker, step.astype(np.int64) + 1)
        near = arrival < self._cut
        if near.any():
            keys = ((arrival[near] - self._base) << self._bits) | worker[near]
            self._near = np.sort(np.concatenate((self._near, keys)))
            arrival, worker = arrival[~near], worker[~near]
        if len(worker):
            self._far.append((arrival, worker))

    def _refill(self) -> None:
        """Move the earliest of the far arrivals near, as many as balance sorting against partitioning."""
        arrival = np.concatenate([a for a, _ in self._far])
        worker = np.concatenate([w for _, w in self._far])
        self._base = int(arrival.min())
        wanted = isqrt(self.workers * self._batch) + 1
        if len(arrival) > wanted + wanted // 2:
            self._cut = int(np.partition(arrival, wanted)[wanted]) + 1
        else:
            self._cut = int(arrival.max()) + 1
        self._cut = min(self._cut, self._base + (1 << (62 - self._bits)))  # what fits beside a worker
        near = arrival < self._cut
        self._near = np.sort(((arrival[near] - self._base) << self._bits) | worker[near])
        self._far = [] if near.all() else [(arrival[~near], worker[~near])]


class _Pace:
    """Who may begin under StaleSynchronous, and who waits for the slowest."""

    def __init__(self, workers: int, bound: int) -> None:
        self._bound = bound
        self._done = np.zeros(workers, np.int64)
        self._slowest = 0
        self._remaining = workers  # how many have done no more than the slowest
        self._blocked: Ints = np.zeros(0, np.int64)

    def restarts(self, worker: Ints) -> tuple[Ints, int, Ints]:
        """After which departure each of these begins anew (-1: not in this window); the departure at which
        the slowest count rises, or len(worker); who waited for that already.

        It rises at most once in a window: whoever leaves the lowest level is not done with the next one.
        """
        n = len(worker)
        behind = np.flatnonzero(self._done[worker] == self._slowest)
        release = int(behind[-1]) if len(behind) == self._remaining else n
        index = np.arange(n)
        free = self._done[worker] + 1 - self._bound <= self._slowest + (index >= release)
        restart = np.where(free, index, release if release < n else -1)
        return restart, release, self._blocked

    def move(self, worker: Ints, restart: Ints, release: int) -> tuple[Ints, Ints]:
        """These departed for good; return who begins anew and after which departure."""
        n = len(worker)
        self._remaining -= int(np.count_nonzero(self._done[worker] == self._slowest))
        self._done[worker] += 1
        begins = (restart >= 0) & (restart < n)
        stopped = worker[~begins]
        worker, restart = worker[begins], restart[begins]
        if release < n:
            worker = np.concatenate((worker, self._blocked))
            restart = np.concatenate((restart, np.full(len(self._blocked), release)))
            self._blocked = stopped
            self._slowest += 1
            self._remaining = int(np.count_nonzero(self._done == self._slowest))
        else:
            self._blocked = np.concatenate((self._blocked, stopped))
        return worker, restart
