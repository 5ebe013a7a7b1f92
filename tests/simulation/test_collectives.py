"""Collectives against their closed forms, conservation of bytes, and monotony."""

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation import collectives as c
from simulation.links import AlphaBeta

LINK = AlphaBeta(latency_s=5e-6, bandwidth_bytes_per_s=1e9)
MEMBERS = st.integers(1, 70)
SIZES = st.floats(1.0, 1e9)
SHAPES = st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple)


def test_ring_all_reduce_is_its_closed_form() -> None:
    n, size = 7, 1e6
    expected = 2 * (n - 1) * LINK.latency_s + 2 * (n - 1) / n * size / LINK.bandwidth_bytes_per_s
    assert c.seconds(c.ring_all_reduce(n, size), [LINK]) == pytest.approx(expected, rel=1e-12)
    assert c.bytes_per_link(c.ring_all_reduce(n, size), 1)[0] == pytest.approx(2 * (n - 1) / n * size)


@pytest.mark.parametrize("n", [2, 4, 32, 256])
def test_halving_doubling_is_its_closed_form(n: int) -> None:
    size = 3e6
    expected = 2 * math.log2(n) * LINK.latency_s + 2 * (n - 1) / n * size / LINK.bandwidth_bytes_per_s
    assert c.seconds(c.halving_doubling_all_reduce(n, size), [LINK]) == pytest.approx(expected, rel=1e-12)


def test_binary_blocks_pay_one_more_hop_each_way() -> None:
    n, size = 44, 1e8  # 32 + 8 + 4
    free = AlphaBeta(0.0, 1e9)
    expected = 2 * (31 / 32 + 1 / 8) * size / 1e9
    assert c.seconds(c.halving_doubling_all_reduce(n, size), [free]) == pytest.approx(expected)


def test_double_tree_has_logarithmic_latency_and_ring_bandwidth() -> None:
    n, size = 24, 1e6
    expected = 2 * 5 * LINK.latency_s + 2 * 23 / 24 * size / 1e9
    assert c.seconds(c.double_tree_all_reduce(n, size), [LINK]) == pytest.approx(expected)


def test_a_broadcast_is_its_closed_form() -> None:
    n, size = 8, 1e6
    message = LINK.seconds(size)
    assert c.seconds(c.tree_broadcast(n, size), [LINK]) == pytest.approx(3 * message)


def test_hierarchical_crosses_the_network_with_one_copy_per_node() -> None:
    stages = c.hierarchical((8, 4), 1e6)
    inside, across = c.bytes_per_link(stages, 2)
    assert inside == pytest.approx(2 * 7 / 8 * 1e6)
    assert across == pytest.approx(2 * 3 / 4 * 1e6)


def test_flat_ring_runs_at_its_slowest_link() -> None:
    fast, slow = AlphaBeta(0.0, 1e12), AlphaBeta(1e-5, 1e9)
    expected = 2 * 31 * slow.seconds(1e6 / 32)
    assert c.seconds(c.flat_ring((8, 4), 1e6), [fast, slow]) == pytest.approx(expected)


@given(shape=SHAPES, size=SIZES, name=st.sampled_from(sorted(c.ALL_REDUCE)))
def test_every_all_reduce_moves_the_same_bytes(shape: tuple[int, ...], size: float, name: str) -> None:
    moved = sum(c.total_bytes(c.ALL_REDUCE[name](shape, size), len(shape)))
    assert moved == pytest.approx(2 * (math.prod(shape) - 1) * size, rel=1e-9, abs=1e-6)


@given(shape=SHAPES, size=SIZES)
def test_a_broadcast_conserves_bytes(shape: tuple[int, ...], size: float) -> None:
    moved = sum(c.total_bytes(c.hierarchical_broadcast(shape, size), len(shape)))
    assert moved == pytest.approx((math.prod(shape) - 1) * size, rel=1e-9, abs=1e-6)


@given(
    shape=SHAPES,
    size=SIZES,
    name=st.sampled_from(sorted(c.ALL_REDUCE)),
    latency=st.floats(0, 1e-3),
    bandwidth=st.floats(1e6, 1e11),
    factor=st.floats(1.0, 100.0),
)
def test_all_reduce_is_monotone(
    shape: tuple[int, ...], size: float, name: str, latency: float, bandwidth: float, factor: float
) -> None:
    def cost(link: AlphaBeta, n_bytes: float) -> float:
        return c.seconds(c.ALL_REDUCE[name](shape, n_bytes), [link] * len(shape))

    base = cost(AlphaBeta(latency, bandwidth), size)
    slack = 1 + 1e-9
    assert cost(AlphaBeta(latency, bandwidth * factor), size) <= base * slack
    assert cost(AlphaBeta(latency * factor, bandwidth), size) >= base / slack
    assert cost(AlphaBeta(latency, bandwidth), size * factor) >= base / slack


@pytest.mark.parametrize("collective", [*c.ALL_REDUCE.values(), c.hierarchical_broadcast])
def test_one_device_sends_nothing(collective: c.Algorithm) -> None:
    assert sum(c.total_bytes(collective((1, 1), 1e6), 2)) == 0


def test_a_new_algorithm_is_one_function() -> None:
    two_dimensional = partial(c.hierarchical, across=c.halving_doubling_all_reduce)
    assert c.total_bytes(two_dimensional((4, 8), 1e6), 2) == c.total_bytes(c.hierarchical((4, 8), 1e6), 2)
