"""The library: every recipe learns, fast predictions are scikit-learn's, and what it refuses."""

import numpy as np
import pytest

from repro.distill import library
from repro.errors import UserError


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1060, 4)).astype(np.float32)
    y = (x[:, 0] + 0.3 * rng.normal(size=1060) > 0).astype(np.int64)
    return x[:1000], y[:1000], x[1000:], y[1000:]


@pytest.mark.parametrize("name", [n for n in library.names() if not n.endswith((".400", ".200"))])
def test_every_recipe_gives_probabilities_better_than_none(name, cases):
    (member,) = library.fit([name], *cases, seed=0)
    probability = member.probability(cases[2])
    assert probability.shape == (60,)
    assert probability.dtype == np.float64
    assert 0 <= probability.min() <= probability.max() <= 1
    assert ((probability > 0.5) == cases[3]).mean() > 0.6
    assert member.size_bytes > 100


def test_the_machines_decision_is_scikit_learns(cases):
    (member,) = library.fit(["svm.0.25.3"], *cases, seed=0)
    machine, sigmoid = member.model
    decision = machine.decision_function(cases[2])[:, None]
    assert np.allclose(library._decision(machine, cases[2])[:, 0], decision[:, 0], atol=1e-4)
    assert np.allclose(member.probability(cases[2]), sigmoid.predict_proba(decision)[:, 1], atol=1e-4)


def test_names_and_a_seed_decide_a_model(cases, monkeypatch):
    one, two = (library.fit(["forest.sqrt.leaf5", "net.8.1"], *cases, seed=3) for _ in range(2))
    monkeypatch.setattr(library, "CHUNK", 7)
    for member, again in zip(one, two, strict=True):
        assert np.allclose(member.probability(cases[2]), again.probability(cases[2]), atol=1e-6)
    (other,) = library.fit(["forest.sqrt.leaf5"], *cases, seed=4)
    assert not np.allclose(other.probability(cases[2]), one[0].probability(cases[2]))


def test_an_ensemble_is_the_weighted_mean_of_those_with_a_weight(cases):
    members = library.fit(["logistic.1", "tree.leaf5", "naive_bayes"], *cases, seed=0)
    ensemble = library.ensemble(members, {"logistic.1": 0.25, "naive_bayes": 0.75})
    expected = 0.25 * members[0].probability(cases[2]) + 0.75 * members[2].probability(cases[2])
    assert np.allclose(ensemble.probability(cases[2]), expected)
    assert ensemble.size_bytes == members[0].size_bytes + members[2].size_bytes


def test_unknown_names_and_a_single_class_are_refused(cases):
    with pytest.raises(UserError, match=r"no recipe is called 'forrest'"):
        library.fit(["forrest"], *cases, seed=0)
    with pytest.raises(UserError, match=r"neighbours.150 needs more than 20 cases"):
        library.fit(["neighbours.150"], cases[0][:20], cases[1][:20], cases[2], cases[3], seed=0)
    with pytest.raises(UserError, match="all of one class"):
        library.fit(["tree.leaf5"], cases[0], cases[1] * 0, cases[2], cases[3], seed=0)
