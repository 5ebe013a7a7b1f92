"""The exact maps against moments computed another way, against one simulated step, and in their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.papers.werfel2005._maps import RULES, Map
from repro.papers.werfel2005._simulation import ESTIMATES, error, simulate

SIZES = st.integers(1, 60)


@pytest.mark.parametrize(("rule", "factor"), [("gradient", 12), ("node", 84), ("weight", 624)])
def test_known_factors(rule, factor):
    layer = Map(rule, 5, 10)
    assert layer.noise_factor == factor
    assert layer.best_step == 1 / factor
    assert layer.contraction(layer.best_step) == pytest.approx(1 - 1 / factor, rel=1e-14)


@given(SIZES, SIZES)
def test_slowdowns_are_those_of_the_outputs_and_then_the_inputs(m, n):
    gradient, node, weight = (Map(rule, m, n).noise_factor for rule in RULES)
    assert node == (m + 2) * gradient
    assert weight * (m + 2) == (m * n + 2) * node


@given(st.sampled_from(RULES), SIZES, SIZES)
def test_the_best_step_is_best_and_twice_it_is_the_edge(rule, m, n):
    layer = Map(rule, m, n)
    best = layer.contraction(layer.best_step)
    assert all(layer.contraction(share * layer.best_step) >= best for share in (0.5, 0.9, 1.1, 2.0))
    assert layer.contraction(2 * layer.best_step) == pytest.approx(1, abs=1e-12)


@given(st.sampled_from(RULES), st.integers(1, 8), st.integers(1, 8), st.floats(0, 0.5), st.integers(0, 40))
def test_the_closed_form_is_the_map_iterated(rule, m, n, noise_sd, steps):
    layer = Map(rule, m, n, noise_sd)
    e = 0.7
    for _ in range(steps):
        e = layer.contraction(layer.best_step) * e + layer.added(layer.best_step)
    assert layer.error(0.7, layer.best_step, steps) == pytest.approx(e, rel=1e-9)


def test_at_the_edge_the_floor_grows_by_a_constant():
    layer = Map("gradient", 2, 2)  # the contraction at twice the best step, 1/2, is exactly 1
    assert layer.error(1.0, 0.5, 7) == 1.0
    with pytest.raises(ValueError, match="grows"):
        layer.floor(0.5)


@pytest.mark.parametrize("rule", RULES)
def test_the_curve_ends_at_the_floor(rule):
    layer = Map(rule, 3, 4, 0.1)
    assert layer.error(1.0, layer.best_step, 100_000) == pytest.approx(layer.floor(layer.best_step), rel=1e-9)
    assert layer.floor(layer.best_step) == 0 if rule == "gradient" else layer.floor(layer.best_step) > 0


@pytest.mark.parametrize("bad", [("nodes", 2, 2, 0.0), ("node", 0, 2, 0.0), ("node", 2, 2, -1.0)])
def test_what_is_no_layer_is_refused(bad):
    with pytest.raises(ValueError, match=r"rule|layer"):
        Map(*bad)


@pytest.mark.parametrize("noise_sd", [0.0, 0.5])
@pytest.mark.parametrize("rule", RULES)
def test_one_simulated_step_has_the_mean_of_the_map(rule, noise_sd):
    """A z-test over many draws, at a step where every term of the map weighs."""
    layer, draws = Map(rule, 2, 3, noise_sd), 60_000
    step = 1.5 * layer.best_step
    found = simulate(
        rule, 2, 3, step=step, noise_sd=noise_sd, observe=[1], replicates=draws, generator=np.random.default_rng(1)
    )[0]
    expected = layer.error(1.0, step, 1)
    assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(draws)
    assert found.std() / math.sqrt(draws) < 0.03 * expected  # the test can see something


@pytest.mark.parametrize("rule", ["node", "weight"])
def test_estimates_are_unbiased_even_at_a_finite_perturbation(rule):
    generator = np.random.default_rng(2)
    draws = 100_000
    deviation = np.broadcast_to(generator.standard_normal((2, 3)), (draws, 2, 3))
    x = np.broadcast_to(generator.standard_normal(3), (draws, 3))
    found = ESTIMATES[rule](deviation, x, 0.3, generator)
    exact = ESTIMATES["gradient"](deviation[:1], x[:1], 0.0, generator)[0]
    z = (found.mean(0) - exact) / (found.std(0) / math.sqrt(draws))
    assert np.abs(z).max() < 4


def test_a_small_finite_difference_is_the_derivative():
    generator = np.random.default_rng(3)
    deviation, x = generator.standard_normal((5, 2, 3)), generator.standard_normal((5, 3))
    for rule in ("node", "weight"):
        near = ESTIMATES[rule](deviation, x, 1e-7, np.random.default_rng(4))
        limit = ESTIMATES[rule](deviation, x, 0.0, np.random.default_rng(4))
        np.testing.assert_allclose(near, limit, rtol=1e-4, atol=1e-5)


def test_replicates_learn_as_a_plain_loop_over_them():
    """One replicate at a time, with matrices and losses written out, on the same draws."""
    step, noise_sd, steps, replicates = 0.05, 0.2, 6, 4
    generator = np.random.default_rng(5)
    found = simulate(
        "weight", 2, 3, step=step, noise_sd=noise_sd, observe=[0, steps], replicates=replicates, generator=generator
    )
    again = np.random.default_rng(5)
    start = again.standard_normal((replicates, 2, 3))
    weights = [w / math.sqrt(0.5 * (w**2).sum()) for w in start]
    for _ in range(steps):
        x, noise = again.standard_normal((replicates, 3)), again.standard_normal((replicates, 2, 3))
        for r in range(replicates):
            before = 0.5 * np.sum((weights[r] @ x[r]) ** 2)
            after = 0.5 * np.sum(((weights[r] + noise_sd * noise[r]) @ x[r]) ** 2)
            weights[r] = weights[r] - step * (after - before) / noise_sd * noise[r]
    np.testing.assert_allclose(found[0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(found[1], [0.5 * (w**2).sum() for w in weights], rtol=1e-9)
    np.testing.assert_allclose(error(np.stack(weights)), found[1], rtol=1e-9)


@pytest.mark.parametrize("observe", [[], [3, 1], [2, 2], [-1]])
def test_points_in_time_must_rise(observe):
    with pytest.raises(ValueError, match="rise"):
        simulate(
            "gradient", 2, 2, step=0.1, noise_sd=0, observe=observe, replicates=2, generator=np.random.default_rng(0)
        )
