"""Ensemble selection against brute force on small libraries."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.distill.selection import hill_climb, rmse, select
from repro.errors import UserError


def library_of(models: int, cases: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, cases)
    return np.clip(labels + rng.normal(0, 0.6, (models, cases)), 0, 1), labels


def by_brute_force(predictions: np.ndarray, labels: np.ndarray, rounds: int, start: int) -> list[int]:
    """The models taken at the best stage, by trying out every addition as a list of models."""

    def score(taken: list[int]) -> float:
        return round(float(np.mean((np.mean([predictions[i] for i in taken], axis=0) - labels) ** 2) ** 0.5), 12)

    ranked = sorted(range(len(predictions)), key=lambda i: (score([i]), i))
    stages = [min((ranked[:n] for n in range(1, start + 1)), key=score)]
    for _ in range(rounds):
        stages.append(min((stages[-1] + [i] for i in range(len(predictions))), key=score))
    return min(stages, key=score)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 8), st.integers(0, 10_000))
def test_the_climb_is_that_of_brute_force(models, start, rounds, seed):
    predictions, labels = library_of(models, 23, seed)
    counts = hill_climb(predictions, labels, rounds=rounds, start=start)
    expected = by_brute_force(predictions, labels, rounds, min(start, models))
    assert counts.tolist() == np.bincount(expected, minlength=models).tolist()


def test_the_climb_reaches_the_best_of_all_multisets_where_one_addition_is_all_it_takes():
    for seed in range(20):
        predictions, labels = library_of(4, 50, seed)
        counts = hill_climb(predictions, labels, rounds=3)
        reached = rmse(counts / counts.sum() @ predictions, labels)
        multisets = [c for n in (1, 2, 3, 4) for c in itertools.combinations_with_replacement(range(4), n)]
        best = min(rmse(predictions[list(chosen)].mean(0), labels) for chosen in multisets)
        assert best <= reached + 1e-12 <= rmse(predictions, labels).min() + 1e-9
        assert reached < best * 1.05  # greedy, and near the best


def test_permuted_models_get_permuted_counts():
    predictions, labels = library_of(7, 60, 3)
    order = np.random.default_rng(0).permutation(7)
    one = hill_climb(predictions, labels, rounds=12, start=2)
    assert np.array_equal(hill_climb(predictions[order], labels, rounds=12, start=2), one[order])


def test_a_model_can_be_taken_more_than_once():
    labels = np.array([0, 1, 0, 1])
    predictions = np.array([[0.1, 0.9, 0.1, 0.9], [0.0, 0.0, 0.6, 0.6]])
    counts = hill_climb(predictions, labels, rounds=10)
    assert counts[0] >= 1
    assert counts.tolist() == [1, 0]  # the earliest of equally good stages


def test_bags_average_climbs_and_one_whole_bag_is_the_climb():
    predictions, labels = library_of(8, 80, 5)
    counts = hill_climb(predictions, labels, rounds=10, start=3)
    assert np.allclose(select(predictions, labels, rounds=10, start=3), counts / counts.sum())
    weights = select(predictions, labels, rounds=10, bags=30, share=0.5, seed=1)
    assert np.isclose(weights.sum(), 1)
    assert (weights > 0).sum() > (counts > 0).sum()
    assert np.array_equal(weights, select(predictions, labels, rounds=10, bags=30, share=0.5, seed=1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rounds": -1}, "needs at least 0"),
        ({"start": 0}, "from the 0 best"),
        ({"bags": 0}, "0 bags"),
        ({"share": 0.0}, "a share in"),
    ],
)
def test_a_climb_that_cannot_be_is_refused(change, said):
    predictions, labels = library_of(3, 10, 0)
    with pytest.raises(UserError, match=said):
        select(predictions, labels, **({"rounds": 1} | change))


def test_labels_other_than_0_and_1_and_shapes_that_do_not_fit_are_refused():
    predictions, labels = library_of(3, 10, 0)
    with pytest.raises(UserError, match="labels must be 0 and 1"):
        hill_climb(predictions, labels * 2 + 1, rounds=1)
    with pytest.raises(UserError, match="do not fit together"):
        hill_climb(predictions, labels[:-1], rounds=1)
    with pytest.raises(UserError, match="no finite number"):
        hill_climb(np.where(np.arange(10) == 4, np.nan, predictions), labels, rounds=1)
