"""Schedules of codistillation in which snapshots travel for as long as an experiment says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from repro.codistill.replayed import lock_step
from repro.codistill.settings import Settings
from repro.errors import UserError
from simulation.protocols import Codistillation
from simulation.schedule import EventLog, Kind, Schedule, check


def with_delay(settings: Settings, delay_steps: int) -> Schedule:
    """All groups equally fast, every teacher exactly `delay_steps` old when it is adopted.

    0 is exchange without travel: at a boundary everyone adopts the snapshots of that very boundary. `pickup: wait`,
    whose snapshots may travel for one interval, has a delay of `interval_steps`. Boundaries whose snapshot would be
    from before the start adopt nobody.

    Raises:
        UserError: no checkpoints are exchanged, or a delay at which no snapshot was taken.
    """
    protocol = settings.protocol
    if not isinstance(protocol, Codistillation) or protocol.exchange != "checkpoints":
        raise UserError("delay_steps: only snapshots travel; use protocol: Codistillation with exchange: checkpoints")
    if delay_steps < 0 or delay_steps % protocol.interval_steps:
        raise UserError(
            f"delay_steps: {delay_steps} is no multiple of interval_steps = {protocol.interval_steps}, "
            "and snapshots are taken at multiples only"
        )
    even = lock_step(settings)
    # Versions are counted in updates, of which LocalSGD makes one every so many steps.
    every, delay = protocol.interval_updates, delay_steps // protocol.steps_per_update
    log = EventLog()
    for group, rows in enumerate(even.group_slices()):
        times_ns = np.concatenate([[0], even.updates.column("time_ns")[rows]])
        published = np.arange(0, settings.updates, every)
        log.add(Kind.PUBLISH, times_ns[published], group, published)
        adopted = published[(published >= protocol.first_adoption) & (published >= delay)]
        for peer in range(protocol.groups):
            if peer != group and len(adopted):
                log.add(Kind.ADOPT, times_ns[adopted], group, adopted, peer=peer, peer_version=adopted - delay)
    schedule = replace(even, events=log.events())
    check(schedule)
    return schedule
