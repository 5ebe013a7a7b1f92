"""How long a step lasts on the mean, by cause, in closed form: what workers of unequal speed wait for each other.

``costs`` says what links and servers take of a step; here workers compute, wait, and are waited for.
"""

from math import inf, sqrt

from simulation.order_statistics import expected_kth_ns, mean_ns_at, speeds
from simulation.protocols import Codistillation, LocalSGD, StaleSynchronous, SyncSGD, Within
from simulation.timing import Timing

NS = 1e9


def paced_s(timing: Timing, rest_s: float) -> float:
    """Compute in the mean cycle of asynchronous workers, the rest of which is ``rest_s``: their rates add up."""
    if not timing.slowdown_sigma:
        return timing.mean_compute_ns / NS
    factors, weights = speeds(timing)
    return 1.0 / float(weights @ (1.0 / (mean_ns_at(timing, factors) / NS + rest_s))) - rest_s


def parts_of(protocol: Within, timing: Timing, link_s: float, server_s: float) -> dict[str, float]:
    """Seconds of one step by cause, adding up to the step, of which links and one worker's service are given.

    Barrier protocols wait for the k-th of n workers; with servers that take gradients one by one, the last
    of m is done when the k-th has come and those from k on are served, for the worst k.
    """
    if not protocol.barrier:
        return _free_parts(protocol, timing, link_s, server_s)
    mean, service = timing.mean_compute_ns / NS, server_s
    n, needed = protocol.total_workers, protocol.workers
    steps = protocol.interval_steps if isinstance(protocol, LocalSGD) else 1
    waited = expected_kth_ns(timing, needed, n, steps) / NS
    done = waited + service
    if service:
        for k in {max(1, round(needed * share / 8)) for share in range(9)}:
            done = max(done, expected_kth_ns(timing, k, n) / NS + (needed - k + 1) * service)
    return {
        "compute": min(mean, waited),
        "straggler": max(0.0, waited - mean),
        "link": link_s,
        "server": done - waited,
    }


def _free_parts(protocol: Within, timing: Timing, link_s: float, server_s: float) -> dict[str, float]:
    """The same of asynchronous workers, which overlap each other: one gradient of every worker, on the mean.

    It takes a worker's cycle, or as long as the servers need for all updates. Under AsyncSGD the rates of
    unequal workers add up, under StaleSynchronous all make as many steps as the slowest.
    """
    n, service, rest = protocol.total_workers, server_s, link_s + server_s
    if isinstance(protocol, StaleSynchronous):
        compute = timing.mean_compute_ns / NS
        straggler = _behind_the_slowest_s(protocol, timing, compute + rest)
    else:
        compute, straggler = paced_s(timing, rest), 0.0
    return {
        "compute": compute,
        "straggler": straggler,
        "link": link_s,
        "server": service + max(0.0, n * service - (compute + straggler + rest)),
    }


def _behind_the_slowest_s(protocol: StaleSynchronous, timing: Timing, cycle_s: float) -> float:
    """Mean wait per step of workers that may be so many steps ahead.

    The longest chain of steps decides, in which one follows another of the same worker, or of any worker
    ``bound_steps`` earlier. A chain that changes over to whoever is slowest for the next L steps gains what
    that worker takes longer and loses the steps of the bound: the best L.
    """
    mean = timing.mean_compute_ns / NS

    def gained(steps: float) -> float:
        slowest = expected_kth_ns(timing, protocol.workers, protocol.workers, steps) / NS
        return slowest - mean - protocol.bound_steps * cycle_s / steps

    return max(0.0, gained(inf), *(gained(2**k) for k in range(13 if protocol.bound_steps else 1)))


def between_groups_s(protocol: Codistillation, timing: Timing) -> float:
    """Seconds per step that groups whose workers all meet wait for slower groups.

    Snapshots of the boundary before leave an interval's room: only what is slower for good is waited for.
    Groups that swap predictions wait for the slowest interval.
    """
    within, everyone = protocol.within, protocol.total_workers
    if not isinstance(within, SyncSGD | LocalSGD) or protocol.pickup == "latest":
        return 0.0

    def beyond_own(steps: float) -> float:
        own = expected_kth_ns(timing, within.workers, within.workers, steps)
        return max(0.0, expected_kth_ns(timing, everyone, everyone, steps) - own) / NS

    lasting = beyond_own(inf)
    if protocol.exchange == "checkpoints":
        return lasting
    return lasting + max(0.0, beyond_own(within.steps_per_update) - lasting) / sqrt(protocol.interval_updates)
