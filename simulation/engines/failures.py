"""What failures cost a run of any length, in closed form: a simulated run is often too short to meet one.

Work of s seconds between two safe points, under failures at rate r that each cost a restart of R seconds, is
done after ``(exp(r s) - 1) (1 / r + R)`` on the mean, in ``exp(r s)`` attempts (Daly 2006, doi
10.1016/j.future.2004.11.016). A safe point is a checkpoint or a published snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, expm1, log

from simulation.engines.barrier import HOUR_NS, round_of
from simulation.engines.closed_form import young_interval_ns
from simulation.errors import UserError
from simulation.order_statistics import expected_kth_ns
from simulation.protocols import Codistillation, Protocol
from simulation.timing import Timing

MOST_ATTEMPTS = 1000
"""An engine plays every attempt: with more than these between two safe points a run would not end."""


@dataclass(frozen=True)
class FailureCost:
    """Failures of one group (of one worker, where workers fail alone) in a long run.

    `time_share`: of all time, what lost work, restarts and writing checkpoints take. `checkpoint_interval_s`
    and Young's interval are None where checkpoints have no part in the time, or cost nothing.
    """

    between_failures_s: float
    time_share: float
    checkpoint_interval_s: float | None
    young_interval_s: float | None


def _round_ns(protocol: Protocol, timing: Timing) -> float:
    """Expected time of one update of a group under a barrier protocol."""
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    what = round_of(within, timing)
    waited = expected_kth_ns(timing, what.needed, what.workers)
    return max(1.0, what.gradients * waited + what.service_ns + what.overhead_ns)


def _safe_updates(protocol: Protocol, timing: Timing, round_ns: float) -> tuple[float, int]:
    """Updates between two safe points, infinitely many where there are none, and what writing the latter takes.

    A snapshot published before a checkpoint is due takes its place, and the group does not wait for its writing.
    """
    interval = timing.checkpoint_interval_ns
    updates = float(max(1, ceil(interval / round_ns))) if interval else float("inf")
    if isinstance(protocol, Codistillation) and protocol.interval_updates <= updates:
        return protocol.interval_updates, 0
    return updates, timing.checkpoint_write_ns


def _cycle_ns(timing: Timing) -> float:
    """Expected time of a free worker's gradient, nobody in its way."""
    return max(1.0, timing.mean_compute_ns + timing.pull_ns + timing.push_ns + timing.service_ns)


def _workers_fail_every_ns(protocol: Protocol, timing: Timing) -> float:
    per_group = protocol.total_workers / protocol.groups
    return per_group * HOUR_NS / timing.failures_per_hour


def check_progress(protocol: Protocol, timing: Timing, updates: int) -> None:
    """Refuse failures so frequent that an engine would repeat the same work for ever.

    Raises:
        UserError: more than `MOST_ATTEMPTS` expected between two safe points of this run.
    """
    if not timing.failures_per_hour:
        return
    if not protocol.barrier:
        between = _workers_fail_every_ns(protocol, timing)
        cycle = _cycle_ns(timing) + timing.restart_ns
        if cycle > log(MOST_ATTEMPTS) * between:
            raise UserError(
                f"failures.per_node_hour: a worker fails every {between / 1e9:.3g} s and needs {cycle / 1e9:.3g} s "
                "for a restart and a gradient: the run would not end; lower it or failures.restart_s"
            )
        return
    between = HOUR_NS / timing.failures_per_hour
    round_ns = _round_ns(protocol, timing)
    safe = min(_safe_updates(protocol, timing, round_ns)[0], updates) * round_ns
    if safe > log(MOST_ATTEMPTS) * between:
        raise UserError(
            f"failures.checkpoint_interval_s: a group fails every {between / 1e9:.3g} s on the mean and needs "
            f"{safe / 1e9:.3g} s to its next checkpoint, more than {MOST_ATTEMPTS} attempts each time: the run would "
            "not end; checkpoint more often, shorten steps, or use fewer nodes"
        )


def failure_cost(protocol: Protocol, timing: Timing) -> FailureCost | None:
    """What failures cost a long run; None where nothing fails."""
    if not timing.failures_per_hour:
        return None
    if not protocol.barrier:
        between, cycle = _workers_fail_every_ns(protocol, timing), _cycle_ns(timing)
        # A worker may fail again while it restarts, and then begins its restart anew.
        restart = between * expm1(min(timing.restart_ns / between, 500.0))
        return FailureCost(between / 1e9, _lost_share(cycle, cycle, between, restart), None, None)
    between = HOUR_NS / timing.failures_per_hour
    round_ns = _round_ns(protocol, timing)
    updates, write_ns = _safe_updates(protocol, timing, round_ns)
    useful = updates * round_ns
    interval, write = timing.checkpoint_interval_ns, timing.checkpoint_write_ns
    return FailureCost(
        between / 1e9,
        _lost_share(useful, useful + write_ns, between, timing.restart_ns),
        interval / 1e9 if interval else None,
        young_interval_ns(write, timing.failures_per_hour) / 1e9 if write else None,
    )


def _lost_share(useful: float, span: float, between: float, restart: float) -> float:
    """Share of time beyond the useful part of a span that must pass without a failure."""
    ratio = span / between
    if ratio > 500.0:
        return 1.0
    return 1.0 - useful / between * exp(-ratio) / (-expm1(-ratio) * (1.0 + restart / between))
