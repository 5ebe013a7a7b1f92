"""How groups teach each other, whatever runs inside them and whichever engine plays it.

Between boundaries groups are independent, so each advances on its own and only boundaries are settled
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol as Interface

from simulation.protocols import Codistillation
from simulation.schedule import EventLog, Kind, Updates
from simulation.timing import Timing


class Group(Interface):
    """What an engine's group offers: play on, stand still, tell."""

    version: int
    time_ns: int

    def advance(self, until: int) -> None:
        """Go on to version `until`, which is later than the present one."""

    def hold(self, resume_ns: int, extra_ns: int) -> None:
        """Stand still until `resume_ns`; gradients begun from then on take `extra_ns` longer."""

    def updates(self) -> Updates:
        """All rows, at the end."""

    def events(self) -> EventLog:
        """All events, at the end."""


def codistill(protocol: Codistillation, timing: Timing, groups: Sequence[Group], updates: int, log: EventLog) -> None:
    """Play all groups to version `updates`; what they publish and adopt goes to `log`."""
    if protocol.exchange == "predictions":
        _meet(protocol, timing, groups, updates, log)
    elif protocol.pickup == "wait":
        _wait(protocol, timing, groups, updates, log)
    else:
        _latest(protocol, timing, groups, updates, log)
    for group in groups:
        _advance(group, updates)


def _wait(protocol: Codistillation, timing: Timing, groups: Sequence[Group], updates: int, log: EventLog) -> None:
    """At boundary k adopt every peer's snapshot of boundary k - 1, waiting for the last of them."""
    there: list[int] = []  # when each group's snapshot of the boundary before is there
    before = protocol.first_publication
    for version in range(before, updates, protocol.interval_updates):
        for group in groups:
            _advance(group, version)
        now = [group.time_ns for group in groups]
        for g, group in enumerate(groups):
            log.add(Kind.PUBLISH, now[g], g, version)
            if not there:
                group.hold(now[g], 0)
                continue
            peers = [p for p in range(len(groups)) if p != g]
            resume = max(now[g], *(there[p] for p in peers)) + timing.adopt_ns
            for p in peers:
                log.add(Kind.ADOPT, resume, g, version, peer=p, peer_version=before)
            group.hold(resume, timing.teacher_forward_ns)
        there = [time + timing.publish_ns for time in now]
        before = version


def _latest(protocol: Codistillation, timing: Timing, groups: Sequence[Group], updates: int, log: EventLog) -> None:
    """At each boundary adopt the newest snapshot of every peer that is there, if it is a new one."""
    published: list[list[tuple[int, int]]] = [[] for _ in groups]  # (there from, version)
    adopted = [[-1] * len(groups) for _ in groups]
    boundaries = range(protocol.first_publication, updates, protocol.interval_updates)
    reached: list[tuple[int, int, int]] = []  # (time, group, boundary): groups standing at a boundary

    def arrive(g: int, k: int) -> None:
        if k < len(boundaries):
            _advance(groups[g], boundaries[k])
            now = groups[g].time_ns
            log.add(Kind.PUBLISH, now, g, boundaries[k])
            published[g].append((now + timing.publish_ns, boundaries[k]))
            heappush(reached, (now, g, k))

    for g in range(len(groups)):
        arrive(g, 0)
    # In order of time: whatever others publish before the earliest of these moments is known by then.
    while reached:
        now, g, k = heappop(reached)
        version, fresh = boundaries[k], []
        if version >= protocol.first_adoption:
            for p in range(len(groups)):
                offers = [v for time, v in published[p] if time <= now]
                if p != g and offers and offers[-1] > adopted[g][p]:
                    fresh.append((p, offers[-1]))
                    published[p] = [(time, v) for time, v in published[p] if v >= offers[-1]]
        resume = now + (timing.adopt_ns if fresh else 0)
        for p, offer in fresh:
            adopted[g][p] = offer
            log.add(Kind.ADOPT, resume, g, version, peer=p, peer_version=offer)
        teachers = sum(offer >= 0 for offer in adopted[g])
        groups[g].hold(resume, timing.teacher_forward_ns * teachers // (len(groups) - 1))
        arrive(g, k + 1)


def _meet(protocol: Codistillation, timing: Timing, groups: Sequence[Group], updates: int, log: EventLog) -> None:
    """At each boundary all groups swap predictions of their present weights, for one update."""
    for version in range(protocol.first_adoption, updates, protocol.interval_updates):
        for group in groups:
            _advance(group, version)
        met = max(group.time_ns for group in groups) + timing.exchange_ns
        for g, group in enumerate(groups):
            for p in range(len(groups)):
                if p != g:
                    log.add(Kind.ADOPT, met, g, version, peer=p, peer_version=version)
            group.hold(met, timing.teacher_forward_ns)
            _advance(group, version + 1)
            group.hold(group.time_ns, 0)


def _advance(group: Group, version: int) -> None:
    if group.version < version:
        group.advance(version)
