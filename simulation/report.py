"""One answer for one question: price a step, let an engine play it, and say in words what comes out."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from simulation import engines
from simulation.cluster import Cluster
from simulation.communication import Traffic
from simulation.costs import Cost, cost, reason
from simulation.distributions import Constant
from simulation.draws import Ints
from simulation.engines.failures import FailureCost, check_progress, failure_cost
from simulation.errors import UserError
from simulation.protocols import (
    BackupWorkers,
    Codistillation,
    Protocol,
    StaleSynchronous,
    check_run_length,
    to_dict,
)
from simulation.schedule import Schedule
from simulation.statistics import Statistics, statistics
from simulation.timing import Timing, used_fields
from simulation.workload import Workload

ALWAYS_BUSY = 0.95
"""Servers that work this share of the time bound asynchronous workers, however long each of them computes."""


@dataclass(frozen=True)
class Report:
    """What a run of so many updates looked like; times in seconds, ``step_s`` per step of a whole group.

    Attributes:
        step_s, parts_s, utilisation: of the second half of the run, so that start-up does not count. The parts
            are what workers did or waited for (`Statistics.shares`), and add up to the step; utilisation is the
            share of their time in which they computed gradients that count.
        bound, why: the largest of these shares, or servers that were busy all the time; "compute" stands for the
            teachers' forward passes too, unless these take longer than the workers' own gradients.
        expected_step_s: by formula, over all seeds (`costs.cost`).
    """

    cluster: str
    workload: str
    protocol: dict[str, Any]
    engine: str
    seed: int
    updates: int
    elapsed_s: float
    step_s: float
    examples_per_s: float
    utilisation: float
    bound: str
    why: str
    expected_step_s: float
    parts_s: dict[str, float]
    traffic: tuple[Traffic, ...]
    statistics: Statistics
    price_per_hour_usd: float | None
    failures: FailureCost | None
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"statistics": self.statistics.to_dict()}


@dataclass(frozen=True)
class Played:
    """A report with what it was taken from."""

    report: Report
    schedule: Schedule
    timing: Timing


def default_updates(protocol: Protocol) -> int:
    """Enough updates to see the steady state.

    200 steps, or 50 of asynchronous workers and time to run ahead as far as they may; four exchanges after the
    first teachers.
    """
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    ahead = 4 * within.bound_steps if isinstance(within, StaleSynchronous) else 0
    steps = 200 if within.barrier else min((50 + ahead) * within.total_workers, 200_000)
    if isinstance(protocol, Codistillation):
        steps = max(steps, protocol.first_adoption + 4 * protocol.interval_updates)
    return max(20, steps)


def default_engine(protocol: Protocol, priced: Cost) -> str:
    """``window``, or ``heap`` where single workers fail."""
    return "heap" if priced.timing.failures_per_hour and not protocol.barrier else "window"


def _half(updates: int) -> int:
    """The update after which the second half of a run begins; -1 where there is but one."""
    return (updates - 1) // 2 if updates > 1 else -1


def _steady_update_s(times_ns: Ints) -> float:
    """Seconds between updates in the second half."""
    half = _half(len(times_ns))
    if half < 0:
        return float(times_ns[0]) / 1e9
    return float(times_ns[-1] - times_ns[half]) / (len(times_ns) - 1 - half) / 1e9


def check(
    cluster: Cluster,
    workload: Workload,
    protocol: Protocol,
    updates: int | None = None,
    seed: int | None = None,
    batch_per_worker_examples: int | None = None,
) -> tuple[Cost, int]:
    """Price of a step and updates to play, once everything that can be refused beforehand has not been.

    Raises:
        UserError: what `costs.cost` refuses, a run too short or too long, failures that leave no progress, a
            seed where nothing is drawn.
    """
    _check_servers(cluster, protocol)
    try:
        priced = cost(cluster, workload, protocol, batch_per_worker_examples)
    except OverflowError:
        raise UserError(f"{workload.name} on {cluster.name}: a step would never end: check units and batch") from None
    except UserError as error:
        where = f"{workload.name} on {cluster.name}: " if str(error).startswith("timing.") else ""
        raise UserError(f"{where}{error}") from None
    wanted = default_updates(protocol) if updates is None else updates
    check_run_length(protocol, wanted)
    try:
        check_progress(protocol, priced.timing, wanted)
    except UserError as error:
        raise UserError(f"cluster {cluster.name!r}: {error}") from None
    if seed is not None and not _random(protocol, priced.timing):
        raise UserError(f"seed has no effect: nothing about {cluster.name!r} is drawn at random; leave it out")
    return priced, wanted


def _random(protocol: Protocol, timing: Timing) -> bool:
    """Whether a seed may matter; among equal workers an engine may draw who comes late."""
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    drawn = timing.slowdown_sigma or timing.pause_probability or timing.failures_per_hour
    return bool(drawn) or not isinstance(timing.compute, Constant) or isinstance(within, BackupWorkers)


def simulate(
    cluster: Cluster,
    workload: Workload,
    protocol: Protocol,
    updates: int | None = None,
    seed: int | None = None,
    engine: str = "auto",
    batch_per_worker_examples: int | None = None,
) -> Played:
    """Price a protocol on a cluster and play it; without a seed it is 0.

    Raises:
        UserError: what `check` and `engines.run` refuse.
    """
    priced, wanted = check(cluster, workload, protocol, updates, seed, batch_per_worker_examples)
    engine = default_engine(protocol, priced) if engine == "auto" else engine
    schedule = engines.run(protocol, priced.timing, wanted, seed or 0, engine)
    return Played(_report(cluster, workload, protocol, priced, schedule, wanted), schedule, priced.timing)


def _check_servers(cluster: Cluster, protocol: Protocol) -> None:
    """Parameter servers, where the protocol has no other way.

    Raises:
        UserError: the cluster describes none.
    """
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    if cluster.parameter_servers is None and "servers" in used_fields(within):
        remedy = "add them to its file"
        if hasattr(within, "aggregation"):
            remedy += ", or use aggregation: allreduce"
        raise UserError(
            f"cluster {cluster.name!r} has no parameter_servers, which {type(within).__name__} sends its gradients "
            f"to: {remedy}"
        )


def _bound(protocol: Protocol, priced: Cost, found: Statistics, update_s: float) -> tuple[str, str]:
    """What bounded the run, and why in words."""
    busy_share = priced.timing.service_ns / 1e9 / update_s
    saturated = priced.saturated if protocol.barrier else busy_share > ALWAYS_BUSY
    taught = found.bound == "compute" and found.shares["teacher"] > found.shares["compute"]
    bound = "server" if saturated else "teacher" if taught else found.bound
    return bound, reason(bound, found.shares, priced.link_level, priced.overlap)


def _report(
    cluster: Cluster, workload: Workload, protocol: Protocol, priced: Cost, schedule: Schedule, updates: int
) -> Report:
    times, rows = schedule.updates.column("time_ns"), schedule.group_slices()
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    found = statistics(schedule, priced.timing, _half(rows[0].stop - rows[0].start) + 1)
    elapsed_s = float(max(times[r.stop - 1] for r in rows)) / 1e9
    update_s = float(np.mean([_steady_update_s(times[r]) for r in rows]))
    per_step = 1.0 / within.steps_per_update if within.barrier else float(within.total_workers)
    counts = schedule.updates.column("count")
    gradients = float(np.mean(counts)) * within.steps_per_update * protocol.groups / update_s
    batch = priced.examples_per_step // (protocol.groups * _contributing(within))
    bound, why = _bound(protocol, priced, found, update_s)
    price = cluster.device.price_per_hour_usd
    failures = failure_cost(protocol, priced.timing)
    return Report(
        cluster=cluster.name,
        workload=workload.name,
        protocol=to_dict(protocol),
        engine=str(schedule.meta["engine"]),
        seed=schedule.seed,
        updates=updates,
        elapsed_s=elapsed_s,
        step_s=update_s * per_step,
        examples_per_s=gradients * batch,
        utilisation=found.shares["compute"],
        bound=bound,
        why=why,
        expected_step_s=priced.step_s,
        parts_s={part: share * update_s * per_step for part, share in found.shares.items()},
        traffic=priced.traffic,
        statistics=replace(found, bound=bound),
        price_per_hour_usd=None if price is None else price * protocol.total_workers,
        failures=failures,
        notes=(*priced.notes, *_measured_instead(cluster, priced), *_not_met(failures, elapsed_s)),
    )


def _measured_instead(cluster: Cluster, priced: Cost) -> list[str]:
    """Which part of the description a measured table makes void."""
    if priced.all_reduce != "measured table" or cluster.all_reduce == "fastest":
        return []
    return [f"all-reduces take as long as the measured table says; all_reduce: {cluster.all_reduce} only counts bytes"]


def _not_met(failures: FailureCost | None, elapsed_s: float) -> list[str]:
    """What a run was too short to meet."""
    if failures is None:
        return []
    simulated = f"the {seconds_in_words(elapsed_s)} simulated are shorter than the"
    said = []
    if failures.between_failures_s > elapsed_s:
        said.append(f"{simulated} {seconds_in_words(failures.between_failures_s)} between failures")
    if failures.checkpoint_interval_s is not None and failures.checkpoint_interval_s > elapsed_s:
        said.append(f"{simulated} {seconds_in_words(failures.checkpoint_interval_s)} between checkpoints")
    return said


def _failures_in_words(failures: FailureCost) -> str:
    share, between = failures.time_share, seconds_in_words(failures.between_failures_s)
    line = f"failures     cost {share:.2%} of a long run, in closed form: "
    if failures.checkpoint_interval_s is None:
        return line + f"each worker fails every {between} (the servers keep the weights: no checkpoint counts)"
    line += f"one every {between}, a checkpoint every {seconds_in_words(failures.checkpoint_interval_s)}"
    if failures.young_interval_s is not None:
        line += f"; Young's interval is {seconds_in_words(failures.young_interval_s)}"
    return line


def _contributing(within: Protocol) -> int:
    return within.workers if isinstance(within, BackupWorkers) else within.total_workers


def seconds_in_words(seconds: float) -> str:
    """A duration with three digits and a fitting unit."""
    if seconds >= 7200:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 600:
        return f"{seconds / 60:.3g} min"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def bytes_in_words(n_bytes: float) -> str:
    """Bytes with three digits and a decimal unit."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes:.3g} B"


def in_words(report: Report) -> str:
    """The answer for a person."""
    protocol = ", ".join(f"{k} {v}" for k, v in report.protocol.items() if k not in ("kind", "within"))
    name = f"{report.protocol['kind']}({protocol})"
    if "within" in report.protocol:
        name += f" within: {report.protocol['within']['kind']}"
    lines = [
        f"{report.workload} on {report.cluster}",
        name,
        "",
        f"step         {seconds_in_words(report.step_s)}   ({report.examples_per_s:,.0f} examples/s, "
        f"workers compute {report.utilisation:.0%} of the time)",
        "  made of    "
        + ", ".join(
            f"{part} {seconds_in_words(seconds)} ({seconds / report.step_s:.0%})"
            for part, seconds in report.parts_s.items()
            if seconds >= 0.005 * report.step_s
        )
        + f"   (expected {seconds_in_words(report.expected_step_s)})",
        f"bound        {report.why}",
    ]
    for row in report.traffic:
        if row.total_bytes:
            lines.append(
                f"bytes/step   {row.level}: {bytes_in_words(row.busiest_link_bytes)} on the busiest link, "
                f"{bytes_in_words(row.total_bytes)} in all"
            )
    found = report.statistics
    stale = f"mean {found.staleness_mean:.3g} updates"
    if found.staleness_quantiles[1.0]:
        stale += "; " + ", ".join(f"{q:.0%} at most {v:.0f}" for q, v in found.staleness_quantiles.items())
    lines.append(f"staleness    {stale}")
    if found.teacher_age_mean is not None:
        lines.append(f"teachers     {found.teacher_age_mean:.3g} updates old when adopted, on the mean")
    if found.dropped_gradients:
        lines.append(f"dropped      {found.dropped_gradients} late gradients")
    if found.lost_updates:
        lines.append(f"lost         {found.lost_updates} updates to failures, {found.lost_share:.1%} of the work")
    if report.failures is not None:
        lines.append(_failures_in_words(report.failures))
    if report.price_per_hour_usd is not None:
        of_examples = report.price_per_hour_usd / (report.examples_per_s * 3600) * 1e6
        lines.append(
            f"price        {report.price_per_hour_usd:,.2f} USD an hour, {of_examples:,.3g} a million examples"
        )
    lines += [f"note         {note}" for note in report.notes]
    lines.append(
        f"simulated    {report.updates} updates, {seconds_in_words(report.elapsed_s)}, "
        f"engine {report.engine}, seed {report.seed}"
    )
    return "\n".join(lines)
