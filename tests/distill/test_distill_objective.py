"""The objective against eqs 2 and 4 of Hinton 2015, finite differences and torch's own divergence."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repro.distill.objective import (
    distillation_loss,
    logit_matching_loss,
    smoothed_labels,
    soft_cross_entropy,
    soft_targets,
)


def drawn(seed: int, cases: int = 6, classes: int = 5, scale: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    """Student logits, teacher logits and labels, in float64; neither has zero mean over the classes."""
    generator = torch.Generator().manual_seed(seed)
    z, v = scale * torch.randn(2, cases, classes, generator=generator, dtype=torch.float64) + 1.0
    return z, v, torch.randint(classes, (cases,), generator=generator)


def zero_meaned(logits: Tensor) -> Tensor:
    return logits - logits.mean(1, keepdim=True)


def gradient(z: Tensor, targets: Tensor, temperature: float) -> Tensor:
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(soft_cross_entropy(leaf, targets, temperature), leaf)[0]


@given(st.integers(0, 2**31), st.floats(0.2, 50.0))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_gradient_is_equation_2(seed: int, temperature: float) -> None:
    z, v, _ = drawn(seed)
    p = soft_targets(v, temperature)
    eq2 = (soft_targets(z, temperature) - p) / temperature / len(z)
    torch.testing.assert_close(gradient(z, p, temperature), eq2, rtol=1e-9, atol=1e-15)
    step = 1e-5 * temperature
    for case in range(2):
        for i in range(z.shape[1]):
            nudge = torch.zeros_like(z)
            nudge[case, i] = step
            rise = soft_cross_entropy(z + nudge, p, temperature) - soft_cross_entropy(z - nudge, p, temperature)
            assert float(rise) / (2 * step) == pytest.approx(float(eq2[case, i]), rel=1e-5, abs=1e-9 / temperature)


def test_soft_targets_are_the_softmax_of_equation_1() -> None:
    _, v, _ = drawn(0)
    for temperature in (0.5, 1.0, 20.0):
        powers = [[math.exp(x / temperature) for x in row] for row in v.tolist()]
        naive = torch.tensor([[x / sum(row) for x in row] for row in powers], dtype=torch.float64)
        torch.testing.assert_close(soft_targets(v, temperature), naive, rtol=1e-12, atol=0)


def scaled_gradient(z: Tensor, v: Tensor, temperature: float) -> Tensor:
    """T^2 times the gradient of each case alone."""
    leaf = z.clone().requires_grad_()
    loss = len(z) * distillation_loss(leaf, soft_targets(v, temperature), None, temperature=temperature)
    return torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("seed", range(5))
def test_high_temperature_is_logit_matching_with_an_error_of_one_over_t(seed: int) -> None:
    z, v = map(zero_meaned, drawn(seed)[:2])
    limit = (z - v) / z.shape[1]
    distances = [float((scaled_gradient(z, v, t) - limit).norm()) for t in (1e3, 2e3, 4e3)]
    assert distances[0] < 0.02 * float(limit.norm())
    assert distances[0] / distances[1] == pytest.approx(2, rel=0.02)
    assert distances[1] / distances[2] == pytest.approx(2, rel=0.02)


def test_without_zero_mean_the_limit_differs_by_the_mean() -> None:
    z, v, _ = drawn(1)
    v = v + 2.5
    found = scaled_gradient(z, v, 1e7)
    difference = (z - v).mean(1, keepdim=True) / z.shape[1]
    torch.testing.assert_close(found, (z - v) / z.shape[1] - difference, rtol=0, atol=1e-5)
    assert float(difference.abs().max()) > 1  # far above the tolerance


def test_logit_matching_has_the_gradient_of_equation_4() -> None:
    z, v, _ = drawn(2)
    leaf = z.clone().requires_grad_()
    loss = logit_matching_loss(leaf, v)
    (found,) = torch.autograd.grad(len(z) * loss, leaf)
    torch.testing.assert_close(found, (zero_meaned(z) - zero_meaned(v)) / z.shape[1])
    torch.testing.assert_close(found, scaled_gradient(z, v, 1e7), rtol=0, atol=1e-5)
    difference = zero_meaned(z) - zero_meaned(v)
    naive = sum(float(d) ** 2 / 2 / z.shape[1] for d in difference.flatten()) / len(z)
    assert float(loss.detach()) == pytest.approx(naive, rel=1e-12)
    torch.testing.assert_close(logit_matching_loss(z + 7.0, v - 3.0), logit_matching_loss(z, v))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5, 20.0])
def test_equals_kl_divergence_up_to_the_entropy_of_the_targets(temperature: float) -> None:
    z, v, _ = drawn(3)
    p = soft_targets(v, temperature)
    divergence = torch.nn.KLDivLoss(reduction="batchmean")(F.log_softmax(z / temperature, 1), p)
    entropy = torch.distributions.Categorical(probs=p).entropy().mean()
    ours = distillation_loss(z, p, None, temperature=temperature)
    torch.testing.assert_close(ours, temperature**2 * (divergence + entropy))


def test_is_the_mean_over_the_batch() -> None:
    z, v, y = drawn(4)
    weights = {"temperature": 4.0, "soft_weight": 0.7, "hard_weight": 0.3}
    p = soft_targets(v, 4.0)
    whole = distillation_loss(z, p, y, **weights)
    cases = [distillation_loss(z[i : i + 1], p[i : i + 1], y[i : i + 1], **weights) for i in range(len(z))]
    torch.testing.assert_close(whole, torch.stack(cases).mean())
    torch.testing.assert_close(whole, distillation_loss(z.repeat(3, 1), p.repeat(3, 1), y.repeat(3), **weights))


def test_only_the_soft_part_is_scaled_by_the_squared_temperature() -> None:
    z, v, y = drawn(5)
    p = soft_targets(v, 20.0)
    soft = 400 * soft_cross_entropy(z, p, 20.0)
    found = distillation_loss(z, p, y, temperature=20.0, soft_weight=0.5, hard_weight=0.1)
    torch.testing.assert_close(found, 0.5 * soft + 0.1 * F.cross_entropy(z, y))
    assert float(distillation_loss(z, p, y, soft_weight=0.0)) == 0.0


def test_a_part_of_no_weight_is_not_looked_at() -> None:
    z, v, y = drawn(6)
    broken = torch.full_like(v, math.nan)
    hard = F.cross_entropy(z, y)
    torch.testing.assert_close(distillation_loss(z, broken, y, soft_weight=0.0, hard_weight=1.0), hard)
    torch.testing.assert_close(distillation_loss(z, None, y, soft_weight=0.0, hard_weight=1.0), hard)
    nowhere = torch.full_like(y, 99)
    p = soft_targets(v, 1.0)
    torch.testing.assert_close(distillation_loss(z, p, nowhere), distillation_loss(z, p, None))


def test_no_gradient_reaches_the_teacher_that_made_the_targets_without_one() -> None:
    z, v, _ = drawn(7)
    leaf = z.clone().requires_grad_()
    distillation_loss(leaf, soft_targets(v, 3.0), None, temperature=3.0).backward()
    assert leaf.grad is not None
    assert v.grad is None


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_refuses_temperatures_that_are_not_positive(temperature: float) -> None:
    z, v, _ = drawn(8)
    with pytest.raises(ValueError, match="temperature must be positive"):
        soft_targets(v, temperature)
    with pytest.raises(ValueError, match="temperature must be positive"):
        distillation_loss(z, soft_targets(v, 1.0), None, temperature=temperature)


def test_refuses_a_weighted_part_without_its_targets() -> None:
    z, v, y = drawn(9)
    with pytest.raises(ValueError, match="no soft targets"):
        distillation_loss(z, None, y, soft_weight=0.5, hard_weight=0.5)
    with pytest.raises(ValueError, match="no labels"):
        distillation_loss(z, soft_targets(v, 1.0), None, hard_weight=0.5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7, 1.0])
def test_smoothed_labels_give_torchs_label_smoothing(epsilon: float) -> None:
    z, _, labels = drawn(8)
    targets = smoothed_labels(labels, 5, epsilon).double()
    torch.testing.assert_close(targets.sum(1), torch.ones(6, dtype=torch.float64))
    smoothed = F.cross_entropy(z, labels, label_smoothing=epsilon)
    torch.testing.assert_close(soft_cross_entropy(z, targets, 1.0), smoothed, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1])
def test_smoothing_outside_its_range_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="epsilon"):
        smoothed_labels(torch.tensor([0]), 2, epsilon)
