"""What the engines' groups have in common besides how time passes: counters, rows and events."""

from __future__ import annotations

import numpy as np

from simulation.draws import Ints
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, BackupWorkers, StaleSynchronous
from simulation.schedule import EventLog, Kind, Updates
from simulation.timing import Timing


class SingleRows:
    """Base of groups in which every update comes from one worker through one queue at the servers.

    Attributes:
        version, time_ns: the newest version and when it was made.
        free_ns: when the servers can take the next gradient.
        extra_ns: what teachers add to each gradient begun from now on.
    """

    def __init__(self, protocol: AsyncSGD | StaleSynchronous, timing: Timing, number: int) -> None:
        self.workers = protocol.total_workers
        self.timing, self.number = timing, number
        self.version = self.time_ns = self.free_ns = self.extra_ns = 0
        self.log = EventLog()

    def hold(self, resume_ns: int, extra_ns: int) -> None:
        """The servers take nothing before `resume_ns`; gradients begun from now on take `extra_ns` longer."""
        self.free_ns, self.extra_ns = max(self.free_ns, resume_ns), extra_ns

    def columns(self) -> tuple[Ints, Ints, Ints, Ints]:
        """time_ns, local worker, read, step of all updates."""
        raise NotImplementedError

    def updates(self) -> Updates:
        """Rows of this group; call once, at the end."""
        time_ns, worker, read, step = self.columns()
        return Updates(
            time_ns=time_ns,
            group=np.array([self.number], dtype=np.int32),
            version=np.arange(self.version, dtype=np.int32),
            worker=(worker + self.number * self.workers).astype(np.int32),
            read=read.astype(np.int32, copy=False),
            step=step.astype(np.int32, copy=False),
            count=np.array([1], dtype=np.int32),
        )

    def events(self) -> EventLog:
        """Failures of workers; call once, at the end."""
        return self.log

    def log_failure(self, time_ns: int, version: int, worker: int) -> None:
        """Note that a worker broke down."""
        self.log.add(Kind.FAIL, time_ns, self.number, version, self.number * self.workers + worker)


class LateFinishRows:
    """Base of groups under BackupWorkers(late="finish").

    Attributes:
        version, time_ns: the newest version and when it was made.
        start_ns: when workers may read it.
        extra_ns: what teachers add to each gradient begun from now on.
    """

    def __init__(self, protocol: BackupWorkers, timing: Timing, number: int) -> None:
        if timing.failures_per_hour:
            raise UserError('timing.failures_per_hour: BackupWorkers can fail only with late: "abort"')
        self.workers, self.needed = protocol.total_workers, protocol.workers
        self.timing, self.number = timing, number
        self.version = self.time_ns = self.start_ns = self.extra_ns = 0
        self._log = EventLog()
        self._times: list[int] = []

    def hold(self, resume_ns: int, extra_ns: int) -> None:
        """Nobody reads this version before `resume_ns`; gradients from now on take `extra_ns` longer."""
        self.start_ns, self.extra_ns = resume_ns, extra_ns

    def apply(self, time_ns: int) -> None:
        """The next version exists."""
        self._times.append(time_ns)
        self.version += 1
        self.time_ns = self.start_ns = time_ns

    def drop(self, time_ns: int | Ints, begun: int | Ints, worker: int | Ints, joins: int) -> None:
        """Gradients begun on version `begun` came late; their workers take part again from `joins` on."""
        first = self.number * self.workers
        self._log.add(Kind.DROP, time_ns, self.number, begun, first + worker, peer_version=joins)

    def outstanding(self) -> list[tuple[int, int, int]]:
        """(arrival, version begun on, worker) of late gradients still under way."""
        raise NotImplementedError

    def updates(self) -> Updates:
        """Rows of this group; call once, at the end."""
        version = np.arange(self.version, dtype=np.int32)
        return Updates(
            time_ns=np.array(self._times, dtype=np.int64),
            group=np.array([self.number], dtype=np.int32),
            version=version,
            worker=np.array([-1], dtype=np.int32),
            read=version,
            step=version,
            count=np.array([self.needed], dtype=np.int32),
        )

    def events(self) -> EventLog:
        """Dropped gradients, those still under way at the end included; call once, at the end."""
        for arrival, begun, worker in self.outstanding():
            if begun < self.version:
                self.drop(arrival, begun, worker, self.version)
        return self._log


def refuse_failures(timing: Timing, engine: str, protocol: str) -> None:
    """Failures of single workers need the event loop.

    Raises:
        UserError: `timing` asks for failures.
    """
    if timing.failures_per_hour:
        raise UserError(f"timing.failures_per_hour: engine {engine} cannot let {protocol} fail; use engine heap")
