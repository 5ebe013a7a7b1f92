"""MUNGE against the plain loop, its invariances and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.tables import Columns, Table
from repro.distill import munge as module
from repro.distill.munge import munge
from repro.errors import UserError
from repro.training.keys import generator_seed


def table_of(cases: int, continuous: int, categories: tuple[int, ...], seed: int, levels: int = 0) -> Table:
    """Random cases; with ``levels`` the continuous attributes take so many values, so that distances tie."""
    rng = np.random.default_rng(seed)
    values = rng.random((cases, continuous))
    if levels:
        values = np.floor(values * levels) / levels
    codes = [rng.integers(0, count, cases) for count in categories]
    columns = Columns(
        tuple(f"x{i}" for i in range(continuous)),
        {f"n{i}": tuple(map(str, range(count))) for i, count in enumerate(categories)},
    )
    return Table(columns, values, np.array(codes, dtype=np.int64).reshape(-1, cases).T)


def plain_loop(table: Table, multiplier: int, p: float, s: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 as it is printed, a case and an attribute at a time."""
    c, m = len(table.columns.continuous), len(table.columns.nominal)
    made = []
    for copy in range(multiplier):
        x, z = table.continuous.copy(), table.nominal.copy()
        tossing = np.random.default_rng(generator_seed(seed, "munge", copy, "coins"))
        drawing = np.random.default_rng(generator_seed(seed, "munge", copy, "normals"))
        for case in range(len(x)):
            coins, normals = tossing.random(c + m) < p, drawing.standard_normal((2, c))
            others = [i for i in range(len(x)) if i != case]
            apart = [np.square(x[i] - x[case]).sum() + (z[i] != z[case]).sum() for i in others]
            other = others[int(np.argmin(apart))]
            for a in np.flatnonzero(coins[:c]):
                own, its = x[case, a], x[other, a]
                spread = abs(own - its) / s
                x[case, a], x[other, a] = its + spread * normals[0, a], own + spread * normals[1, a]
            for a in np.flatnonzero(coins[c:]):
                z[case, a], z[other, a] = z[other, a], z[case, a]
        made.append((x, z))
    return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("cases", "continuous", "categories", "levels"),
    [(70, 3, (2, 4), 0), (70, 4, (), 3), (70, 0, (3, 3, 2), 0), (60, 2, (5,), 2), (2, 1, (2,), 0)],
)
def test_it_is_the_plain_loop(cases, continuous, categories, levels, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "COPIES", 3)
    table = table_of(cases, continuous, categories, seed=cases, levels=levels)
    made = munge(table, multiplier=4, probability=0.6, local_variance=2.0, seed=5)
    x, z = plain_loop(table, 4, 0.6, 2.0, 5)
    assert np.array_equal(made.continuous, x)
    assert np.array_equal(made.nominal, z)


def test_neither_block_nor_copies_in_step_show(monkeypatch):
    table = table_of(60, 3, (3,), seed=1, levels=4)
    before = munge(table, multiplier=5, probability=0.5, local_variance=1.0, seed=2)
    monkeypatch.setattr(module, "BLOCK", 7)
    monkeypatch.setattr(module, "COPIES", 2)
    after = munge(table, multiplier=5, probability=0.5, local_variance=1.0, seed=2)
    assert np.array_equal(before.continuous, after.continuous)
    assert np.array_equal(before.nominal, after.nominal)


def test_more_copies_begin_with_the_fewer():
    table = table_of(40, 2, (2,), seed=3)
    few = munge(table, multiplier=2, probability=0.5, local_variance=1.0, seed=0)
    more = munge(table, multiplier=4, probability=0.5, local_variance=1.0, seed=0)
    assert np.array_equal(more.continuous[: len(few)], few.continuous)
    assert not np.array_equal(few.continuous[:40], few.continuous[40:])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 3), st.lists(st.integers(1, 4), max_size=3), st.integers(0, 99))
def test_swaps_leave_every_marginal_as_it_was(cases, continuous, categories, seed):
    """Nominal values are only ever swapped; without spread, continuous ones too."""
    if not continuous and not categories:
        continuous = 1
    table = table_of(cases, continuous, tuple(categories), seed)
    made = munge(table, multiplier=2, probability=0.5, local_variance=1e12, seed=seed)
    for copy in range(2):
        part = slice(copy * cases, (copy + 1) * cases)
        assert np.array_equal(np.sort(made.nominal[part], axis=0), np.sort(table.nominal, axis=0))
        assert np.allclose(np.sort(made.continuous[part], axis=0), np.sort(table.continuous, axis=0), atol=1e-9)


def test_at_probability_zero_nothing_moves_and_at_one_pairs_change_places():
    table = table_of(30, 2, (3,), seed=4)
    same = munge(table, multiplier=1, probability=0.0, local_variance=1.0, seed=0)
    assert np.array_equal(same.continuous, table.continuous)
    moved = munge(table, multiplier=1, probability=1.0, local_variance=1e12, seed=0)
    rows = {tuple(np.round(row, 6)) for row in moved.continuous}
    assert rows == {tuple(np.round(row, 6)) for row in table.continuous}
    assert not np.array_equal(moved.continuous, table.continuous)


def test_spread_falls_with_s():
    """The draws' standard deviation about the exchanged values is |difference| / s."""
    table = Table(Columns(("x",), {}), np.array([[0.0], [1.0]]), np.empty((2, 0), dtype=np.int64))
    for s in (2.0, 8.0):
        made = munge(table, multiplier=1500, probability=1.0, local_variance=s, seed=0).continuous.reshape(-1, 2)
        # Case 0 meets 1, then 1 meets 0: each value's mean is its own again, and its variance 1/s^2 of the first
        # exchange and E(difference^2)/s^2 = (1 + 2/s^2)/s^2 of the second.
        expected = 1 / s**2 + (1 + 2 / s**2) / s**2
        assert np.allclose(made.mean(0), [0, 1], atol=4 * np.sqrt(expected / 1500))
        assert np.allclose(made.var(0), expected, rtol=0.2)


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0]])
def test_the_order_of_attributes_does_not_matter(order):
    """With all coins heads and no spread, permuted attributes give permuted pseudo-cases; so do renamed categories."""
    table = table_of(50, 3, (3, 3), seed=6)
    one = munge(table, multiplier=1, probability=1.0, local_variance=1e15, seed=0)
    permuted = Table(table.columns, table.continuous[:, order], 2 - table.nominal[:, ::-1])
    other = munge(permuted, multiplier=1, probability=1.0, local_variance=1e15, seed=0)
    assert np.allclose(other.continuous, one.continuous[:, order], atol=1e-9)
    assert np.array_equal(other.nominal, 2 - one.nominal[:, ::-1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"multiplier": 0}, "multiplier must be at least 1"),
        ({"probability": 1.5}, "probability must lie in"),
        ({"local_variance": 0.0}, "local variance s must be above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        munge(
            table_of(5, 2, (2,), 0),
            **({"multiplier": 1, "probability": 0.5, "local_variance": 1.0, "seed": 0} | changes),
        )


def test_categories_kept_as_numbers_are_refused():
    table = Table(Columns(("country",), {}), np.array([[0.0], [40.0], [7.0]]), np.empty((3, 0), dtype=np.int64))
    with pytest.raises(UserError, match=r"country runs from 0 to 40; scale .* mark categories .* as nominal"):
        munge(table, multiplier=1, probability=0.5, local_variance=1.0, seed=0)


def test_a_single_case_has_nobody_to_meet():
    with pytest.raises(UserError, match="a case needs another"):
        munge(table_of(1, 2, (), 0), multiplier=1, probability=0.5, local_variance=1.0, seed=0)
