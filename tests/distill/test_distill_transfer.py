"""Transfer sets against naive loops."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.distill.transfer import balanced_subset, only_classes, without_classes
from repro.errors import UserError

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60)


@given(LABELS, st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_class_filters_equal_a_loop(labels: list[int], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(labels), min_size=1))
    tensor = torch.tensor(labels)
    kept = [i for i, label in enumerate(labels) if label in chosen]
    left = [i for i, label in enumerate(labels) if label not in chosen]
    assert only_classes(tensor, chosen).tolist() == kept
    if left:
        assert without_classes(tensor, chosen).tolist() == left
    assert without_classes(tensor, ()).tolist() == list(range(len(labels)))


@given(LABELS, st.integers(0, 1000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_balanced_subsets_are_nested_and_balanced(labels: list[int], seed: int) -> None:
    tensor = torch.tensor(labels)
    available = {label: labels.count(label) for label in set(labels)}
    before: set[int] = set()
    for size in range(1, len(labels) + 1):
        index = balanced_subset(tensor, size, seed).tolist()
        assert index == sorted(set(index))
        assert len(index) == size
        assert before < set(index)
        before = set(index)
        taken = {label: sum(labels[i] == label for i in index) for label in available}
        most = max(taken.values())
        # A class lags behind by more than one case only where it has no more.
        assert all(taken[label] >= most - 1 or taken[label] == available[label] for label in available)


def test_balanced_subset_is_drawn_at_random_by_its_seed_alone() -> None:
    labels = torch.tensor(random.Random(0).choices(range(10), k=2000))
    first = balanced_subset(labels, 300, 1)
    state = torch.random.get_rng_state()
    torch.rand(3)
    assert torch.equal(balanced_subset(labels, 300, 1), first)
    torch.random.set_rng_state(state)
    other = balanced_subset(labels, 300, 2)
    assert len(set(first.tolist()) & set(other.tolist())) < 100  # 45 expected of two independent draws
    assert (torch.bincount(labels[first]) == 30).all()
    # Spread over the whole set: the mean index of 300 of 2000 has a standard error of about 31.
    assert abs(float(first.double().mean()) - 999.5) < 5 * 31


def test_errors_are_one_line() -> None:
    labels = torch.tensor([0, 1, 1, 5])
    for wrong, line in [
        (lambda: only_classes(labels, [1, 7]), "transfer set: no class 7 in the data; classes are [0, 1, 5]"),
        (lambda: without_classes(labels, [4]), "transfer set: no class 4 in the data; classes are [0, 1, 5]"),
        (lambda: only_classes(labels, []), "transfer set: empty; name at least one class to keep"),
        (lambda: without_classes(labels, [0, 1, 5]), "transfer set: empty; name at least one class to keep"),
        (lambda: balanced_subset(labels, 0, 0), "0 cases asked for, 4 are there to draw from; choose 1 to 4"),
        (lambda: balanced_subset(labels, 5, 0), "5 cases asked for, 4 are there to draw from; choose 1 to 4"),
    ]:
        with pytest.raises(UserError) as raised:
            wrong()
        assert str(raised.value) == line
