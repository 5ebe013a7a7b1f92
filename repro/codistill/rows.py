"""Which examples a worker's step uses: a keyed function, so nothing about batches is ever recorded or saved."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from repro.codistill.settings import Settings
from repro.errors import UserError
from repro.training.keys import generator_seed
from simulation.draws import batch_rows

SHARED = -1
"""Stands for the group in keys of what all groups see alike."""


class Rows:
    """Rows of the training set by (worker, step); workers are numbered through all groups.

    Raises:
        UserError: fewer examples than one step of a group uses up.
    """

    def __init__(self, settings: Settings, examples: int) -> None:
        self.settings = settings
        everything = torch.arange(examples)
        groups = settings.protocol.groups
        if settings.split == "disjoint":
            order = self._shuffled(everything, "parts")
            self._parts = {g: order[g::groups].sort().values for g in range(groups)}
        else:
            self._parts = dict.fromkeys(range(groups), everything)
        self._parts[SHARED] = everything
        self._permutation = lru_cache(maxsize=4)(self._make_permutation)  # this epoch's, and where the next begins
        smallest = min(len(part) for part in self._parts.values())
        if smallest < settings.batch_size * settings.workers:
            raise UserError(
                f"batch_size: {settings.workers} workers x {settings.batch_size} examples a step, and a group has "
                f"only {smallest} examples"
            )

    def _seat(self, worker: int, step: int) -> tuple[int, int]:
        """(group, place in it) that stand in keys; where all groups see the same batch, `SHARED` for the group."""
        group, place = divmod(worker, self.settings.workers)
        shared = self.settings.split == "same" or self.settings.is_exchange(step)
        return (SHARED if shared else group), place

    def key(self, worker: int, step: int) -> int:
        """The key of whatever is random in a step: augmentation, dropout."""
        return generator_seed(self.settings.seed, "step", *self._seat(worker, step), step)

    def __call__(self, worker: int, step: int) -> Tensor:
        """Rows (batch_size,) of one worker's step."""
        s = self.settings
        group, place = self._seat(worker, step)
        length = len(self._parts[group])
        if s.order == "replacement":
            drawn = batch_rows(s.seed, [(group + 1) * s.workers + place], [step], s.batch_size, length)[0]
            return self._parts[group][torch.from_numpy(drawn)]
        epoch, offset = divmod((step * s.workers + place) * s.batch_size, length)
        rows = self._permutation(group, epoch)[offset : offset + s.batch_size]
        if len(rows) < s.batch_size:
            rows = torch.cat([rows, self._permutation(group, epoch + 1)[: s.batch_size - len(rows)]])
        return rows

    def _make_permutation(self, group: int, epoch: int) -> Tensor:
        return self._shuffled(self._parts[group], "epoch", group, epoch)

    def _shuffled(self, rows: Tensor, *key: int | str) -> Tensor:
        generator = torch.Generator().manual_seed(generator_seed(self.settings.seed, *key))
        return rows[torch.randperm(len(rows), generator=generator)]
