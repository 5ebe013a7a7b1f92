"""Bias shifts against brute force and by their properties."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repro.distill.bias import best_shift, prior_matched_shift, shifted


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, list[int]]:
    """Few cases with small whole logits, so that ties are common; some classes, not all."""
    classes = draw(st.integers(2, 5))
    cases = draw(st.integers(1, 12))
    chosen = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes - 1, unique=True))
    logit = st.integers(-3, 3)
    rows = draw(st.lists(st.lists(logit, min_size=classes, max_size=classes), min_size=cases, max_size=cases))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=cases, max_size=cases))
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(labels), chosen


def errors(logits: Tensor, labels: Tensor, classes: list[int], shift: float) -> int:
    wrong = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        moved = [x + shift * (i in classes) for i, x in enumerate(row)]
        wrong += moved.index(max(moved)) != label
    return wrong


def intervals_middles(logits: Tensor, classes: list[int]) -> list[float]:
    """One shift inside every interval between two breakpoints, and one beyond each end."""
    points = set()
    for row in logits.tolist():
        inside = max(x for i, x in enumerate(row) if i in classes)
        points.add(max(x for i, x in enumerate(row) if i not in classes) - inside)
    ends = sorted(points)
    return [ends[0] - 0.5, *((a + b) / 2 for a, b in pairwise(ends)), ends[-1] + 0.5]


@given(problems())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_best_shift_is_the_best_of_all_breakpoints(problem: tuple[Tensor, Tensor, list[int]]) -> None:
    logits, labels, classes = problem
    found, wrong = best_shift(logits, labels, classes)
    tried = {shift: errors(logits, labels, classes, shift) for shift in intervals_middles(logits, classes)}
    assert wrong == min(tried.values())
    assert errors(logits, labels, classes, found) == wrong
    assert abs(found) == min(abs(shift) for shift, count in tried.items() if count == wrong)


@given(problems(), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_best_shift_does_not_depend_on_order(problem: tuple[Tensor, Tensor, list[int]], random: object) -> None:
    logits, labels, classes = problem
    cases, columns = list(range(len(labels))), list(range(logits.shape[1]))
    random.shuffle(cases)  # type: ignore[attr-defined]
    renamed = torch.tensor([columns[::-1].index(int(label)) for label in labels[cases]])
    turned = [columns[::-1].index(c) for c in classes]
    assert best_shift(logits[cases], labels[cases], classes) == best_shift(logits, labels, classes)
    distinct = logits + torch.rand(logits.shape, generator=torch.Generator().manual_seed(0)) / 4
    assert best_shift(distinct[cases].flip(1), renamed, turned) == best_shift(distinct, labels, classes)


def test_best_shift_on_float32_logits_counts_what_argmax_counts() -> None:
    generator = torch.Generator().manual_seed(1)
    for classes in ([3], [7, 8], [0, 1, 2, 3]):
        logits = 8 * torch.randn(400, 10, generator=generator)
        labels = torch.randint(10, (400,), generator=generator)
        shift, wrong = best_shift(logits, labels, classes)
        assert int((shifted(logits.double(), classes, shift).argmax(1) != labels).sum()) == wrong
        grid = torch.linspace(-40, 40, 200).tolist()
        assert wrong <= min(int((shifted(logits, classes, s).argmax(1) != labels).sum()) for s in grid)


def test_best_shift_where_all_are_right_and_where_none_can_be() -> None:
    logits = torch.eye(4) * 5
    assert best_shift(logits, torch.arange(4), [2])[1] == 0
    hopeless = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    shift, wrong = best_shift(hopeless, torch.tensor([0, 0]), [1])
    assert wrong == 2
    assert shift == 0.5  # the interval below the breakpoint at 1, half a logit in


def test_a_lost_class_is_found_again() -> None:
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(10, (500,), generator=generator)
    logits = torch.randn(500, 10, generator=generator) + 12 * torch.eye(10)[labels]
    lowered = shifted(logits, [3], -30.0)
    assert int((lowered.argmax(1) != labels).sum()) == int((labels == 3).sum())
    shift, wrong = best_shift(lowered, labels, [3])
    assert wrong == 0
    assert 20 < shift < 40


def test_shifted_moves_its_classes_and_nothing_else() -> None:
    logits = torch.arange(8.0).view(2, 4)
    moved = shifted(logits, [1, 3], 2.0)
    assert logits.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert moved.tolist() == [[0, 3, 2, 5], [4, 7, 6, 9]]


@given(
    st.integers(0, 2**31),
    st.floats(0.01, 0.99),
    st.lists(st.integers(0, 5), min_size=1, max_size=5, unique=True),
    st.sampled_from([0.1, 3.0, 300.0]),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_mass_after_the_shift_is_the_prior(seed: int, prior: float, classes: list[int], scale: float) -> None:
    logits = scale * torch.randn(40, 6, generator=torch.Generator().manual_seed(seed))
    shift = prior_matched_shift(logits, classes, prior, tolerance=1e-6)
    mass = torch.softmax(shifted(logits.double(), classes, shift), 1)[:, classes].sum(1).mean()
    assert float(mass) == pytest.approx(prior, abs=1e-6)


@given(st.integers(0, 2**31), st.floats(0.05, 0.9), st.integers(0, 4))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_prior_matched_shift_is_monotone_and_blind_to_order(seed: int, prior: float, chosen: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(30, 5, generator=generator)
    shift = prior_matched_shift(logits, [chosen], prior)
    assert prior_matched_shift(logits, [chosen], prior + 0.05) > shift
    order = torch.randperm(30, generator=generator)
    assert prior_matched_shift(logits[order], [chosen], prior) == pytest.approx(shift, abs=2e-4)
    assert prior_matched_shift(logits + 9.0, [chosen], prior) == pytest.approx(shift, abs=2e-4)
    raised = shifted(logits, [chosen], 1.5)
    assert prior_matched_shift(raised, [chosen], prior) == pytest.approx(shift - 1.5, abs=2e-4)


def test_prior_matched_shift_has_a_closed_form_for_one_case() -> None:
    # One case, two classes: sigmoid(a - b + shift) = prior.
    shift = prior_matched_shift(torch.tensor([[1.0, 4.0]]), [0], 0.25)
    assert shift == pytest.approx(3.0 + float(torch.logit(torch.tensor(0.25))), abs=1e-4)
    far = prior_matched_shift(torch.tensor([[0.0, 5000.0]]), [0], 0.5)
    assert far == pytest.approx(5000.0, abs=1e-3)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_refuses_priors_outside_zero_to_one(prior: float) -> None:
    with pytest.raises(ValueError, match="prior must lie strictly between 0 and 1"):
        prior_matched_shift(torch.zeros(2, 3), [0], prior)


def test_refuses_what_has_no_shift() -> None:
    logits, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    for classes in ([], [0, 1, 2]):
        with pytest.raises(ValueError, match="some of the 3 classes and not all"):
            best_shift(logits, labels, classes)
        with pytest.raises(ValueError, match="some of the 3 classes and not all"):
            prior_matched_shift(logits, classes, 0.5)
    with pytest.raises(ValueError, match="no cases"):
        best_shift(logits[:0], labels[:0], [1])
    with pytest.raises(ValueError, match="finite"):
        prior_matched_shift(logits.fill_(float("nan")), [1], 0.5)
