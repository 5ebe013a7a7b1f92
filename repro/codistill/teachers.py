"""Whom a group learns from: other groups' snapshots, chosen by its first worker and loaded by all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from functools import partial

import torch

from repro.codistill.flat import FlatModel
from repro.codistill.learner import Learner
from repro.codistill.patience import Patience, say
from repro.codistill.peers import Peers
from repro.codistill.records import Records
from repro.codistill.shared import CHECKPOINTS_KEPT, GroupFolder
from repro.codistill.team import Job
from repro.errors import UserError
from simulation.protocols import Codistillation
from simulation.schedule import Kind

HEARTBEAT_S = 5.0
"""How long the first worker of a group waits for a snapshot before it tells the others that it still does."""


class Teachers:
    """The stale copies of a group's peers, and which versions of them it holds (`adopted`, by group).

    `records`: of the group's first worker, None on the others.
    """

    def __init__(
        self,
        protocol: Codistillation,
        job: Job,
        learner: Learner,
        folder: GroupFolder,
        others: Sequence[GroupFolder],
        model: str,
        patience: Patience,
        records: Records | None,
    ) -> None:
        self.adopted: dict[int, int] = {}
        self._protocol, self._job, self._learner = protocol, job, learner
        self._folder, self._others, self._patience, self._records = folder, list(others), patience, records
        self._peers = Peers(others, learner.net.layout, model)
        self._lost: set[int] = set()
        self._kept: deque[dict[int, list[int]]] = deque(maxlen=CHECKPOINTS_KEPT + 1)
        if records is not None:
            self._kept.append(folder.needs())

    def nets(self) -> list[FlatModel]:
        """The teachers there are, in order of their groups."""
        return [self._learner.teacher(g) for g, version in sorted(self.adopted.items()) if version >= 0]

    def begin(self, version: int) -> None:
        """The group goes on from this version: load what it will want next.

        With `pickup: latest` nobody is waited for later, so what is there already is looked for now: a group that
        starts late has its teachers from its first step on, however fast its steps are.
        """
        p = self._protocol
        boundary = (version - 1) // p.interval_updates * p.interval_updates
        self._peers.allow(None if p.pickup == "latest" else max(boundary, p.first_publication))
        if p.pickup == "latest":
            self._peers.look_through()

    def note_checkpoint(self) -> None:
        """A checkpoint is being written: whoever goes on from it needs the teachers of now."""
        self._kept.append({g: [v] for g, v in self.adopted.items() if v >= 0})

    def adopt(self, version: int) -> None:
        """At this version of the group take over the peers' snapshots: the first worker chooses, all load."""
        before = version - self._protocol.interval_updates
        if self._protocol.pickup == "wait":
            self._peers.allow(before)
        begin = time.monotonic()
        while True:
            first = self._records is not None
            chosen = self._chosen(version, before, time.monotonic() - begin) if first else None
            told = self._job.team.first_says(chosen)
            if told is not None:
                break
        for group, newest in ((int(g), v) for g, v in told.items()):
            if newest > self.adopted.get(group, -1):
                self.load(group, newest)
                if self._records is not None:
                    self._records.event(Kind.ADOPT, self._job.group, version, peer=group, peer_version=newest)
        if self._protocol.pickup == "wait":
            self._peers.allow(version)

    def load(self, group: int, version: int) -> None:
        """Load a snapshot into the teacher that stands for a peer. Who cannot read it gets it from the first worker.

        Raises:
            UserError: not even the first worker can read it.
        """
        team, device = self._job.team, self._job.device
        row = self._peers.row(group, version)
        have = [bool(said) for said in team.all_say(row is not None)]
        if not have[0]:
            raise UserError(f"group {self._job.group}: the snapshot of step {version} of group {group} is gone or torn")
        if not all(have):
            buffer = torch.empty(self._learner.net.size, device=device) if row is None else row.to(device)
            row = team.from_first(buffer)
        assert row is not None
        self._learner.teacher(group).load(row)
        self.adopted[group] = version

    def close(self) -> None:
        """Look for snapshots no more."""
        self._peers.close()

    def _chosen(self, version: int, before: int, waited_s: float) -> dict[int, int] | None:
        """Which version of each peer to learn from now; None: wait a little longer."""
        newest, patience_s = self._peers.newest(), self._patience.patience_s
        if self._protocol.pickup == "latest":
            for group in newest:
                self._say_who_is_lost(version, group, self._peers.silent_s(group) > patience_s, newest[group])
            return newest if self._secured(newest) else None
        behind = [g for g, found in newest.items() if found < before]
        if any(g not in self._lost for g in behind) and waited_s < patience_s:
            self._peers.wait_for_news(min(HEARTBEAT_S, patience_s))
            return None
        for group in newest:
            self._say_who_is_lost(version, group, group in behind, newest[group])
        return newest if self._secured(newest) else None

    def _secured(self, chosen: dict[int, int]) -> bool:
        """Tell the peers that these snapshots are needed; whether that was in time.

        A restart goes on from a checkpoint, with the teachers it had there: those of the checkpoints that are kept,
        and those of the one to come.
        """
        needs = {g: {v, self.adopted.get(g, v)} - {-1} for g, v in chosen.items()}
        for kept in self._kept:
            for g, versions in kept.items():
                needs.setdefault(g, set()).update(versions)
        known = {g: versions for g, versions in needs.items() if versions}
        self._patience.until_written(self._folder.path, partial(self._folder.write_needs, known))
        there = {other.group: other.snapshots() for other in self._others}
        return all(v < 0 or v in there[g] or max(there[g], default=-1) < v for g, v in chosen.items())

    def _say_who_is_lost(self, version: int, group: int, lost: bool, newest: int) -> None:
        own = f"group {self._job.group}, step {version}"
        if lost and group not in self._lost:
            what = f"its snapshot of step {newest}" if newest >= 0 else "labels alone, as it has published none"
            say(f"{own}: nothing new from group {group} for {self._patience.patience_s:g} s; going on with {what}")
            self._lost.add(group)
        elif not lost and group in self._lost:
            say(f"{own}: group {group} is back with step {newest}")
            self._lost.discard(group)
