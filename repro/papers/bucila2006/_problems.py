"""The tasks: which question is asked of which cases, and a split of them for every seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.data import sets, tables
from repro.data.sets import ImageSet
from repro.data.tables import Columns, Table, scaled
from repro.errors import UserError
from repro.papers.bucila2006._arms import Cases
from repro.training.keys import generator_seed

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]


def _labels(values: Indices) -> Indices:
    return values


def _first_class(values: Indices) -> Indices:
    return np.asarray(values == 0, dtype=np.int64)


def _first_half(values: Indices) -> Indices:
    return np.asarray(values <= values.max() // 2, dtype=np.int64)


# LETTER.p1 asks for O against the other letters, LETTER.p2 for the alphabet's first half against its second.
TASKS = {"adult": _labels, "p1": _first_class, "p2": _first_half}


@cache
def _whole(data: str, pool: int) -> tuple[Table, Indices]:
    """All cases of a data set and their labels; images become tables of pixels averaged over squares."""
    if data in tables.LOADERS:
        found = tables.load(data)
        return found.cases, found.labels
    images = sets.load(data)
    values = np.concatenate([_pooled(images, split, pool) for split in ("train", "test")])
    columns = Columns(tuple(f"pixel{number}" for number in range(values.shape[1])), {})
    labels = torch.cat([images.train.labels, images.test.labels]).numpy()
    return Table(columns, values, np.empty((len(values), 0), dtype=np.int64)), labels


def _pooled(images: ImageSet, split: str, pool: int) -> Floats:
    pixels = getattr(images, split).images
    if pixels.dim() != 3 or pixels.shape[1] % pool or pixels.shape[2] % pool:
        raise UserError(f"{images.name}: images of {tuple(pixels.shape[1:])} do not part into squares of {pool} pixels")
    return torch.nn.functional.avg_pool2d(pixels.double(), pool).flatten(1).numpy()


@dataclass(frozen=True)
class Problem:
    """One split of one task. Continuous attributes run from 0 to 1 over the training cases; labels are 0 and 1."""

    train: Table
    validation: Table
    test: Table
    labels: Mapping[str, Indices]

    @cached_property
    def _spread(self) -> tuple[Floats, Floats]:
        spread = self.train.continuous.std(0)
        return self.train.continuous.mean(0), np.where(spread > 0, spread, 1.0)

    def inputs(self, table: Table) -> Singles:
        """What nets and library see: standardised continuous attributes, 0/1 a category; (cases, inputs) float32."""
        mean, spread = self._spread
        return Table(table.columns, (table.continuous - mean) / spread, table.nominal).coded()

    @cached_property
    def coded(self) -> dict[str, Singles]:
        return {split: self.inputs(getattr(self, split)) for split in ("train", "validation", "test")}


def problem(data: str, task: str, cases: Mapping[str, Any], seed: int) -> Problem:
    """The task on a split of its own for every seed: training, validation and test cases at random.

    Raises:
        UserError: the data have fewer cases than asked for.
    """
    wanted = Cases(**cases)
    table, values = _whole(data, wanted.pool)
    sizes = {"train": wanted.train, "validation": wanted.validation, "test": wanted.test}
    if sum(sizes.values()) > len(table):
        raise UserError(f"{data}: {sum(sizes.values())} cases asked for, {len(table)} are there; lower cases.test")
    order = np.random.default_rng(generator_seed(seed, "cases")).permutation(len(table)).astype(np.int64)
    labels = TASKS[task](values)
    parts = dict(zip(sizes, np.split(order, np.cumsum(list(sizes.values())))[:3], strict=True))
    reference = table.take(parts["train"])
    return Problem(
        **{split: scaled(table.take(index), reference) for split, index in parts.items()},
        labels={split: labels[index] for split, index in parts.items()},
    )


def distance(table: Table, real: Table) -> float:
    """Median over ``table`` of the distance to the nearest case of ``real``, as MUNGE measures it."""
    from sklearn.metrics import pairwise_distances_argmin_min

    continuous = table.continuous.shape[1]
    weights = np.concatenate([np.ones(continuous), np.full(table.columns.inputs - continuous, np.sqrt(0.5))])
    _, nearest = pairwise_distances_argmin_min(table.coded() * weights, real.coded() * weights)
    return float(np.median(nearest))
