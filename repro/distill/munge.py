"""MUNGE: unlabelled cases that resemble the training cases (Bucila, Caruana, Niculescu-Mizil 2006, Algorithm 1).

A copy of the training cases is walked through once. Each case meets its nearest other case in the copy as it is
by then, and with probability p, attribute by attribute, the two change places: nominal values are swapped, and a
continuous value becomes a normal draw around the other's with standard deviation |difference| / s. Both cases
are changed in place, so what a case meets depends on all that was done before; k copies are independent.

The copies go in step, which spreads the cost of every numpy call over them. Distances of a block of cases to the
whole copy are one product of matrices; after each meeting only the two changed cases' distances to the rest of the
block are made anew. Products in float32 only screen: whatever they cannot tell apart from the nearest is measured
again in float64, so that the neighbours, ties included, are those of the plain loop.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from repro.data.tables import Columns, Table, demand_unit_range, joined
from repro.errors import UserError
from repro.training.keys import generator_seed

BLOCK = 64  # cases whose distances are one product: more cost more mending, fewer more calls
COPIES = 32  # that go in step: more share the cost of each call and take more memory

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]


def munge(table: Table, *, multiplier: int, probability: float, local_variance: float, seed: int) -> Table:
    """``multiplier`` times as many cases as ``table`` has, copy after copy, in the order of the cases.

    Nearest is by squared Euclidean distance over the continuous attributes, which must lie in [0, 1], plus the
    number of nominal attributes that differ; of several nearest the first. Both continuous values are drawn around
    the values before the meeting. Draws may leave [0, 1], as in the paper. Copy r depends on ``seed`` and r alone.

    Raises:
        UserError: fewer than two cases, no attributes, a continuous attribute outside [0, 1] (a category kept as a
            number, or values not scaled), or a parameter out of its range.
    """
    _check(table, multiplier, probability, local_variance)
    made = []
    for first in range(0, multiplier, COPIES):
        copies = _Copies(table, min(COPIES, multiplier - first))
        keys = [(seed, "munge", first + number) for number in range(copies.count)]
        draws = _draws(keys, table.columns, len(table), probability)
        for start, (coins, normals) in zip(range(0, len(table), BLOCK), draws, strict=True):
            copies.walk(start, coins, normals, local_variance)
        made += copies.tables(table.columns)
    return joined(made)


def _check(table: Table, multiplier: int, probability: float, local_variance: float) -> None:
    if len(table) < 2 or not table.columns.inputs:
        raise UserError(f"munge: {len(table)} cases of {table.columns.inputs} inputs; a case needs another to meet")
    if multiplier < 1:
        raise UserError(f"munge: multiplier must be at least 1, not {multiplier}")
    if not 0 <= probability <= 1:
        raise UserError(f"munge: probability must lie in [0, 1], not {probability}")
    if not local_variance > 0:
        raise UserError(f"munge: local variance s must be above 0, not {local_variance}")
    demand_unit_range(table, "munge")


def _draws(
    keys: Sequence[tuple[int | str, ...]], columns: Columns, cases: int, probability: float
) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
    """Coins (copies, block, attributes) and normals (copies, block, 2, continuous), block after block.

    Each copy has a stream of its own for either, so that a copy's draws for a case hang on neither the size of a
    block nor the number of copies in step.
    """
    continuous, nominal = len(columns.continuous), len(columns.nominal)
    tossing = [np.random.default_rng(generator_seed(*key, "coins")) for key in keys]
    drawing = [np.random.default_rng(generator_seed(*key, "normals")) for key in keys]
    for start in range(0, cases, BLOCK):
        block = min(BLOCK, cases - start)
        coins = np.stack([rng.random((block, continuous + nominal)) < probability for rng in tossing])
        yield coins, np.stack([rng.standard_normal((block, 2, continuous)) for rng in drawing])


class _Copies:
    """Copies of one table that are changed in step.

    ``points`` (copies, cases, width) are the cases as points whose squared distance is the table's: continuous values
    about their mean, and 1/sqrt(2) for the category of each nominal attribute. ``squares`` are their squared norms.
    """

    def __init__(self, table: Table, count: int) -> None:
        self.count = count
        self._rows = np.arange(count)
        self._continuous = np.repeat(table.continuous[None], count, axis=0)
        self._nominal = np.repeat(table.nominal[None], count, axis=0)
        self._centre = table.continuous.mean(0)
        # A nominal attribute's first column among the points' coordinates.
        sizes = np.array(table.columns.categories, dtype=np.int64)
        self._offsets = len(self._centre) + np.cumsum(sizes) - sizes
        self._width = table.columns.inputs
        points = self._points(table.continuous, table.nominal)
        self._points_now = np.repeat(points[None], count, axis=0)
        self._squares = np.repeat(np.square(points).sum(1)[None], count, axis=0)

    def tables(self, columns: Columns) -> list[Table]:
        return [Table(columns, *parts) for parts in zip(self._continuous, self._nominal, strict=True)]

    def walk(self, start: int, coins: NDArray[np.bool_], normals: Floats, local_variance: float) -> None:
        """Let the block of cases from ``start`` on meet their nearest others, in order, in every copy."""
        distances = self._screen(start, coins.shape[1])
        most = self._squares.max(1)
        pair = np.empty((2, self.count), dtype=np.int64)
        for step in range(coins.shape[1]):
            pair[0] = start + step
            pair[1] = self._nearest(start + step, distances[:, step], most)
            points, squares = self._meet(pair, coins[:, step], normals[:, step], local_variance)
            self._mend(distances, start, step, pair, points, squares)
            np.maximum(most, squares.max(0), out=most)

    def _points(self, continuous: Floats, nominal: Indices) -> Singles:
        """Points (cases, width) of values (cases, c) and codes (cases, m)."""
        points = np.zeros((len(continuous), self._width), dtype=np.float32)
        np.subtract(continuous, self._centre, out=points[:, : len(self._centre)], casting="same_kind")
        if len(self._offsets):
            points[np.arange(len(points))[:, None], self._offsets + nominal] = np.sqrt(0.5)
        return points

    def _screen(self, start: int, size: int) -> Singles:
        """(copies, size, cases): squared distances of a block to all cases, less the block's own squared norms."""
        block: Singles = self._points_now[:, start : start + size] * np.float32(-2)
        distances: Singles = np.matmul(block, self._points_now.transpose(0, 2, 1))
        distances += self._squares[:, None]
        steps = np.arange(size)
        distances[:, steps, start + steps] = np.inf
        return distances

    def _nearest(self, case: int, distances: Singles, most: Singles) -> Indices:
        """(copies,): the other case nearest to ``case``, the first of several."""
        # Twice the most by which a screened distance can be off: sums of width products, roundings of the points.
        slack = (4 * self._width + 32) * np.finfo(np.float32).eps / 2 * (self._squares[:, case] + most)
        close = distances <= (distances.min(1) + slack)[:, None]
        copy, other = np.divmod(np.flatnonzero(close), close.shape[1])
        if len(copy) == self.count:
            return other
        apart = np.square(self._continuous[copy, other] - self._continuous[copy, case]).sum(1)
        apart += (self._nominal[copy, other] != self._nominal[copy, case]).sum(1)
        first = np.searchsorted(copy, self._rows)
        nearest = np.flatnonzero(apart == np.minimum.reduceat(apart, first)[copy])
        return other[nearest[np.searchsorted(copy[nearest], self._rows)]]

    def _meet(
        self, pair: Indices, coins: NDArray[np.bool_], normals: Floats, local_variance: float
    ) -> tuple[Singles, Singles]:
        """Let the cases ``pair`` (2, copies) meet; their new points (2, copies, width) and squared norms."""
        rows, continuous = self._rows, len(self._centre)
        values = self._continuous[rows, pair]
        spread = np.abs(values[0] - values[1]) / local_variance
        np.copyto(values, values[::-1] + spread * normals.swapaxes(0, 1), where=coins[:, :continuous])
        self._continuous[rows, pair] = values
        codes = self._nominal[rows, pair]
        if codes.size:
            codes = np.where(coins[:, continuous:], codes[::-1], codes)
            self._nominal[rows, pair] = codes
        flat = self._points(values.reshape(2 * self.count, -1), codes.reshape(2 * self.count, -1))
        points, squares = flat.reshape(2, self.count, -1), np.square(flat).sum(1).reshape(2, self.count)
        self._points_now[rows, pair] = points
        self._squares[rows, pair] = squares
        return points, squares

    def _mend(
        self, distances: Singles, start: int, step: int, pair: Indices, points: Singles, squares: Singles
    ) -> None:
        """Bring the distances of the block's later cases up to date after ``pair`` met and changed."""
        case, end = start + step, start + distances.shape[1]
        later = np.arange(step + 1, distances.shape[1])[:, None, None]
        products = self._points_now[:, case + 1 : end] @ points.transpose(1, 2, 0)
        distances[self._rows, later, pair] = squares - 2 * products.transpose(1, 2, 0)
        # Another that is itself a later case of the block has moved: all its distances are new.
        other = pair[1]
        for copy in np.flatnonzero((other > case) & (other < end)):
            moved = other[copy]
            distances[copy, moved - start] = (
                self._squares[copy] - 2 * self._points_now[copy] @ self._points_now[copy, moved]
            )
            distances[copy, moved - start, moved] = np.inf
