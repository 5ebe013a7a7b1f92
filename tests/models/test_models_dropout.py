"""Dropout against its closed form; the rate and the mean within binomial bounds."""

import math
from collections.abc import Iterator

import pytest
import torch

from repro.models.dropout import LEVELS, Dropout

Z = 5.0  # standard deviations allowed; the draws are seeded


def kept_units(rate: float, units: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(rate)(torch.ones(units)) != 0


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    """Every test seeds the global generator itself; what other tests draw is not touched."""
    state = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(state)


@pytest.mark.parametrize("rate", [1 / LEVELS, 0.2, 0.5, 0.9])
def test_drops_at_its_rate_in_each_of_the_four_lanes(rate: float) -> None:
    units = 2_000_000
    kept = kept_units(rate, units)
    exact = round(rate * LEVELS) / LEVELS
    for part in [kept, *(kept[lane::4] for lane in range(4))]:
        deviation = math.sqrt(exact * (1 - exact) * len(part))
        assert abs(int((~part).sum()) - exact * len(part)) < Z * deviation


def test_neighbours_are_dropped_independently() -> None:
    kept = kept_units(0.3, 1_000_000).double() - 0.7
    for lag in (1, 2, 3, 4, 8):
        covariance = float((kept[lag:] * kept[:-lag]).sum())
        assert abs(covariance) < Z * 0.21 * math.sqrt(len(kept) - lag)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.77])
def test_the_scale_is_exact_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(1)
    x = torch.ones(1_000_000)
    values = Dropout(rate)(x).double()
    levels = round(rate * LEVELS)
    scale = torch.tensor(LEVELS / (LEVELS - levels))
    assert set(values.unique().tolist()) == {0.0, float(scale)}
    deviation = float(scale) * math.sqrt(rate * (1 - rate) / len(x))
    assert abs(float(values.mean()) - 1.0) < Z * deviation


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_any_shape_and_type(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    x = torch.rand(shape).add(1).to(dtype)
    y = Dropout(0.5)(x)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert torch.equal(y, torch.where(y == 0, torch.zeros_like(x), 2 * x))
    assert torch.equal(torch.isfinite(y), torch.ones_like(y, dtype=torch.bool))


def test_a_transposed_input_is_dropped_where_it_says() -> None:
    x = torch.arange(1.0, 13.0).view(3, 4).t()
    y = Dropout(0.5)(x)
    assert torch.equal(y, torch.where(y == 0, torch.zeros_like(x), 2 * x))


def test_the_gradient_is_the_mask_times_the_scale() -> None:
    torch.manual_seed(3)
    x = torch.randn(50, 31, requires_grad=True)
    y = Dropout(0.2)(x)
    weights = torch.randn(50, 31)
    (gradient,) = torch.autograd.grad((weights * y).sum(), x)
    scale = LEVELS / (LEVELS - round(0.2 * LEVELS))
    mask = (y != 0).float()
    assert 0 < float(mask.mean()) < 1
    torch.testing.assert_close(gradient, weights * mask * scale, rtol=1e-6, atol=0)


def test_is_the_identity_in_eval_mode_and_at_rate_zero() -> None:
    x = torch.randn(20)
    state = torch.random.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert torch.equal(torch.random.get_rng_state(), state)  # and nothing is drawn


def test_draws_are_those_of_the_seed() -> None:
    assert torch.equal(kept_units(0.5, 1001, seed=4), kept_units(0.5, 1001, seed=4))
    assert not torch.equal(kept_units(0.5, 1001, seed=4), kept_units(0.5, 1001, seed=5))


def test_says_its_rate_and_accepts_the_highest() -> None:
    assert repr(Dropout(0.25)) == "Dropout(rate=0.25)"
    assert "rate=0.99998" in repr(Dropout(1 - 1e-9))


@pytest.mark.parametrize("rate", [-1e-9, 1.0, 1.5, math.nan])
def test_refuses_rates_outside_zero_to_one(rate: float) -> None:
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\)"):
        Dropout(rate)
