"""Links, measured tables, and the overlap of all-reduce with the backward pass."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.links import AlphaBeta, Table, fit_alpha_beta
from simulation.overlap import fill_buckets, overlap_backward

TABLE = Table((1e3, 1e4, 1e6), (1e-5, 2e-5, 1e-3))


def test_table_meets_its_points_and_is_straight_in_log_log() -> None:
    assert [TABLE.seconds(b) for b in TABLE.bytes] == pytest.approx(TABLE.seconds_measured)
    assert TABLE.seconds(1e5) == pytest.approx(math.sqrt(2e-5 * 1e-3))


def test_table_beyond_its_ends_is_latency_then_bandwidth() -> None:
    assert TABLE.seconds(10) == 1e-5
    assert TABLE.seconds(4e6) == pytest.approx(4e-3)


@given(st.floats(1, 1e8), st.floats(1.0, 100.0))
def test_a_growing_table_interpolates_monotonely(size: float, factor: float) -> None:
    assert TABLE.seconds(size * factor) >= TABLE.seconds(size) * (1 - 1e-12)


def test_holding_out_keeps_the_ends() -> None:
    table = Table((1, 2, 3, 4, 5), (1, 2, 3, 4, 5))
    assert [(b, s) for b, s, _ in table.held_out()] == [(2, 2), (4, 4), (3, 3)]
    assert [predicted for _, _, predicted in table.held_out()] == pytest.approx([2, 4, 3])


@pytest.mark.parametrize(
    ("bytes_", "seconds", "said"),
    [
        ((1.0,), (1.0,), "at least two"),
        ((2.0, 1.0), (1.0, 1.0), "grow"),
        ((1.0, 2.0), (0.0, 1.0), "above zero"),
    ],
)
def test_bad_tables_are_refused(bytes_: tuple[float, ...], seconds: tuple[float, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Table(bytes_, seconds)


@given(st.floats(1e-7, 1e-3), st.floats(1e6, 1e11))
def test_alpha_beta_fit_recovers_planted_values(latency: float, bandwidth: float) -> None:
    planted = AlphaBeta(latency, bandwidth)
    knee = latency * bandwidth
    sizes = tuple(knee * 4.0**k for k in range(-4, 5))
    found = fit_alpha_beta(sizes, tuple(planted.seconds(b) for b in sizes))
    assert found.latency_s == pytest.approx(latency, rel=1e-4)
    assert found.bandwidth_bytes_per_s == pytest.approx(bandwidth, rel=1e-4)


def test_buckets_fill_from_the_last_layer_and_lose_nothing() -> None:
    buckets = fill_buckets([5, 1, 1, 3], [1, 1, 1, 1], bucket_bytes=4, first_bucket_bytes=2)
    assert buckets == [(3, 1), (7, 4)]


def test_without_overlap_everything_is_exposed() -> None:
    result = overlap_backward([4, 4], [1.0, 1.0], lambda b: b / 8, math.inf, None)
    assert result.exposed_s == result.communication_s == 1.0


def test_a_fast_network_leaves_only_the_last_bucket() -> None:
    result = overlap_backward([4, 4], [1.0, 1.0], lambda b: b / 8, 4, None)
    assert result.exposed_s == 0.5
    assert result.communication_s == 1.0


@given(
    st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1.0)), min_size=1, max_size=20),
    st.floats(1.0, 1e4),
    st.floats(1e-6, 1.0),
)
def test_overlap_lies_between_all_hidden_and_all_exposed(
    layers: list[tuple[float, float]], bucket: float, per_byte: float
) -> None:
    sizes, times = [b for b, _ in layers], [t for _, t in layers]
    result = overlap_backward(sizes, times, lambda b: per_byte * b, bucket)
    backward, slack = sum(times), 1e-9
    assert sum(b.n_bytes for b in result.buckets) == pytest.approx(sum(sizes))
    assert result.exposed_s <= result.communication_s + slack
    assert result.exposed_s >= result.communication_s - backward - slack
