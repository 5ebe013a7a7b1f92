"""What the simulator says of a run on a machine whose parts were measured, and the same asked of any schedule.

Needs no torch. The leading underscore says that it is no experiment.
"""

import statistics
from dataclasses import dataclass, replace

from simulation.cluster import Cluster, Device, Level, MeasuredCollective
from simulation.communication import exchange_path
from simulation.costs import cost
from simulation.distributions import Empirical
from simulation.engines import run
from simulation.protocols import Codistillation, Protocol
from simulation.schedule import Kind, Schedule
from simulation.statistics import statistics as schedule_statistics
from simulation.workload import Layer, MeasuredStep, Workload

LEAST_WINDOW = 10
"""Steps over which a pace is taken at least: what one step takes is as good as random."""


@dataclass(frozen=True)
class Parts:
    """Seconds of a machine's parts, for one task and one arrangement of workers.

    steps_s: forward, backward and update of one worker alone, a sample; forward_s: a teacher's forward pass. reduce_s:
    the all-reduce within a group, at reduce_bytes; gather_s: of workers' predictions between groups, of gather_bytes
    each; empty where nobody is to be met. publish_s: from a group's decision to publish until another has the snapshot
    in memory. parameters: of the net. prediction_bytes: what one worker has to tell about its batch.
    """

    steps_s: tuple[float, ...]
    forward_s: float
    reduce_bytes: tuple[float, ...]
    reduce_s: tuple[float, ...]
    gather_bytes: tuple[float, ...]
    gather_s: tuple[float, ...]
    publish_s: float
    parameters: int
    prediction_bytes: int

    @property
    def step_s(self) -> float:
        """The median step."""
        return statistics.median(self.steps_s)


@dataclass(frozen=True)
class Predicted:
    """A simulated run: its schedule, the bytes it moves over all links in all, and what takes most of its time."""

    schedule: Schedule
    total_bytes: float
    bound: str


def predict(parts: Parts, protocol: Protocol, batch_size: int, updates: int, seed: int) -> Predicted:
    """Simulate a run on a machine with these parts."""
    cluster, workload = _cluster(parts, protocol), _workload(parts, batch_size)
    priced = cost(cluster, workload, protocol)
    timing = replace(priced.timing, compute=Empirical.of([1e9 * seconds for seconds in parts.steps_s]))
    schedule = run(protocol, timing, updates, seed)
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    gradients = sum(t.total_bytes for t in cost(cluster, workload, within).traffic)
    total = gradients * protocol.groups * updates
    if isinstance(protocol, Codistillation):
        each = exchange_path(cluster, workload, replace(protocol, interval_steps=1), priced.compute)
        total += sum(t.total_bytes for t in each.traffic) * exchanges(schedule)
    return Predicted(schedule, total, schedule_statistics(schedule, timing).bound)


def exchanges(schedule: Schedule) -> float:
    """How often every group learned from something new of every other, on the mean."""
    groups = schedule.protocol.groups
    return len(schedule.events.of(Kind.ADOPT)) / max(1, groups * (groups - 1))


def stretches(protocol: Protocol, updates: int) -> list[tuple[int, int]]:
    """(begin, end) versions over which a pace is taken; none where a run is too short for one.

    A stretch is an exchange interval (of short ones several, `LEAST_WINDOW` updates or more), so that it has its share
    of what an exchange costs. The first one is left out, and what comes before the first teachers.
    """
    interval, first = 1, 0
    if isinstance(protocol, Codistillation):
        interval, first = protocol.interval_updates, protocol.first_adoption
    length = -(-LEAST_WINDOW // interval) * interval
    return [(begin, begin + length) for begin in range(max(first, length), updates - length, length)]


def pace_s(schedule: Schedule) -> float:
    """Seconds of an update: the median over groups and stretches of the mean within a stretch."""
    groups = [schedule.updates.time_ns[rows] for rows in schedule.group_slices()]
    parts = stretches(schedule.protocol, len(groups[0]))
    return (
        statistics.median(float(own[end] - own[begin]) / (end - begin) for own in groups for begin, end in parts) / 1e9
    )


def _cluster(parts: Parts, protocol: Protocol) -> Cluster:
    """One node whose processes are the devices: links within a group and, where groups meet, between them."""
    groups, workers = protocol.groups, protocol.total_workers // protocol.groups
    levels: list[Level] = []
    measured: tuple[MeasuredCollective, ...] = ()
    if workers > 1:
        messages = 2 * (workers - 1)  # of the n-th part each: a ring
        sizes = tuple(n_bytes / workers for n_bytes in parts.reduce_bytes)
        times = tuple(seconds / messages for seconds in parts.reduce_s)
        levels.append(Level("within a group", workers, bytes=sizes, seconds_measured=times))
        measured = (MeasuredCollective("all_reduce", workers, parts.reduce_bytes, parts.reduce_s, "measured here"),)
    if isinstance(protocol, Codistillation) and protocol.exchange == "checkpoints":
        size = 4.0 * parts.parameters
        levels.append(Level("shared folder", groups, latency_s=0.0, bandwidth_bytes_per_s=size / parts.publish_s))
    elif groups > 1:
        times = tuple(seconds / (groups - 1) for seconds in parts.gather_s)
        levels.append(Level("between groups", groups, bytes=parts.gather_bytes, seconds_measured=times))
    return Cluster(
        name="measured parts",
        source="measured here",
        confidence="measured",
        nodes=1,
        devices_per_node=groups * workers,
        device=Device("process", 1.0, 1.0),  # steps are measured, not made of FLOP
        links=tuple(levels) or (Level("alone", 1, latency_s=0.0, bandwidth_bytes_per_s=1.0),),
        all_reduce="ring",
        overlap=False,
        measured_collectives=measured,
    )


def _workload(parts: Parts, batch_size: int) -> Workload:
    measured = MeasuredStep("process", batch_size, parts.step_s, "measured here", parts.step_s - parts.forward_s)
    return Workload(
        name="measured net",
        source="measured here",
        confidence="measured",
        layers=(Layer("all", parts.parameters, 2.0 * parts.parameters),),
        batch_per_worker_examples=batch_size,
        prediction_bytes_per_example=parts.prediction_bytes / batch_size,
        measured=(measured,),
    )
