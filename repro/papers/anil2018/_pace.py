"""How fast a schedule goes, recorded or simulated. Needs no torch.

The leading underscore says that it is no experiment.
"""

import statistics

from simulation.protocols import Codistillation, Protocol
from simulation.schedule import Schedule

LEAST_WINDOW = 10
"""Steps over which a pace is taken at least: what one step takes is as good as random."""


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
