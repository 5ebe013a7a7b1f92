"""Eq 5: closed forms, scipy, certificates, invariances, failures."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, rel_entr
from torch import Tensor

from repro.distill.combine import LEAST, PATHS, combine, combine_reversed, consulted, objective
from repro.distill.ensemble import arithmetic_mean, geometric_mean
from repro.errors import UserError

Problem = tuple[Tensor, list[Tensor], Tensor, Tensor]


def problem(seed: int, cases: int = 6, classes: int = 9, count: int = 4, sharp: float = 3.0, size: int = 3) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    sets = torch.rand(count, classes, generator=generator).argsort(1) < size
    z = sharp * torch.randn(cases, classes, generator=generator, dtype=torch.float64)
    answers = [
        torch.softmax(sharp * torch.randn(cases, size + 1, generator=generator, dtype=torch.float64), 1)
        for _ in range(count)
    ]
    return torch.softmax(z, 1), answers, sets, torch.rand(cases, count, generator=generator) < 0.7


def naive(q: np.ndarray, case: int, p: Problem, reverse: bool = False) -> float:
    """Eq 5 of one case in plain loops."""
    generalist, answers, sets, asked = p
    pairs = [(generalist[case].numpy(), q)]
    for m, answer in enumerate(answers):
        if asked[case, m]:
            inside = [q[c] for c in range(len(q)) if sets[m, c]]
            rest = sum(q[c] for c in range(len(q)) if not sets[m, c])
            pairs.append((answer[case].numpy(), np.array([*inside, rest])))
    return float(sum(rel_entr(*(pair[::-1] if reverse else pair)).sum() for pair in pairs))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_optimum_is_scipy_s(seed):
    p = problem(seed)
    q = combine(*p, tolerance=1e-10).numpy()
    backward = combine_reversed(*p, steps=3000).numpy()
    for case in range(len(q)):
        for found, reverse in ((q[case], False), (backward[case], True)):
            best = minimize(
                lambda z, case=case, reverse=reverse: naive(np.exp(log_softmax(z)), case, p, reverse),
                np.zeros(q.shape[1]), method="BFGS", options={"gtol": 1e-7},
            )  # fmt: skip
            assert naive(found, case, p, reverse) <= best.fun + 1e-9
            assert rel_entr(found, np.exp(log_softmax(best.x))).sum() < 1e-6
    np.testing.assert_allclose(objective(torch.from_numpy(q), *p), [naive(q[i], i, p) for i in range(len(q))])


def test_models_of_all_classes_give_the_means():
    """The paper's closed forms: when every model has a probability for every class."""
    z = 2 * torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    p = torch.softmax(z, 2)
    answers = [torch.cat([p_m, torch.zeros(7, 1, dtype=torch.float64)], 1) for p_m in p[1:]]
    sets, asked = torch.ones(4, 6, dtype=torch.bool), torch.ones(7, 4, dtype=torch.bool)
    torch.testing.assert_close(combine(p[0], answers, sets, asked), arithmetic_mean(z).exp(), atol=1e-9, rtol=1e-7)
    reverse = combine_reversed(p[0], answers, sets, asked, steps=1)
    torch.testing.assert_close(reverse, geometric_mean(z).exp(), atol=1e-9, rtol=1e-7)


def test_one_specialist_by_hand():
    """By the symmetry of the classes outside the set, two unknowns are left; solved on paper."""
    generalist = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
    answer = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    sets = torch.tensor([[True, True, False, False]])
    # q of set classes: mean of both; the rest keeps the generalist's proportions and gets the mean of the masses.
    by_hand = torch.tensor([[0.45, 0.3, 0.25 * 2 / 3, 0.25 / 3]], dtype=torch.float64)
    found = combine(generalist, [answer], sets, torch.tensor([[True]]), tolerance=1e-12)
    torch.testing.assert_close(found, by_hand, atol=1e-9, rtol=0)


def test_a_case_without_specialists_keeps_the_generalist_s_answer():
    generalist, answers, sets, asked = problem(4)
    q = combine(generalist, answers, sets, torch.zeros_like(asked))
    torch.testing.assert_close(q, generalist)
    torch.testing.assert_close(combine_reversed(generalist, answers, sets, torch.zeros_like(asked)), generalist)


@given(st.integers(0, 2**31), st.floats(0.1, 12.0), st.integers(1, 8))
@example(7, 11.0, 7)  # a dustbin of 4e-13
@settings(max_examples=40, deadline=None)
def test_any_problem_is_solved_to_its_certificate(seed, sharp, size):
    p = problem(seed, cases=5, sharp=sharp, size=size)
    generalist, answers, sets, asked = p
    q = combine(*p, tolerance=1e-9)
    torch.testing.assert_close(q.sum(1), torch.ones(5, dtype=torch.float64))
    assert bool((q > 0).all())
    # The certificate, from its definition: L log max_c of minus the derivative over L. It is the certificate of the
    # problem that is solved: masses below LEAST, which hardly move the objective, can move its slope without bound.
    derivative = generalist.clamp_min(LEAST) / q
    for m, answer in enumerate(answers):
        dustbin, rest = answer[:, -1:], q[:, ~sets[m]].sum(1, keepdim=True)
        theirs = torch.where(sets[m] | (dustbin < LEAST), 0.0, dustbin / rest)
        theirs[:, sets[m]] = answer[:, :-1] / q[:, sets[m]]
        derivative = derivative + asked[:, [m]] * theirs
    models = 1 + asked.sum(1)
    gap = models * (derivative.max(1).values / models).log()
    assert float(gap.max()) < 1e-5
    assert float(gap.median()) < 1e-8
    if sharp < 4:
        assert float(gap.max()) < 1e-8
    # No probe of the simplex is better by more than that.
    for other in (generalist, torch.full_like(q, 1 / q.shape[1]), 0.9 * q + 0.1 * generalist):
        assert bool((objective(q, *p) <= objective(other, *p) + 1e-5).all())


def test_shorter_steps_along_the_path_find_what_longer_ones_lose(monkeypatch):
    p = problem(1, cases=60, classes=60, count=24, sharp=5.0, size=18)
    q = combine(*p, tolerance=1e-9)
    lost = (1e16, 0)  # from the easiest problem to the given one at once
    monkeypatch.setattr("repro.distill.combine.EASY", ((1, 0),))
    monkeypatch.setattr("repro.distill.combine.LAST_STEPS", 0)
    monkeypatch.setattr("repro.distill.combine.PATHS", (lost,))
    with pytest.raises(UserError, match="nats from the optimum"):
        combine(*p, tolerance=1e-9)
    monkeypatch.setattr("repro.distill.combine.PATHS", (lost, PATHS[-1]))
    torch.testing.assert_close(combine(*p, tolerance=1e-9), q, atol=1e-6, rtol=1e-3)


def test_permutations_of_classes_specialists_and_cases_change_nothing_else():
    generalist, answers, sets, asked = problem(5, cases=12)
    q = combine(generalist, answers, sets, asked, tolerance=1e-11)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = combine(generalist, [answers[m] for m in order], sets[order], asked[:, order], tolerance=1e-11)
    torch.testing.assert_close(shuffled, q, atol=1e-7, rtol=1e-5)
    back = combine(generalist.flip(0), [a.flip(0) for a in answers], sets, asked.flip(0), tolerance=1e-11)
    torch.testing.assert_close(back.flip(0), q, atol=1e-7, rtol=1e-5)
    turned = [torch.cat([a[:, :-1].flip(1), a[:, -1:]], 1) for a in answers]  # the set's order follows the classes'
    mirrored = combine(generalist.flip(1), turned, sets.flip(1), asked, tolerance=1e-11)
    torch.testing.assert_close(mirrored.flip(1), q, atol=1e-7, rtol=1e-5)


def test_many_cases_in_blocks_are_those_one_at_a_time():
    p = problem(6, cases=2100, classes=12, count=6)
    q = combine(*p)
    generalist, answers, sets, asked = p
    for case in (0, 999, 1000, 2099):
        rows = slice(case, case + 1)
        alone = combine(generalist[rows], [a[rows] for a in answers], sets, asked[rows])
        assert rel_entr(alone[0].numpy(), q[case].numpy()).sum() < 1e-7
    assert combine(generalist[:0], [a[:0] for a in answers], sets, asked[:0]).shape == (0, 12)


def test_probabilities_of_zero_are_borne():
    generalist = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    sets = torch.tensor([[True, True, False, False]])
    answer = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    q = combine(generalist, [answer], sets, torch.ones(2, 1, dtype=torch.bool))
    assert bool(q.isfinite().all())
    torch.testing.assert_close(q[1], torch.tensor([0.5, 0.5, 0, 0], dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(q[0, 2:].sum(), torch.tensor(0.5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_top_classes_decide_who_is_asked():
    generalist = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    sets = torch.tensor([[True, False, False], [False, True, True]])
    assert consulted(generalist, sets).tolist() == [[False, True], [True, False]]
    assert consulted(generalist, sets, 2).tolist() == [[False, True], [True, True]]
    for n in (0, 4):
        with pytest.raises(UserError, match=f"n = {n} most probable classes: choose a number from 1 to 3"):
            consulted(generalist, sets, n)


def test_refuses_what_does_not_fit():
    generalist, answers, sets, asked = problem(7)
    with pytest.raises(ValueError, match="class sets"):
        combine(generalist, answers[:-1], sets, asked)
    with pytest.raises(ValueError, match=r"classes of the set \+ 1"):
        combine(generalist, [a[:, :-1] for a in answers], sets, asked)
    with pytest.raises(UserError, match="not finite"):
        combine(generalist * torch.nan, answers, sets, asked)
    with pytest.raises(UserError, match="1e-12 or more"):
        combine(generalist, answers, sets, asked, tolerance=0.0)
    everything = torch.ones(1, 9, dtype=torch.bool)
    answer = torch.full((6, 10), 0.1, dtype=torch.float64)
    with pytest.raises(UserError, match="specialist 0: gives mass to its dustbin, and no class is in it"):
        combine(generalist, [answer], everything, torch.ones(6, 1, dtype=torch.bool))


@pytest.mark.parametrize("combined", [combine, combine_reversed])
def test_a_dustbin_without_classes_matters_where_its_specialist_is_asked(combined):
    generalist, (_, *rest), sets, asked = problem(7)
    sets = torch.cat([torch.ones(1, 9, dtype=torch.bool), sets[1:]])
    answer = torch.full((6, 10), 0.1, dtype=torch.float64)
    asked[:, 0] = False
    without = combined(generalist, rest, sets[1:], asked[:, 1:])
    torch.testing.assert_close(combined(generalist, [answer, *rest], sets, asked), without)
    asked[3, 0] = True
    with pytest.raises(UserError, match="specialist 0: gives mass to its dustbin"):
        combined(generalist, [answer, *rest], sets, asked)
    answer[3, :] = torch.tensor([1 / 9] * 9 + [0.0])
    assert bool(combined(generalist, [answer, *rest], sets, asked).isfinite().all())


@pytest.mark.parametrize("combined", [combine, combine_reversed])
def test_refuses_what_is_no_probability(combined):
    generalist, answers, sets, asked = problem(8)
    logits = torch.tensor([[3.0, 2.0, 1.0] + [0.0] * 6]).repeat(6, 1)
    with pytest.raises(UserError, match=r"^generalist: the probabilities of a case sum to 6; give probabilities"):
        combined(logits, answers, sets, asked)
    negative = generalist.clone()
    negative[4] = torch.tensor([1.5, -0.5] + [0.0] * 7)
    with pytest.raises(UserError, match=r"^generalist: a probability of -0\.5; give probabilities, not logits"):
        combined(negative, answers, sets, asked)
    for number in (0, 3):
        wrong = [a.clone() for a in answers]
        wrong[number][5, -1] += 0.01
        with pytest.raises(UserError, match=f"^specialist {number}: the probabilities of a case sum to 1.01;"):
            combined(generalist, wrong, sets, asked)
        wrong[number][5, -1] = -0.5
        with pytest.raises(UserError, match=f"^specialist {number}: a probability of -0.5;"):
            combined(generalist, wrong, sets, asked)


def test_probabilities_of_float32_are_taken_as_they_are():
    generalist, answers, sets, asked = problem(9, cases=200, classes=400, size=100)
    rounded = combine(generalist.float(), [a.float() for a in answers], sets, asked)
    torch.testing.assert_close(rounded, combine(generalist, answers, sets, asked), atol=1e-6, rtol=1e-2)
