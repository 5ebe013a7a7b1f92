"""What an engine needs to know about time, in whole nanoseconds, and nothing of networks or models.

A cluster, a workload and a protocol together make a `Timing`; a test or a user may as well write one by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import exp, isfinite

import numpy as np
from scipy.special import ndtri

from simulation.distributions import LONGEST_NS, Distribution, whole_ns
from simulation.draws import Bits, Floats, Ints, Stream, bits_at, survival_of, worker_keys
from simulation.errors import UserError
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    Protocol,
    StaleSynchronous,
    SyncSGD,
)

_TOO_LONG = "longer than 417 days: check units and batch"


@dataclass(frozen=True)
class Timing:
    """Durations of one run. Only those that the protocol uses may differ from their defaults (`check`).

    Workers
        compute: time of one gradient on a worker of ordinary speed.
        slowdown_sigma: each worker is slower by one factor for the whole run, lognormal with median 1.
        pause_probability, pause_ns: now and then a gradient takes `pause_ns` longer.
    Links and servers
        allreduce_ns: what an all-reduce adds to a step (what the backward pass hides is already taken off).
        push_ns, pull_ns: a gradient's way to the servers and the weights' way back.
        server_service_ns: one server's work on a whole update; `servers` share it evenly, in parallel.
        averaging_ns: one averaging of LocalSGD.
    Codistillation
        publish_ns: from a snapshot to its being there for others (in the background).
        adopt_ns: a group stands still this long to load all its peers' snapshots.
        exchange_ns: a group stands still this long to swap predictions with all peers.
        teacher_forward_ns: what all teachers' forward passes add to each worker's gradient in a taught step.
    Failures (of a whole group; exponential times between them)
        failures_per_hour; restart_ns; checkpoint_interval_ns (least time between two checkpoints; 0: none but
        the start and published snapshots); checkpoint_write_ns (the group stands still).
        Under AsyncSGD and StaleSynchronous one worker fails, loses its gradient and rejoins.
    """

    compute: Distribution
    slowdown_sigma: float = 0.0
    pause_probability: float = 0.0
    pause_ns: int = 0
    allreduce_ns: int = 0
    push_ns: int = 0
    pull_ns: int = 0
    server_service_ns: int = 0
    servers: int = 1
    averaging_ns: int = 0
    publish_ns: int = 0
    adopt_ns: int = 0
    exchange_ns: int = 0
    teacher_forward_ns: int = 0
    failures_per_hour: float = 0.0
    restart_ns: int = 0
    checkpoint_interval_ns: int = 0
    checkpoint_write_ns: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.compute, Distribution):
            raise UserError(f"timing.compute: {self.compute!r} is not a distribution of compute times")
        if not self.compute.mean_ns <= LONGEST_NS:
            raise UserError(f"timing.compute: {self.compute.mean_ns / 1e9:.3g} s a gradient: {_TOO_LONG}")
        for field in fields(self):
            if field.name == "compute":
                continue
            value = getattr(self, field.name)
            whole = field.name.endswith("_ns") or field.name == "servers"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "whole number" if whole else "number"
                raise UserError(f"timing.{field.name}: {value!r} must be a {kind}")
            if not isfinite(value) or value < (1 if field.name == "servers" else 0):
                raise UserError(f"timing.{field.name}: {value!r} is out of range")
            if whole and field.name not in ("servers", "checkpoint_interval_ns") and value > LONGEST_NS:
                raise UserError(f"timing.{field.name}: {value / 1e9:.3g} s: {_TOO_LONG}")
        if self.pause_probability >= 1.0:
            raise UserError(f"timing.pause_probability: {self.pause_probability} must be below 1")
        if (self.pause_probability > 0) != (self.pause_ns > 0):
            raise UserError("timing.pause_probability, pause_ns: one without the other has no effect")
        if self.servers > 1 and self.server_service_ns == 0:
            raise UserError("timing.servers: has no effect while server_service_ns is 0")
        if self.failures_per_hour == 0 and (self.restart_ns or self.checkpoint_interval_ns or self.checkpoint_write_ns):
            raise UserError("timing.restart_ns, checkpoint_*: have no effect while failures_per_hour is 0")
        if self.checkpoint_write_ns and not self.checkpoint_interval_ns:
            raise UserError("timing.checkpoint_write_ns: has no effect while checkpoint_interval_ns is 0")

    @property
    def service_ns(self) -> int:
        """What the servers together need for one update (rounded up)."""
        return -(-self.server_service_ns // self.servers)

    @property
    def mean_compute_ns(self) -> float:
        """Expected time of one gradient, slow workers and pauses included, teachers not."""
        return self.compute.mean_ns * exp(self.slowdown_sigma**2 / 2) + self.pause_probability * self.pause_ns

    def check(self, protocol: Protocol) -> None:
        """Refuse durations that this protocol never uses.

        Raises:
            UserError: names the first such field.
        """
        used = used_fields(protocol)
        for field in fields(self):
            if field.name not in used and getattr(self, field.name) != field.default:
                raise UserError(f"timing.{field.name}: has no effect under {type(protocol).__name__}; leave it out")


_WORKER = {"compute", "slowdown_sigma", "pause_probability", "pause_ns"}
_SERVER = {"push_ns", "pull_ns", "server_service_ns", "servers"}
_FAILURE = {"failures_per_hour", "restart_ns"}
_CHECKPOINT = {"checkpoint_interval_ns", "checkpoint_write_ns"}


def used_fields(protocol: Protocol) -> frozenset[str]:
    """Names of the `Timing` fields that the protocol uses."""
    match protocol:
        case SyncSGD(aggregation="allreduce"):
            return frozenset(_WORKER | {"allreduce_ns"} | _FAILURE | _CHECKPOINT)
        case SyncSGD() | BackupWorkers():
            return frozenset(_WORKER | _SERVER | _FAILURE | _CHECKPOINT)
        case AsyncSGD() | StaleSynchronous():
            return frozenset(_WORKER | _SERVER | _FAILURE)  # the servers keep the weights: nothing rolls back
        case LocalSGD():
            return frozenset(_WORKER | {"averaging_ns"} | _FAILURE | _CHECKPOINT)
        case Codistillation(exchange="checkpoints"):
            return used_fields(protocol.within) | {"publish_ns", "adopt_ns", "teacher_forward_ns"}
        case Codistillation():
            return used_fields(protocol.within) | {"exchange_ns", "teacher_forward_ns"}


class ComputeTimes:
    """Gradient times of some workers, by (worker, step): every engine draws through this.

    `workers` are global numbers; methods take indices into them.
    """

    def __init__(self, timing: Timing, seed: int, workers: Ints) -> None:
        self.timing = timing
        self._keys = worker_keys(seed, Stream.COMPUTE, workers)
        self._pause_keys = worker_keys(seed, Stream.PAUSE, workers) if timing.pause_ns else None
        self.slowdown = slowdowns(timing, seed, workers)

    @property
    def identical(self) -> bool:
        """Whether all times are one monotone function of one draw: the smallest draw is the slowest."""
        return self.slowdown is None and self._pause_keys is None

    def draw(self, index: Ints | slice, step: Ints | int) -> Ints:
        """Whole nanoseconds of the gradients (index, step), elementwise."""
        times = self.timing.compute.inverse_survival(survival_of(bits_at(self._keys[index], step)))
        if self.slowdown is not None:
            times *= self.slowdown[index]
        result = whole_ns(times)
        if self._pause_keys is not None:
            paused = survival_of(bits_at(self._pause_keys[index], step)) < self.timing.pause_probability
            result += paused * np.int64(self.timing.pause_ns)
        return result

    def bits(self, step: Ints | int) -> Bits:
        """The draws of all workers at one step; meaningful when `identical`."""
        return bits_at(self._keys, step)

    def from_bits(self, bits: Bits) -> Ints:
        """Times of draws; meaningful when `identical`."""
        return whole_ns(self.timing.compute.inverse_survival(survival_of(bits)))


def slowdowns(timing: Timing, seed: int, workers: Ints) -> Floats | None:
    """Each worker's factor for the whole run, or None when all are alike."""
    if not timing.slowdown_sigma:
        return None
    keys = worker_keys(seed, Stream.SLOWDOWN, workers)
    result: Floats = np.exp(-timing.slowdown_sigma * ndtri(survival_of(bits_at(keys, 0))))
    return result
