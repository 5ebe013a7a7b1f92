"""Means of predictions against loops and against the divergences that they minimise."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, rel_entr, softmax
from torch import Tensor

from repro.distill.ensemble import MEANS, arithmetic_mean, geometric_mean, teacher_logits


def members(seed: int, count: int = 4, cases: int = 3, classes: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(count, cases, classes, generator=generator, dtype=torch.float64)


def test_equal_naive_means() -> None:
    logits = members(0)
    p = [[softmax(case) for case in member] for member in logits.numpy()]
    for case in range(3):
        arithmetic = [math.fsum(member[case][i] for member in p) / 4 for i in range(5)]
        products = [math.prod(member[case][i] for member in p) ** (1 / 4) for i in range(5)]
        geometric = [x / math.fsum(products) for x in products]
        np.testing.assert_allclose(arithmetic_mean(logits).exp()[case], arithmetic, rtol=1e-13)
        np.testing.assert_allclose(geometric_mean(logits).exp()[case], geometric, rtol=1e-13)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_mean_minimises_its_own_divergence(seed: int) -> None:
    logits = members(seed, cases=1)
    p = softmax(logits.numpy()[:, 0], axis=1)
    to_q = minimize(lambda z: rel_entr(p, softmax(z)).sum(1).mean(), np.zeros(5), tol=1e-12)
    from_q = minimize(lambda z: rel_entr(softmax(z), p).sum(1).mean(), np.zeros(5), tol=1e-12)
    arithmetic, geometric = arithmetic_mean(logits)[0].exp(), geometric_mean(logits)[0].exp()
    np.testing.assert_allclose(softmax(to_q.x), arithmetic, atol=1e-6)
    np.testing.assert_allclose(softmax(from_q.x), geometric, atol=1e-6)
    assert float((arithmetic - geometric).abs().max()) > 1e-3  # so the two are told apart


def test_are_log_probabilities_at_any_size_of_logits() -> None:
    logits = torch.stack([members(3) * 1e4, -members(4) * 1e4]).flatten(0, 1)
    for mean in (arithmetic_mean, geometric_mean):
        found = mean(logits)
        assert found.isfinite().all()
        np.testing.assert_allclose(found.exp().sum(1), 1.0, rtol=1e-12)


def test_one_member_is_its_own_mean_and_a_constant_is_lost() -> None:
    logits = members(5)
    for mean in (arithmetic_mean, geometric_mean):
        np.testing.assert_allclose(mean(logits[:1]), log_softmax(logits[0].numpy(), axis=1), atol=1e-13)
        offset = torch.arange(4.0, dtype=torch.float64)[:, None, None]
        torch.testing.assert_close(mean(logits + offset), mean(logits))
        torch.testing.assert_close(mean(logits.flip(0)), mean(logits))


@pytest.mark.parametrize("mean", sorted(MEANS))
@pytest.mark.parametrize("temperature", [1.0, 2.5, 10.0])
def test_a_teachers_softened_predictions_are_the_mean_of_the_members_softened_ones(
    mean: str, temperature: float
) -> None:
    logits = members(3)
    p = softmax(logits.numpy() / temperature, axis=-1)
    wanted = p.mean(0) if mean == "arithmetic" else p.prod(0) ** (1 / 4) / (p.prod(0) ** (1 / 4)).sum(-1, keepdims=True)
    found = teacher_logits(logits, mean, temperature)
    np.testing.assert_allclose(softmax(found.numpy() / temperature, axis=-1), wanted, rtol=1e-12)
    permuted = teacher_logits(logits[[2, 0, 3, 1]], mean, temperature)
    np.testing.assert_allclose(permuted, found, rtol=1e-12)


def test_the_geometric_teacher_has_the_mean_logits_at_any_temperature() -> None:
    logits = members(4)
    mean = log_softmax(logits.mean(0).numpy(), axis=-1)
    for temperature in (1.0, 7.0):
        found = teacher_logits(logits, "geometric", temperature).numpy()
        np.testing.assert_allclose(log_softmax(found, axis=-1), mean, atol=1e-12)


def test_a_single_member_teaches_what_it_predicts() -> None:
    logits = members(5, count=1)
    for mean in MEANS:
        found = teacher_logits(logits, mean, 4.0).numpy()
        np.testing.assert_allclose(log_softmax(found, axis=-1), log_softmax(logits[0].numpy(), axis=-1), atol=1e-12)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        teacher_logits(members(0), "arithmetic", 0.0)
