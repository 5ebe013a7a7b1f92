"""Class sets, half-and-half cases, the dustbin and its correction."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from repro.distill import specialists
from repro.errors import UserError


def mask(*classes: int, of: int = 6) -> torch.Tensor:
    found = torch.zeros(of, dtype=torch.bool)
    found[list(classes)] = True
    return found


def test_labels_of_a_specialist_by_hand():
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 3])
    assert specialists.specialist_labels(labels, mask(1, 3, 5)).tolist() == [3, 0, 3, 1, 3, 2, 1]


def test_half_of_the_cases_are_special_each_once_and_the_rest_is_drawn_anew():
    labels = torch.arange(6).repeat(50)
    halves = specialists.HalfAndHalf.of(labels, mask(1, 3))
    assert len(halves) == 200
    positions = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    one, two = halves.draw(positions), halves.draw(positions)
    special = mask(1, 3)[labels[one]]
    assert int(special.sum()) == 100
    assert sorted(one[special].tolist()) == mask(1, 3)[labels].nonzero().squeeze(1).tolist()
    assert torch.equal(special, positions < 100)
    assert torch.equal(one[special], two[special])
    assert not torch.equal(one[~special], two[~special])
    counts = torch.bincount(labels[torch.cat([halves.draw(positions) for _ in range(100)])], minlength=6)
    others = counts[~mask(1, 3)].double() / 10_000
    assert float((others - 0.25).abs().max()) < 0.02  # uniform over the rest


def test_correction_restores_the_known_posterior():
    """Two Gaussians of special classes and one of all others: a logistic regression trained half and half, corrected,
    gives the posterior at the natural frequencies."""
    generator = np.random.default_rng(0)
    means, prior = np.array([[1.5, 0.0], [-1.5, 0.0], [0.0, 1.0]]), np.array([0.1, 0.1, 0.8])
    labels = np.repeat([0, 1, 2], [20_000, 20_000, 40_000])  # half and half
    x = means[labels] + generator.normal(size=(len(labels), 2))
    model = LogisticRegression(C=1e6).fit(x, labels)
    test = generator.normal(size=(500, 2))
    logits = torch.from_numpy(model.decision_function(test))
    corrected = specialists.dustbin_probabilities(logits, 0.2)
    truth = softmax(np.log(prior) - 0.5 * ((test[:, None] - means) ** 2).sum(2), axis=1)
    assert float(np.abs(corrected.numpy() - truth).max()) < 0.03
    assert float(np.abs(softmax(logits.numpy(), axis=1) - truth).max()) > 0.2  # without it: far off


def test_specialists_that_defer_divide_what_the_generalist_gives_their_classes():
    class_set = torch.tensor([True, False, True, True, False])
    generator = torch.Generator().manual_seed(0)
    generalist = torch.softmax(torch.randn(7, 5, generator=generator, dtype=torch.float64), 1)
    own = torch.softmax(torch.randn(7, 4, generator=generator, dtype=torch.float64), 1)
    found = specialists.deferring(own, generalist, class_set)
    for case in range(7):
        inside = sum(generalist[case, c] for c in (0, 2, 3))
        expected = [inside * own[case, k] / sum(own[case, :3]) for k in range(3)] + [1 - inside]
        torch.testing.assert_close(found[case], torch.stack(expected))
    same = specialists.deferring(specialists.in_dustbin(generalist, class_set), generalist, class_set)
    torch.testing.assert_close(same, specialists.in_dustbin(generalist, class_set))
    certain = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    inside = generalist[0, class_set].sum()
    found = specialists.deferring(certain, generalist[:1], class_set)
    torch.testing.assert_close(found[0], torch.stack([inside / 3, inside / 3, inside / 3, 1 - inside]))


def test_who_defers_to_a_rounded_sum_above_one_gives_nothing_below_zero():
    generator = torch.Generator().manual_seed(0)
    generalist = torch.softmax(10 * torch.randn(1000, 50, generator=generator), 1)
    own = torch.softmax(torch.randn(1000, 4, generator=generator), 1)
    found = specialists.deferring(own, generalist, torch.arange(50) < 3)
    assert float(found[:, -1].max()) > 1
    assert float(found.min()) == 0


def test_a_moved_dustbin_is_a_moved_logit():
    logits = torch.randn(7, 4, dtype=torch.float64)
    moved = logits + torch.tensor([0, 0, 0, -1.5])
    found = specialists.moved_dustbin(torch.softmax(logits, 1), -1.5)
    torch.testing.assert_close(found, torch.softmax(moved, 1))


def test_full_specialists_are_corrected_alike():
    generator = torch.Generator().manual_seed(0)
    special, share = mask(0, 4), 0.3
    natural = torch.softmax(torch.randn(50, 6, generator=generator, dtype=torch.float64), 1)
    # Training at half and half multiplies special classes by 0.5 / share, others by 0.5 / (1 - share).
    seen = natural * torch.where(special, 0.5 / share, 0.5 / (1 - share))
    found = specialists.probabilities_of_full(seen.log(), special, share)
    torch.testing.assert_close(found, specialists.in_dustbin(natural, special))
    dustbin = specialists.in_dustbin(seen, special).log()
    torch.testing.assert_close(specialists.dustbin_probabilities(dustbin, share), found)


def test_head_keeps_the_special_rows_and_bounds_the_dustbin():
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(6, 3, generator=generator), torch.randn(6, generator=generator)
    special = mask(1, 5)
    w, b = specialists.specialist_head(weight, bias, special)
    x = torch.randn(20, 3, generator=generator)
    logits, theirs = x @ w.T + b, x @ weight.T + bias
    torch.testing.assert_close(logits[:, :2], theirs[:, special])
    assert bool((logits[:, 2] <= theirs[:, ~special].logsumexp(1) + 1e-5).all())  # Jensen
    same, _ = weight.clone().fill_(0.5), None
    w, b = specialists.specialist_head(same, torch.zeros(6), special)
    torch.testing.assert_close(x @ w[2] + b[2], (x @ same.T)[:, ~special].logsumexp(1))  # exact where others agree


def test_loss_on_other_classes_ignores_the_special_ones():
    generator = torch.Generator().manual_seed(2)
    z, v = (torch.randn(9, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    special = mask(0, 2, 3)
    loss = specialists.loss_on_other_classes(z, v, special, 2.0)
    p, q = (softmax(t[:, [1, 4, 5]].numpy() / 2.0, axis=1) for t in (v, z))
    assert float(loss) == pytest.approx(-4.0 * (p * np.log(q)).sum(1).mean(), rel=1e-12)
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(specialists.loss_on_other_classes(z, v, special, 2.0), z)
    assert bool((gradient[:, special] == 0).all())
    assert float(gradient[:, ~special].abs().min()) > 0


def test_random_sets_are_as_many_and_as_large():
    like = torch.stack([mask(0, 1), mask(1, 2, 3)])
    found = specialists.random_class_sets(like, torch.Generator().manual_seed(0))
    assert found.sum(1).tolist() == [2, 3]
    again = specialists.random_class_sets(like, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (torch.zeros(0, 6, dtype=torch.bool), "no class set"),
        (torch.stack([mask(0, 1), mask()]), "specialist 1: its class set covers nothing"),
        (torch.stack([mask(4)]), "specialist 0: has one class alone"),
        (torch.stack([mask(*range(6))]), "has all 6 classes and no dustbin"),
    ],
)
def test_refuses_sets_that_no_specialist_can_learn(sets, message):
    with pytest.raises(UserError, match=message):
        specialists.check_class_sets(sets)
    for class_set in sets[-1:]:
        with pytest.raises(UserError):
            specialists.specialist_head(torch.zeros(6, 3), torch.zeros(6), class_set)
    specialists.check_class_sets(torch.stack([mask(0, 1)]))


@pytest.mark.parametrize("labels", [[0, 0, 1], [2, 3, 5]])
def test_both_halves_need_cases(labels):
    with pytest.raises(UserError, match="both halves need cases"):
        specialists.HalfAndHalf.of(torch.tensor(labels), mask(0, 1))


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_correction_needs_a_share(share):
    with pytest.raises(UserError, match="share"):
        specialists.dustbin_correction(share)
