"""What the simulator says of a run on a machine whose parts were measured.

The leading underscore says that it is no experiment.
"""

from dataclasses import dataclass, replace

from repro.papers.anil2018._machine import Parts
from simulation.cluster import Cluster, Device, Level, MeasuredCollective
from simulation.communication import exchange_path
from simulation.costs import cost
from simulation.distributions import Empirical
from simulation.engines import run
from simulation.protocols import Codistillation, Protocol
from simulation.schedule import Kind, Schedule
from simulation.statistics import statistics as schedule_statistics
from simulation.workload import Layer, MeasuredStep, Workload


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
        # An exchange is the swap and what learning from it adds to its step.
        times = tuple((seconds + parts.taught_s) / (groups - 1) for seconds in parts.gather_s)
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
    # A teacher read from a snapshot costs what a step has beside its backward pass: a forward pass, and a loss. Where a
    # few short rounds found it dearer than a step that has all of these, they were disturbed.
    backward_s = max(parts.step_s - parts.forward_s - parts.taught_s, 0.01 * parts.step_s)
    measured = MeasuredStep("process", batch_size, parts.step_s, "measured here", backward_s)
    return Workload(
        name="measured net",
        source="measured here",
        confidence="measured",
        layers=(Layer("all", parts.parameters, 2.0 * parts.parameters),),
        batch_per_worker_examples=batch_size,
        prediction_bytes_per_example=parts.prediction_bytes / batch_size,
        measured=(measured,),
    )
