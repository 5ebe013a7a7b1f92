"""What a step of a protocol costs on a cluster: durations for the engines, bytes per link, and what bounds
it.

``cost(cluster, workload, protocol)`` is the one door. Each part of the price is worked out by one small
function from collectives, overlap and the workload; ``Timing`` carries the durations to the engines. Step
time and bound given here are expectations in closed form; the engines add queues, waiting between groups,
and failures.

Where workers sit: worker w is device w of the cluster; groups follow each other.
"""

from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

from simulation.cluster import Cluster, Empirical, Lognormal, Pareto, ShiftedExponential
from simulation.collectives import Stages
from simulation.communication import (
    Traffic,
    added,
    all_reduce,
    exchange_path,
    gradient_overlap,
    server_path,
    traffic_of,
)
from simulation.distributions import Constant, Distribution, LogNormal
from simulation.distributions import Empirical as EmpiricalTimes
from simulation.distributions import Pareto as ParetoTimes
from simulation.distributions import ShiftedExponential as ShiftedExponentialTimes
from simulation.errors import UserError
from simulation.order_statistics import expected_kth_ns
from simulation.overlap import Overlap
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    Protocol,
    StaleSynchronous,
    SyncSGD,
    Within,
)
from simulation.timing import Timing, used_fields
from simulation.workload import ComputeTime, Workload, compute_time

NS = 1e9


@dataclass(frozen=True)
class Cost:
    """The price of one step (of every group at once, under codistillation).

    ``parts_s`` add up to ``step_s``, seconds by cause: compute, straggler, link, server, teacher. ``bound``
    is the cause that takes most of it, and ``why`` says so in words.
    """

    workers: int
    compute: ComputeTime
    timing: Timing
    step_s: float
    parts_s: dict[str, float]
    bound: str
    why: str
    traffic: tuple[Traffic, ...]
    all_reduce: str | None
    overlap: Overlap | None
    notes: tuple[str, ...]
    examples_per_step: int
    price_per_step_usd: float | None

    @property
    def examples_per_s(self) -> float:
        """Training examples per second over all workers."""
        return self.examples_per_step / self.step_s


def ns_of(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * NS)


def compute_distribution(cluster: Cluster, step_s: float) -> Distribution:
    """Gradient times of one worker: the workload's time under the cluster's straggler distribution."""
    step_ns = step_s * NS
    match cluster.straggler:
        case None:
            return Constant(step_ns)
        case ShiftedExponential(mean_extra_fraction=extra):
            return ShiftedExponentialTimes(step_ns, step_ns * extra)
        case Lognormal(sigma=sigma):
            return LogNormal(step_ns, sigma)
        case Pareto(tail_index=index):
            return ParetoTimes(step_ns, index)
        case Empirical(file=file):
            return _empirical(file, step_ns)


def _empirical(file: str, step_ns: float) -> Distribution:
    sample = EmpiricalTimes.from_file(Path(file))
    middle = sample.times_ns[len(sample.times_ns) // 2]
    if middle <= 0:
        raise UserError(f"{file}: the median time is zero; give measured step times above zero")
    return sample.scaled(step_ns / middle)


# The price of a step


def _timing(cluster: Cluster, protocol: Protocol, compute_s: float, per_group: int, **parts: int) -> Timing:
    """A ``Timing`` of the durations that the protocol uses."""
    values: dict[str, int | float] = {"slowdown_sigma": cluster.slowdown_sigma, **parts}
    if cluster.pauses:
        values |= {
            "pause_probability": cluster.pauses.probability_per_step,
            "pause_ns": ns_of(cluster.pauses.pause_s),
        }
    if cluster.failures:
        values |= {
            "failures_per_hour": cluster.failures.per_node_hour * cluster.nodes_of(per_group),
            "restart_ns": ns_of(cluster.failures.restart_s),
            "checkpoint_interval_ns": ns_of(cluster.failures.checkpoint_interval_s),
            "checkpoint_write_ns": ns_of(cluster.failures.checkpoint_s),
        }
    used = used_fields(protocol)
    timing = Timing(
        compute_distribution(cluster, compute_s),
        **{key: value for key, value in values.items() if key in used},  # type: ignore[arg-type]
    )
    timing.check(protocol)
    return timing


@dataclass(frozen=True)
class _Within:
    """What the protocol inside a group asks for: durations for the engines, parts of a step, bytes.

    ``server_s`` is one worker's service after its gradient, all servers sharing it.
    """

    durations: dict[str, int]
    link_s: float
    server_s: float
    traffic: tuple[Traffic, ...]
    all_reduce: str | None = None
    overlap: Overlap | None = None
    notes: tuple[str, ...] = ()
    saturated: bool = False


def _all_reduced(cluster: Cluster, workload: Workload, workers: int, compute: ComputeTime) -> _Within:
    reduce = all_reduce(cluster, workers)
    overlap = gradient_overlap(cluster, workload, workers, compute.backward_s)
    stages: Stages = ()
    for bucket in overlap.buckets:
        stages += reduce.stages(bucket.n_bytes)
    return _Within(
        {"allreduce_ns": ns_of(overlap.exposed_s)},
        link_s=overlap.exposed_s,
        server_s=0.0,
        traffic=tuple(traffic_of(cluster, stages)),
        all_reduce=reduce.name,
        overlap=overlap,
    )


def _served(cluster: Cluster, workload: Workload, workers: int, synchronous: bool, compute: ComputeTime) -> _Within:
    """Parameter servers, as engines count them: one service per worker, queued after its gradient.

    Servers handle a synchronous step's layers as they come, while workers still compute, so that the step
    lasts ``max(compute + way there and back, all services)``: the law that fits measured parameter servers.
    Engines queue whole gradients, so they are given only the service that computing does not hide.
    """
    path = server_path(cluster, workload, workers, synchronous, compute)
    assert cluster.parameter_servers is not None
    servers = cluster.parameter_servers.count
    link_s = path.inside_s + path.push_s + path.pull_s
    service_s = path.service_s
    saturated = False
    notes: tuple[str, ...] = ()
    if synchronous:
        needed = path.service_s * path.clients  # by one server, for all clients
        hidden = (compute.step_s + link_s) * servers if cluster.overlap else 0.0
        service_s = max(0.0, needed - hidden) / workers
        saturated = cluster.overlap and service_s > 0
        if path.clients != workers:
            notes = (f"the workers of a node reach the servers as one of {path.clients} clients",)
    service_ns = ns_of(service_s)
    durations = {
        "push_ns": ns_of(path.inside_s + path.push_s),
        "pull_ns": ns_of(path.pull_s),
        "server_service_ns": service_ns,
        "servers": servers if service_ns else 1,
    }
    return _Within(durations, link_s, service_s / servers, path.traffic, notes=notes, saturated=saturated)


def _within(cluster: Cluster, workload: Workload, protocol: Within, compute: ComputeTime) -> _Within:
    workers = protocol.total_workers
    match protocol:
        case SyncSGD(aggregation="allreduce"):
            return _all_reduced(cluster, workload, workers, compute)
        case SyncSGD() | BackupWorkers():
            return _served(cluster, workload, workers, True, compute)
        case AsyncSGD() | StaleSynchronous():
            return _served(cluster, workload, workers, False, compute)
        case LocalSGD():
            reduce = all_reduce(cluster, workers)
            size = workload.gradient_bytes * (2 if protocol.momentum == "average" else 1)
            averaging = reduce.seconds(size)
            every = 1.0 / protocol.interval_steps
            return _Within(
                {"averaging_ns": ns_of(averaging)},
                link_s=averaging * every,
                server_s=0.0,
                traffic=tuple(traffic_of(cluster, reduce.stages(size), every)),
                all_reduce=reduce.name,
            )


def _parts(protocol: Within, timing: Timing, within: _Within) -> dict[str, float]:
    """Seconds of one step by cause, adding up to the step.

    Barrier protocols wait for the k-th of n workers; with servers that take gradients one by one, the last
    of m is done when the k-th has come and those from k on are served, for the worst k. Asynchronous workers
    overlap each other: a step of the whole group (one gradient of every worker) takes one worker's cycle, or
    as long as the servers need for all updates.
    """
    mean, service = timing.mean_compute_ns / NS, within.server_s
    n = protocol.total_workers
    if not protocol.barrier:
        own_path = mean + within.link_s + service
        return {
            "compute": mean,
            "straggler": 0.0,
            "link": within.link_s,
            "server": service + max(0.0, n * service - own_path),
        }
    needed = protocol.workers
    if isinstance(protocol, LocalSGD):
        waited = _local_rounds(timing, protocol)
    else:
        waited = expected_kth_ns(timing, needed, n) / NS
    done = waited + service
    if service:
        for k in {max(1, round(needed * share / 8)) for share in range(9)}:
            done = max(done, expected_kth_ns(timing, k, n) / NS + (needed - k + 1) * service)
    return {
        "compute": min(mean, waited),
        "straggler": max(0.0, waited - mean),
        "link": within.link_s,
        "server": done - waited,
    }


def _local_rounds(timing: Timing, protocol: LocalSGD) -> float:
    """Mean wait per local step: the slowest sum of H draws, by the normal limit of its spread."""
    mean = timing.mean_compute_ns
    one = expected_kth_ns(timing, protocol.workers, protocol.workers)
    return (mean + (one - mean) / sqrt(protocol.interval_steps)) / NS


def _why(bound: str, parts: dict[str, float], step_s: float, cluster: Cluster, within: _Within) -> str:
    share = parts[bound] / step_s
    said = {
        "compute": "workers compute most of the time; faster devices or a smaller batch shorten it",
        "straggler": "the group waits for its slowest workers; backup workers or bounded staleness help",
        "link": f"{cluster.links[-1].level} is not hidden; fewer bytes or a faster link help",
        "server": "the parameter servers are busy all the time; more servers or fewer bytes help",
        "teacher": "teachers' forward passes and exchanges; a longer interval or fewer groups help",
    }[bound]
    hidden = ""
    if within.overlap and within.overlap.communication_s > 0:
        behind = 1 - within.overlap.exposed_s / within.overlap.communication_s
        hidden = f"; {max(behind, 0.0):.0%} of the all-reduce hides behind the backward pass"
    return f"{bound} takes {share:.0%} of a step: {said}{hidden}"


def cost(
    cluster: Cluster, workload: Workload, protocol: Protocol, batch_per_worker_examples: int | None = None
) -> Cost:
    """Price one step.

    Args:
        batch_per_worker_examples: instead of the workload's own.

    Raises:
        UserError: more workers than devices, workers that do not fill nodes, or a part that is not described.
    """
    try:
        return _cost(cluster, workload, protocol, batch_per_worker_examples)
    except ValueError as error:
        raise UserError(str(error)) from None


def _cost(cluster: Cluster, workload: Workload, protocol: Protocol, batch_examples: int | None) -> Cost:
    batch = workload.batch_per_worker_examples if batch_examples is None else batch_examples
    compute = compute_time(workload, cluster.device, batch)
    workload = replace(workload, batch_per_worker_examples=batch)
    inner = protocol.within if isinstance(protocol, Codistillation) else protocol
    within = _within(cluster, workload, inner, compute)
    durations, traffic, teacher_s, groups = dict(within.durations), within.traffic, 0.0, 1
    notes = [f"compute time {compute.basis}", *within.notes]
    if isinstance(protocol, Codistillation):
        groups = protocol.groups
        path = exchange_path(cluster, workload, protocol, compute)
        durations |= {
            "publish_ns": ns_of(path.publish_s),
            "adopt_ns": ns_of(path.adopt_s),
            "exchange_ns": ns_of(path.exchange_s),
            "teacher_forward_ns": ns_of(path.teacher_forward_s),
        }
        teacher_s = path.teacher_forward_s + (path.adopt_s + path.exchange_s) / protocol.interval_steps
        alone = [Traffic(t.level, t.busiest_link_bytes, t.total_bytes * groups) for t in traffic]
        traffic = added(alone, list(path.traffic))
        notes.append("steps are those after the first teachers arrive")
    per_group = inner.total_workers
    timing = _timing(cluster, protocol, compute.step_s, per_group, **durations)
    parts = _parts(inner, timing, within)
    if teacher_s:
        parts["teacher"] = teacher_s
    step_s = sum(parts.values())
    saturated = within.saturated or (not inner.barrier and parts["server"] > within.server_s)
    bound = "server" if saturated else max(parts, key=lambda part: parts[part])
    price = cluster.device.price_per_hour_usd
    workers = protocol.total_workers
    contributing = inner.workers if isinstance(inner, BackupWorkers) else per_group
    return Cost(
        workers=workers,
        compute=compute,
        timing=timing,
        step_s=step_s,
        parts_s=parts,
        bound=bound,
        why=_why(bound, parts, step_s, cluster, within),
        traffic=traffic,
        all_reduce=within.all_reduce,
        overlap=within.overlap,
        notes=tuple(notes),
        examples_per_step=contributing * groups * batch,
        price_per_step_usd=None if price is None else price * workers * step_s / 3600,
    )
