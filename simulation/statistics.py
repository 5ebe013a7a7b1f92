"""What a schedule says about a run: pace, staleness, lost work, and where the workers' time went."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from simulation.cycles import Cycles, free_cycles, holds
from simulation.engines.barrier import round_of
from simulation.protocols import Codistillation
from simulation.schedule import Kind, Schedule
from simulation.timing import ComputeTimes, Timing

QUANTILES = (0.5, 0.9, 0.99, 1.0)
SAMPLED_DRAWS = 1 << 20


@dataclass(frozen=True)
class Statistics:
    """A run in numbers.

    Attributes:
        updates: per group; duration_ns: until the last group's last update.
        time_per_update_ns: mean over groups of their duration / updates.
        staleness_mean, staleness_quantiles: versions between read and update, over all updates; the quantiles are
            keyed by probability.
        teacher_age_mean, teacher_age_min: own version less the teacher's at adoption (negative: it was ahead);
            None without teachers.
        dropped_gradients, lost_updates: late work of backup workers, and updates that rollbacks undid.
        lost_share: share of all gradients computed that ended in no update.
        shares: of all workers' time, by what they did or waited for: compute, teacher, straggler, link, server,
            peers, failure; they add up to one. Empty without a `Timing`. Of the whole run, unless a start was
            left out.
        bound: the largest of those shares ("compute" includes the teachers' forward passes), or "unknown".
    """

    updates: int
    duration_ns: int
    time_per_update_ns: float
    staleness_mean: float
    staleness_quantiles: dict[float, float]
    teacher_age_mean: float | None
    teacher_age_min: int | None
    dropped_gradients: int
    lost_updates: int
    lost_share: float
    shares: dict[str, float]
    bound: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"staleness_quantiles": {str(k): v for k, v in self.staleness_quantiles.items()}}


def statistics(schedule: Schedule, timing: Timing | None = None, shares_from: int = 0) -> Statistics:
    """All statistics of a schedule; shares and bound only with the timing that made it.

    `shares_from` leaves so many first updates of every group out of the shares.
    """
    u = schedule.updates
    staleness = u.column("version") - u.column("read")
    ends = [u.time_ns[s] for s in schedule.group_slices()]
    adopts, rollbacks = schedule.events.of(Kind.ADOPT), schedule.events.of(Kind.ROLLBACK)
    drops = len(schedule.events.of(Kind.DROP))
    per_update = u.column("count").astype(np.int64)
    lost = int((rollbacks.version - rollbacks.peer_version).sum())
    wasted = drops + lost * int(per_update[0])
    shares = time_shares(schedule, timing, shares_from) if timing is not None else {}
    bounds = {name: share for name, share in shares.items() if name != "teacher"}
    if bounds:
        bounds["compute"] += shares["teacher"]
    age = adopts.version - adopts.peer_version
    return Statistics(
        updates=len(ends[0]),
        duration_ns=int(max(end[-1] for end in ends)),
        time_per_update_ns=float(np.mean([end[-1] / len(end) for end in ends])),
        staleness_mean=float(staleness.mean()),
        staleness_quantiles={q: float(np.quantile(staleness, q, method="higher")) for q in QUANTILES},
        teacher_age_mean=float(age.mean()) if len(age) else None,
        teacher_age_min=int(age.min()) if len(age) else None,
        dropped_gradients=drops,
        lost_updates=lost,
        lost_share=wasted / (wasted + int(per_update.sum())),
        shares=shares,
        bound=max(bounds, key=lambda name: bounds[name]) if bounds else "unknown",
    )


def time_shares(schedule: Schedule, timing: Timing, first_update: int = 0) -> dict[str, float]:
    """Shares of all workers' time from an update on; see `Statistics.shares`.

    Asynchronous protocols: exact, from each worker's cycles (a sample of workers in large runs). Barrier
    protocols: links and holds exact, failures as those of the whole run, computing in expectation, and what
    remains is waiting for stragglers.
    """
    parts = dict.fromkeys(("compute", "teacher", "straggler", "link", "server", "peers", "failure"), 0.0)
    measure = _barrier_time if schedule.protocol.barrier else _free_time
    for group in range(schedule.protocol.groups):
        for name, value in measure(schedule, timing, group, first_update).items():
            parts[name] += value
    total = sum(parts.values())
    return {name: value / total for name, value in parts.items()}


def _free_time(schedule: Schedule, timing: Timing, group: int, first_update: int) -> dict[str, float]:
    cycles = free_cycles(schedule, timing, group, most_rows=SAMPLED_DRAWS)
    later = cycles.row >= first_update
    cycles = Cycles(**{field.name: getattr(cycles, field.name)[later] for field in fields(cycles)})
    failed = cycles.failed
    link = timing.push_ns + timing.pull_ns
    waited = np.where(failed, timing.service_ns, cycles.departure - cycles.arrival)
    cycle = cycles.departure - cycles.previous
    idle = cycle - link - waited - cycles.compute_ns - cycles.teacher_ns
    return {
        "compute": float(cycles.compute_ns.sum()),
        "teacher": float(cycles.teacher_ns.sum()),
        "straggler": float(idle[~failed].sum()),
        "link": float(link * len(cycle)),
        "server": float((waited - cycles.held_ns).sum()),
        "peers": float(cycles.held_ns.sum()),
        "failure": float(idle[failed].sum()),
    }


def _barrier_time(schedule: Schedule, timing: Timing, group: int, first_update: int) -> dict[str, float]:
    protocol = schedule.protocol
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    what = round_of(within, timing)
    times = schedule.updates.time_ns[schedule.group_slices()[group]]
    updates = len(times) - first_update
    elapsed_ns = float(times[-1] - (times[first_update - 1] if first_update else 0))
    first = group * what.workers
    draws = ComputeTimes(timing, schedule.seed, np.arange(first, first + what.workers))
    slowdown = 1.0 if draws.slowdown is None else float(draws.slowdown.mean())
    gradient_ns = timing.compute.mean_ns * slowdown + timing.pause_probability * timing.pause_ns
    mean_ns, busy, queue_ns = what.gradients * gradient_ns, 1.0, 0.0
    if what.late or what.service_ns:
        rounds = max(1, min(256, SAMPLED_DRAWS // what.workers))
        arrivals = np.sort(draws.draw(slice(None), np.arange(rounds)[:, None]), axis=1)[:, : what.needed]
        mean_ns, busy = float(arrivals.mean()), what.needed / what.workers
        served = (arrivals + what.service_ns * np.arange(what.needed, 0, -1)).max(axis=1)
        queue_ns = float((served - arrivals[:, -1]).mean())
    taught, stood = (found[first_update:] for found in holds(schedule, group))
    teacher_ns = what.gradients * timing.teacher_forward_ns * taught
    failure_ns = schedule.meta.get("failure_ns", [0] * protocol.groups)[group]
    parts = {
        "compute": busy * mean_ns * updates,
        "teacher": float(teacher_ns.sum()),
        "link": float(what.overhead_ns * updates),
        "server": queue_ns * updates,
        "peers": float(stood.sum()),
        "failure": float(failure_ns) * elapsed_ns / float(times[-1]),
    }
    # Where nobody waits the remainder is the noise of the draws.
    parts["straggler"] = max(0.0, elapsed_ns - sum(parts.values()))
    return {name: value * what.workers for name, value in parts.items()}
