"""The reference engine: one event at a time from a heap, in the order in which things happen.

Slow and plain on purpose. `window` must agree with it element for element: whoever doubts a rule reads it
here.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heapify, heappop, heappush

import numpy as np

from simulation.draws import Ints, Stream, draw_bits, survival_of
from simulation.engines.barrier import HOUR_NS, BarrierGroup, Lengths, round_of
from simulation.engines.rows import LateFinishRows, SingleRows
from simulation.protocols import AsyncSGD, BackupWorkers, StaleSynchronous, Within
from simulation.timing import ComputeTimes, Timing

BLOCK_STEPS = 16


class Draws:
    """Gradient times of one group's workers as plain integers, read in blocks from the common function."""

    def __init__(self, timing: Timing, seed: int, first_worker: int, workers: int) -> None:
        self._times = ComputeTimes(timing, seed, np.arange(first_worker, first_worker + workers))
        self._blocks: list[list[int]] = [[] for _ in range(workers)]
        self._starts = [-BLOCK_STEPS] * workers

    def __call__(self, worker: int, step: int) -> int:
        """Nanoseconds of the gradient (local worker, step)."""
        offset = step - self._starts[worker]
        if not 0 <= offset < BLOCK_STEPS:
            steps = np.arange(step, step + BLOCK_STEPS)
            self._blocks[worker] = self._times.draw(np.full(BLOCK_STEPS, worker), steps).tolist()
            self._starts[worker], offset = step, 0
        return self._blocks[worker][offset]


def group(protocol: Within, timing: Timing, seed: int, number: int) -> BarrierGroup | LateFinish | Free:
    """The `number`-th group under a protocol, at version 0 and time 0."""
    workers = protocol.total_workers
    draws = Draws(timing, seed, number * workers, workers)
    if isinstance(protocol, BackupWorkers) and protocol.late == "finish":
        return LateFinish(protocol, timing, number, draws)
    if isinstance(protocol, AsyncSGD | StaleSynchronous):
        return Free(protocol, timing, seed, number, draws)
    return BarrierGroup(protocol, timing, seed, number, rounds(protocol, timing, draws))


def rounds(protocol: Within, timing: Timing, draws: Draws) -> Lengths:
    """Rounds of a barrier protocol, each played from its own heap of arrivals."""
    what = round_of(protocol, timing)

    def lengths(first: int, count: int, extra_ns: int) -> tuple[Ints, Ints]:
        result, late = np.zeros(count, np.int64), np.zeros((count, what.late), np.int64)
        for i in range(count):
            step = (first + i) * what.gradients
            heap = [(sum(draws(w, step + h) + extra_ns for h in range(what.gradients)), w) for w in range(what.workers)]
            heapify(heap)
            done = 0
            for _ in range(what.needed):
                arrival, _w = heappop(heap)
                done = max(done, arrival) + what.service_ns
            result[i] = done + what.overhead_ns
            late[i] = sorted(w for _, w in heap)
        return result, late

    return lengths


class LateFinish(LateFinishRows):
    """BackupWorkers whose late workers finish what nobody wants before they join again."""

    def __init__(self, protocol: BackupWorkers, timing: Timing, number: int, draws: Draws) -> None:
        super().__init__(protocol, timing, number)
        self._draws = draws
        # Arrivals at the servers: (time, worker, version it was begun on).
        self._heap: list[tuple[int, int, int]] = []
        self._waiting = list(range(self.workers))

    def advance(self, until: int) -> None:
        """Go on to version `until`."""
        while self.version < until:
            for worker in self._waiting:
                self._begin(worker, self.start_ns)
            self._waiting.clear()
            done, taken = self.start_ns, 0
            while taken < self.needed:
                arrival, worker, begun = heappop(self._heap)
                if begun == self.version:
                    done = max(done, arrival) + self.timing.service_ns
                    taken += 1
                    self._waiting.append(worker)
                else:
                    # Who comes late before this version may be read waits for it.
                    self.drop(arrival, begun, worker, self.version)
                    self._begin(worker, max(arrival, self.start_ns))
            self.apply(done)

    def outstanding(self) -> list[tuple[int, int, int]]:
        """(arrival, version begun on, worker) of the gradients still under way."""
        return [(arrival, begun, worker) for arrival, worker, begun in self._heap]

    def _begin(self, worker: int, read_ns: int) -> None:
        compute = self._draws(worker, self.version) + self.extra_ns
        arrival = read_ns + self.timing.pull_ns + compute + self.timing.push_ns
        heappush(self._heap, (arrival, worker, self.version))


# What may happen at one time, in this order.
FAILURE, ARRIVAL, REJOIN = -1, 0, 1


class Free(SingleRows):
    """AsyncSGD and StaleSynchronous: every worker for itself, one queue at the servers, workers that fail."""

    def __init__(
        self, protocol: AsyncSGD | StaleSynchronous, timing: Timing, seed: int, number: int, draws: Draws
    ) -> None:
        super().__init__(protocol, timing, number)
        n = self.workers
        self._seed = seed
        self._draws = draws
        self._bound = protocol.bound_steps if isinstance(protocol, StaleSynchronous) else None
        self._times: list[int] = []
        self._rows: list[tuple[int, int, int]] = []  # worker, read, step
        self._step = [-1] * n
        self._done = [0] * n
        self._at_level = {0: n}  # how many workers have done this many steps
        self._slowest = 0
        self._blocked: list[int] = []
        self._read = [0] * n
        self._read_ns = [0] * n
        self._entry = [0] * n  # which heap entry of a worker counts; others are void
        self._not_before = [0] * n
        self._heap: list[tuple[int, int, int, int]] = []  # time, what, worker, entry
        self._restarts = [(worker, 0) for worker in range(n)]  # (worker, read at) whose cycle begins now
        self._failures = 0
        if timing.failures_per_hour:
            self._plan_failure(0)

    def advance(self, until: int) -> None:
        """Go on to version `until`."""
        while True:
            # Restarts at the last version wait for `hold`, which may change what they cost.
            if self.version == until:
                return
            for worker, read_ns in self._restarts:
                self._begin(worker, read_ns)
            self._restarts.clear()
            time, what, worker, entry = heappop(self._heap)
            if what == FAILURE:
                self._fail(time)
            elif entry != self._entry[worker]:
                continue
            elif what == REJOIN:
                self._restarts.append((worker, time))
            else:
                self._arrive(time, worker)

    def columns(self) -> tuple[Ints, Ints, Ints, Ints]:
        """time_ns, local worker, read, step of all updates."""
        worker, read, step = np.array(self._rows, dtype=np.int64).T
        return np.array(self._times, dtype=np.int64), worker, read, step

    def _begin(self, worker: int, read_ns: int) -> None:
        """Read the weights at `read_ns`, compute, push."""
        self._step[worker] += 1
        self._read[worker] = bisect_right(self._times, read_ns)
        self._read_ns[worker] = read_ns
        compute = self._draws(worker, self._step[worker]) + self.extra_ns
        arrival = read_ns + self.timing.pull_ns + compute + self.timing.push_ns
        self._push(arrival, ARRIVAL, worker)

    def _push(self, time: int, what: int, worker: int) -> None:
        self._entry[worker] += 1
        heappush(self._heap, (time, what, worker, self._entry[worker]))

    def _arrive(self, arrival: int, worker: int) -> None:
        departure = max(arrival, self.free_ns) + self.timing.service_ns
        self.free_ns = self.time_ns = departure
        self._times.append(departure)
        self._rows.append((worker, self._read[worker], self._step[worker]))
        self.version += 1
        self._at_level[self._done[worker]] -= 1
        self._done[worker] += 1
        self._at_level[self._done[worker]] = self._at_level.get(self._done[worker], 0) + 1
        if self._may_begin(worker):
            self._restarts.append((worker, departure))
        else:
            self._blocked.append(worker)
        if self._at_level[self._slowest] == 0:
            del self._at_level[self._slowest]
            self._slowest += 1
            released = [w for w in self._blocked if self._may_begin(w)]
            self._blocked = [w for w in self._blocked if not self._may_begin(w)]
            for w in released:
                self._release(w, departure)

    def _may_begin(self, worker: int) -> bool:
        return self._bound is None or self._done[worker] - self._bound <= self._slowest

    def _release(self, worker: int, time: int) -> None:
        if self._not_before[worker] > time:
            self._push(self._not_before[worker], REJOIN, worker)
        else:
            self._restarts.append((worker, time))

    def _plan_failure(self, after_ns: int) -> None:
        bits = draw_bits(self._seed, Stream.FAILURE, self.number, self._failures)
        wait = int(-np.log(survival_of(bits))[0] * HOUR_NS / self.timing.failures_per_hour)
        heappush(self._heap, (after_ns + 1 + wait, FAILURE, -1, 0))

    def _fail(self, time: int) -> None:
        """One worker loses what it is computing and reads again after the restart."""
        bits = draw_bits(self._seed, Stream.VICTIM, self.number, self._failures)[0]
        worker = int(bits % np.uint64(self.workers))
        self._failures += 1
        self.log_failure(time, bisect_right(self._times, time), worker)
        back = time + self.timing.restart_ns
        if worker in self._blocked:
            self._not_before[worker] = back
        else:
            self._push(max(back, self._read_ns[worker]), REJOIN, worker)
        self._plan_failure(time)
