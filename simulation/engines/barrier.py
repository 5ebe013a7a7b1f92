"""Groups whose workers meet at every update: the part that all engines share.

An engine supplies `lengths`: how long each round lasts, given the attempt's number. This module strings
rounds into versions, and lets failures throw some of them away: the group returns to its last checkpoint
and repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulation.draws import Ints, Stream, draw_bits, survival_of
from simulation.errors import UserError
from simulation.protocols import BackupWorkers, LocalSGD, SyncSGD, Within
from simulation.schedule import EventLog, Kind, Updates
from simulation.timing import Timing

HOUR_NS = 3_600 * 10**9


@dataclass(frozen=True)
class Round:
    """What one round of a barrier protocol consists of.

    `workers` begin together; each takes `gradients` steps; their results reach the servers, which take the
    first `needed` one by one in `service_ns` each (0 for all-reduce: the round then lasts as long as the
    slowest); `overhead_ns` is spent on links either way.
    """

    workers: int
    needed: int
    gradients: int
    service_ns: int
    overhead_ns: int

    @property
    def late(self) -> int:
        """How many come too late each time."""
        return self.workers - self.needed


def round_of(protocol: Within, timing: Timing) -> Round:
    """The round of a barrier protocol."""
    servers = timing.push_ns + timing.pull_ns
    match protocol:
        case SyncSGD(workers=n, aggregation="allreduce"):
            return Round(n, n, 1, 0, timing.allreduce_ns)
        case SyncSGD(workers=n):
            return Round(n, n, 1, timing.service_ns, servers)
        case BackupWorkers(workers=n, backups=b):
            return Round(n + b, n, 1, timing.service_ns, servers)
        case LocalSGD(workers=n, interval_steps=steps):
            return Round(n, n, steps, 0, timing.averaging_ns)
    raise UserError(f"{type(protocol).__name__}: its workers do not meet at a barrier")


Lengths = Callable[[int, int, int], tuple[Ints, Ints]]
"""(first attempt, how many, extra ns per gradient) -> lengths int64 (n,) and the late workers' local numbers
int64 (n, late), in rising order."""


class BarrierGroup:
    """One group under SyncSGD, BackupWorkers(late="abort") or LocalSGD, on any engine's `lengths`."""

    def __init__(self, protocol: Within, timing: Timing, seed: int, group: int, lengths: Lengths) -> None:
        self.round = round_of(protocol, timing)
        self.timing, self.seed, self.group = timing, seed, group
        self.version = 0
        self.time_ns = 0
        self.log = EventLog()
        self._lengths = lengths
        self._start_ns = self._extra_ns = 0
        self._attempt = 0
        self._times: list[Ints] = []  # pieces of one row each where failures may take them back
        self._late: list[Ints] = []
        self.failure_ns = 0  # what failures, restarts and checkpoints have cost so far
        self._saved = self._saved_ns = 0
        self._failures = 0
        self._next_failure_ns = self._failure_after(0) if timing.failures_per_hour else None

    def hold(self, resume_ns: int, extra_ns: int) -> None:
        """Stand still until `resume_ns`; from now on each gradient takes `extra_ns` longer.

        Groups hold where they publish, and a published snapshot is a checkpoint.
        """
        self._start_ns, self._extra_ns = resume_ns, extra_ns
        self._saved, self._saved_ns = self.version, resume_ns

    def advance(self, until: int) -> None:
        """Go on to version `until`."""
        if self._next_failure_ns is None:
            lengths, late = self._lengths(self._attempt, until - self.version, self._extra_ns)
            self._attempt += len(lengths)
            self._append(self._start_ns + np.cumsum(lengths), late)
            return
        while self.version < until:
            first = self._attempt
            lengths, late = self._lengths(first, until - self.version, self._extra_ns)
            for i, length in enumerate(lengths.tolist()):
                if self.version == until:
                    break
                self._attempt += 1
                if self._fail_before(self._start_ns + length):
                    continue
                self._append(np.array([self._start_ns + length]), late[i : i + 1])
                if self.version < until:
                    self._checkpoint()

    def updates(self) -> Updates:
        """Rows of this group; call once, at the end."""
        version = np.arange(self.version, dtype=np.int32)
        return Updates(
            time_ns=np.concatenate(self._times),
            group=np.array([self.group], dtype=np.int32),
            version=version,
            worker=np.array([-1], dtype=np.int32),
            read=version,
            step=version * np.int32(self.round.gradients),
            count=np.array([self.round.needed], dtype=np.int32),
        )

    def events(self) -> EventLog:
        """Failures, rollbacks and dropped gradients; call once, at the end."""
        if self.round.late:
            late = np.concatenate(self._late)
            version = np.repeat(np.arange(len(late)), self.round.late)
            times = np.concatenate(self._times)[version]
            workers = self.group * self.round.workers + late.ravel()
            self.log.add(Kind.DROP, times, self.group, version, workers, peer_version=version + 1)
            self._late.clear()
        return self.log

    def _append(self, times: Ints, late: Ints) -> None:
        self._times.append(times)
        self._late.append(late)
        self.version += len(times)
        self.time_ns = self._start_ns = int(times[-1])

    def _checkpoint(self) -> None:
        """Write one if it is due; the group stands still meanwhile, and a failure then leaves none."""
        interval = self.timing.checkpoint_interval_ns
        if not interval or self._start_ns - self._saved_ns < interval:
            return
        written = self._start_ns + self.timing.checkpoint_write_ns
        if not self._fail_before(written):
            self._start_ns = written
            self.failure_ns += self.timing.checkpoint_write_ns
            self._saved, self._saved_ns = self.version, written

    def _fail_before(self, end_ns: int) -> bool:
        """Whether the group fails before `end_ns`; if so it is back at its checkpoint when this returns."""
        at = self._next_failure_ns
        if at is None or at >= end_ns:
            return False
        workers = np.uint64(self.round.workers)
        bits = draw_bits(self.seed, Stream.VICTIM, self.group, self._failures)[0]
        victim = self.group * self.round.workers + int(bits % workers)
        self.log.add(Kind.FAIL, at, self.group, self.version, victim)
        self.log.add(Kind.ROLLBACK, at, self.group, self.version, peer_version=self._saved)
        del self._times[self._saved :]
        del self._late[self._saved :]
        self.version = self._saved
        self.time_ns = int(self._times[-1][0]) if self._times else 0
        # A failure while the group holds for its teachers (start in the future) cannot end the hold early.
        held = self._start_ns if self._start_ns > at else 0
        self._start_ns = max(at + self.timing.restart_ns, held)
        self.failure_ns += self._start_ns - self._saved_ns
        self._saved_ns = self._start_ns
        self._failures += 1
        self._next_failure_ns = self._failure_after(at + self.timing.restart_ns)
        return True

    def _failure_after(self, time_ns: int) -> int:
        bits = draw_bits(self.seed, Stream.FAILURE, self.group, self._failures)
        mean_ns = HOUR_NS / self.timing.failures_per_hour
        return time_ns + 1 + int(-np.log(survival_of(bits))[0] * mean_ns)
