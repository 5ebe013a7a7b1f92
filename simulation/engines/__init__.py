"""Three engines for one question: under a protocol and its timing, which update happens when, on what?

- `heap`: one event at a time; the reference; every protocol, failures included.
- `window`: exact and vectorised, up to a million workers; equal to `heap` element for element.
- `closed_form`: barrier protocols by formulae and directly sampled extremes; equal in distribution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulation.engines import closed_form, heap, window
from simulation.engines.barrier import BarrierGroup
from simulation.engines.codistillation import Group, codistill
from simulation.engines.failures import check_progress
from simulation.errors import UserError
from simulation.protocols import Codistillation, Protocol, Within, check_run_length, to_dict
from simulation.schedule import FORMAT, UPDATE_TYPES, EventLog, Schedule, Updates
from simulation.timing import Timing

ENGINES: dict[str, Callable[[Within, Timing, int, int], Group]] = {
    "heap": heap.group,
    "window": window.group,
    "closed_form": closed_form.group,
}


def run(protocol: Protocol, timing: Timing, updates: int, seed: int = 0, engine: str = "window") -> Schedule:
    """The schedule of `updates` updates of every group.

    A worker reads right after its own update: at the moment it is applied, when `pull_ns` begins. Everything
    starts at time 0 with all workers reading version 0.

    Raises:
        UserError: an option without effect, a run too short for the protocol, failures that leave no progress, an
            engine that cannot play it.
    """
    if engine not in ENGINES:
        raise UserError(f"engine: unknown {engine!r}; choose one of {', '.join(ENGINES)}")
    check_run_length(protocol, updates)
    timing.check(protocol)
    check_progress(protocol, timing, updates)
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    groups = [ENGINES[engine](within, timing, seed, number) for number in range(protocol.groups)]
    log = EventLog()
    if isinstance(protocol, Codistillation):
        codistill(protocol, timing, groups, updates, log)
    else:
        groups[0].advance(updates)
    meta: dict[str, object] = {
        "format": FORMAT,
        "protocol": to_dict(protocol),
        "engine": engine,
        "seed": seed,
        "clock": "simulated",
    }
    if timing.failures_per_hour and within.barrier:
        meta["failure_ns"] = [group.failure_ns for group in groups if isinstance(group, BarrierGroup)]
    for group in groups:
        log.extend(group.events())
    return Schedule(_joined([group.updates() for group in groups]), log.events(), meta)


def _joined(parts: list[Updates]) -> Updates:
    if len(parts) == 1:
        return parts[0]
    return Updates(**{name: np.concatenate([part.column(name) for part in parts]) for name in UPDATE_TYPES})
