"""Which versions of whose weights a replay still needs, and the memory they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simulation.draws import Ints
from simulation.errors import UserError
from simulation.gradients import Layout
from simulation.protocols import Codistillation
from simulation.schedule import Events, Kind, Schedule, adoption_order

Teachers = tuple[tuple[int, int], ...]
"""(group, version) of each teacher, in order of group."""


class Versions:
    """Rows of weights by (group, version), each kept for as long as something will read it."""

    def __init__(self, layout: Layout, most_rows: int) -> None:
        self._layout, self._most_rows = layout, most_rows
        self._made = 0
        self._free: list[Tensor] = []
        self._kept: dict[tuple[int, int], tuple[Tensor, list[int]]] = {}  # row, uses that are left

    def new(self, group: int, version: int, uses: int) -> Tensor:
        """The row of a new version that will be dropped `uses` times; to be filled by the caller.

        Raises:
            UserError: more versions are alive than the budget has rows for.
        """
        if self._free:
            row = self._free.pop()
        else:
            if self._made == self._most_rows:
                raise UserError(
                    f"replay: more than {self._made} versions are alive at once (group {group}, "
                    f"version {version}); raise budget_bytes by some multiple of {self._layout.row_bytes}"
                )
            self._made += 1
            row = torch.empty(self._layout.size, dtype=self._layout.dtype, device=self._layout.device)
        self._kept[group, version] = (row, [uses])
        return row

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._kept

    def row(self, group: int, version: int) -> Tensor:
        """Weights (size,) of a version that is there."""
        return self._kept[group, version][0]

    def gather(self, keys: Sequence[tuple[int, int]]) -> Tensor:
        """Weights of several versions, (K, size); a copy."""
        return torch.stack([self._kept[key][0] for key in keys])

    def drop(self, group: int, version: int, times: int = 1) -> None:
        """Fewer uses are left; with the last one the row is free."""
        row, uses = self._kept[group, version]
        uses[0] -= times
        if not uses[0]:
            self._free.append(row)
            del self._kept[group, version]


@dataclass(frozen=True)
class Span:
    """For updates that read versions from `begin` to before `end`, these are the teachers."""

    begin: int
    end: int
    teachers: Teachers


class Needs:
    """What a schedule will read: how often each version, and who teaches whom from when on.

    Attributes, one element per group:
        reads: version read by each update.
        uses: how often each version is dropped: per read, per span in which it teaches, and once as the
        newest. spans: spans of teaching that some update reads in, in order. span_of: index of each
        update's span, -1 without teachers. last_of: for each span the last update that needs it.
    """

    def __init__(self, schedule: Schedule) -> None:
        protocol = schedule.protocol
        adopts = schedule.events.of(Kind.ADOPT)
        adoption_order(adopts, protocol.groups)
        once = isinstance(protocol, Codistillation) and protocol.exchange == "predictions"
        read = schedule.updates.column("read")
        self.reads: list[Ints] = [read[part].astype(np.int64) for part in schedule.group_slices()]
        self.uses = [np.bincount(reads, minlength=len(reads) + 1) + 1 for reads in self.reads]
        self.spans: list[list[Span]] = []
        self.span_of: list[Ints] = []
        self.last_of: list[Ints] = []
        for g, reads in enumerate(self.reads):
            spans = _spans(adopts, g, len(reads), once)
            begins, ends = (np.array([getattr(s, n) for s in spans], dtype=np.int64) for n in ("begin", "end"))
            at = np.searchsorted(begins, reads, side="right") - 1
            inside = at >= 0
            inside[inside] = reads[inside] < ends[at[inside]]
            used, numbered = np.unique(at[inside], return_inverse=True)
            span_of = np.full(len(reads), -1)
            span_of[inside] = numbered
            last_of = np.zeros(len(used), np.int64)
            np.maximum.at(last_of, numbered, np.flatnonzero(inside))
            self.spans.append([spans[i] for i in used.tolist()])
            self.span_of.append(span_of)
            self.last_of.append(last_of)
        for spans in self.spans:
            for span in spans:
                for peer, version in span.teachers:
                    self.uses[peer][version] += 1

    @property
    def taught(self) -> bool:
        """Whether anybody ever has a teacher."""
        return any(self.spans)

    def most_alive(self) -> int:
        """How many versions their own groups' readers keep alive at most, teachers apart."""
        alive = 0
        for reads in self.reads:
            updates = len(reads)
            last = np.full(updates + 1, -1)
            np.maximum.at(last, reads, np.arange(updates))
            wanted = np.flatnonzero(last >= 0)
            # Version v is there from v on and wanted until its last reader: sweep over both ends.
            ends = np.bincount(last[wanted] + 1, minlength=updates + 2)
            change = np.bincount(wanted, minlength=updates + 2) - ends
            alive += int(np.cumsum(change).max()) + 1
        return alive


def room(needs: Needs, layout: Layout, budget_bytes: int, item_bytes: int, fixed_bytes: int) -> tuple[int, int]:
    """(rows for versions, updates at once) that a budget allows; `item_bytes` is what one update needs
    besides weights.

    Raises:
        UserError: not even one update at a time would fit; says what would.
    """
    alive = needs.most_alive()
    kept = alive * layout.row_bytes + fixed_bytes
    # An update at once: its new version, its weights, its gradient, and about as much again while it is made.
    each = 5 * layout.row_bytes + item_bytes
    spare = budget_bytes - kept
    if spare < each:
        raise UserError(
            f"replay: {alive} versions of {layout.row_bytes} bytes are alive at once; "
            f"budget_bytes: {budget_bytes} must be at least {kept + each}"
        )
    at_once = max(1, (spare // 2 if needs.taught else spare) // each)
    rows = alive + at_once + (spare - at_once * each) // layout.row_bytes
    return rows, at_once


def _spans(adopts: Events, group: int, updates: int, once: bool) -> list[Span]:
    mine = np.flatnonzero(adopts.group == group)
    starts: dict[int, dict[int, int]] = {}
    current: dict[int, int] = {}
    for i in mine[np.argsort(adopts.version[mine], kind="stable")].tolist():
        version = int(adopts.version[i])
        if once and version not in starts:
            current = {}
        current = {**current, int(adopts.peer[i]): int(adopts.peer_version[i])}
        starts[version] = current
    begins = list(starts)
    ends = [v + 1 for v in begins] if once else [*begins, updates + 1][1:]
    return [Span(b, e, tuple(sorted(starts[b].items()))) for b, e in zip(begins, ends, strict=True)]
