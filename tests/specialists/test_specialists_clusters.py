"""Clusters of a generalist's classes: the rival that uses labels, names, and what is claimed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.metrics import adjusted_rand_score

from repro.compare import judge
from repro.data.sets import load_once
from repro.distill import clusters
from repro.experiment import Arm
from repro.papers.hinton2015 import _specialist_clusters as agreements
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015 import specialist_generalist
from repro.published import load
from repro.results import Results
from repro.training.checkpoint import write_tensors
from tests.specialists.given import context, generalist_config


def test_the_generalist_is_claimed_above_sixty_per_cent(tmp_path, monkeypatch):
    rows = [
        {"arm": "generalist", "seed": s, "accuracy": right, "multiply_adds": 21_604_416, "precision": "float32"}
        for s, right in enumerate((59.0, 58.9))
    ]
    monkeypatch.setattr(Results, "table", lambda self, name: [])
    meta = {"config": generalist_config().model_dump(mode="json")}
    claim = specialist_generalist.claims(Results(tmp_path, meta, rows))[0]
    assert (claim.id, claim.null, claim.direction, claim.differences) == ("KD-J05.above60", 60, "greater", (59.0, 58.9))
    assert claim.setting == "21.6 M multiply-adds, float32"
    assert judge(claim, load()).verdict == "fails"


def test_clusters_are_claimed_against_chance_at_both_temperatures_and_against_labels(tmp_path, monkeypatch):
    ari = {"covariance": (0.5, 0.4), "covariance_t1": (0.1, 0.0), "random": (0.1, -0.1), "errors": (0.5, 0.6)}
    table = [
        {"seed": seed, "count": count, "clusters_of": of, "ari": value + (count == 3)}
        for of, values in ari.items()
        for seed, value in enumerate(values)
        for count in (3, 5)
    ]
    monkeypatch.setattr(Results, "table", lambda self, name: table if name == "agreement" else [])
    settings = generalist_config().model_copy(update={"counts": (3, 5)})
    meta = {"config": settings.model_dump(mode="json")}
    found = {claim.id: claim for claim in specialist_generalist.claims(Results(tmp_path, meta, []))}
    assert found["KD-J26.k5_random"].differences == pytest.approx((0.4, 0.5))
    assert found["KD-J26.k5_t1_random"].differences == pytest.approx((0.0, 0.1))
    assert found["KD-J26.k5_errors"].differences == pytest.approx((0.1, -0.08))  # of 0.5 and 0.6, four fifths
    assert found["KD-J26.k3_errors"].differences == pytest.approx((0.3, 0.12))
    assert {claim.null for claim in found.values()} == {0, 60}


def test_errors_between_classes_count_both_ways_and_right_answers_do_not():
    labels = torch.tensor([0] * 8 + [1] * 3 + [2] * 4)
    answers = torch.tensor([0] * 5 + [1, 1, 2] + [0, 1, 1] + [2, 2, 2, 1])
    # Between classes: 0 and 1 three errors, 0 and 2 one, 1 and 2 one.
    expected = torch.tensor([[0.75, 0.75, 0.25], [0.75, 0.75, 0.25], [0.5, 0.5, 0.5]]).double()
    torch.testing.assert_close(agreements.error_affinity(labels, answers, 3), expected)
    more_right = agreements.error_affinity(torch.cat([labels, labels[:5]]), torch.cat([answers, answers[:5]]), 3)
    torch.testing.assert_close(more_right, expected)


def test_a_class_without_errors_is_near_to_none():
    affinity = agreements.error_affinity(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 2]), 3)
    assert affinity[2].tolist() == [0, 0, 0]


def test_classes_that_are_taken_for_one_of_their_group_are_clustered_with_it():
    """And never the reverse: the profiles of the five agree, while each falls alike on the profile of the one."""
    group = torch.arange(18) // 6
    labels = torch.arange(18).repeat(10)
    answers = torch.where(torch.arange(len(labels)) < 4 * 18, 6 * group[labels], labels)
    affinity = agreements.error_affinity(labels, answers, 18)
    assert adjusted_rand_score(group, clusters.online_kmeans(affinity, 3, seed=0).assignment) == 1.0
    assert adjusted_rand_score(group, clusters.online_kmeans(affinity.T, 3, seed=0).assignment) < 0.5


def test_clusters_of_errors_are_held_against_the_superclasses(folder, tmp_path):
    """A generalist that takes every third case for the first class of its superclass, of which there are five."""
    data = load_once("hierarchy")
    labels, superclass = data.test.labels, torch.tensor(data.superclasses)
    first = torch.tensor([data.superclasses.index(group) for group in range(5)])
    answers = torch.where(torch.arange(len(labels)) % 3 == 0, first[superclass[labels]], labels)
    left = load_file(folder / nets.GENERALIST) | {"test_logits": F.one_hot(answers, 20).float()}
    write_tensors(tmp_path / nets.GENERALIST, left)
    arm = next(a for a in specialist_generalist.arms(generalist_config()) if a.needs)
    found = agreements.clusters_of_errors(arm, 0, context(tmp_path, tmp_path / "errors"))
    three, five = found.tables["agreement"]
    assert five == {"count": 5, "clusters_of": "errors", "ari": 1.0, "nmi": pytest.approx(1.0)}
    assert (three["count"], three["clusters_of"]) == (3, "errors")
    assert 0 < three["ari"] < 1
    assert 0 < three["nmi"] < 1
    assert found.metrics["test_errors"] == int((labels != answers).sum()) > 0


def test_names_and_correlations_stand_in_one_order_the_largest_cluster_first(folder, tmp_path):
    data, left = load_once("hierarchy"), nets.Generalist.left_in(folder)
    found = agreements.names(Arm("clusters", {"count": 4}, 1), 0, context(folder, tmp_path))
    table, matrix = found.tables["names"], left["covariance"].numpy()
    order = [data.classes.index(row["class"]) for row in table]
    assert sorted(order) == list(range(20))
    said = np.array([[float(value) for value in row["correlations"].split()] for row in table])
    deviation = np.sqrt(np.diag(matrix))
    expected = matrix / np.outer(deviation, deviation)
    np.testing.assert_allclose(said, expected[np.ix_(order, order)], atol=6e-4)
    sizes = [sum(row["cluster"] == place for row in table) for place in range(found.metrics["clusters"])]
    assert sizes == sorted(sizes, reverse=True)
    assert [row["cluster"] for row in table] == sorted(row["cluster"] for row in table)
    clustered = clusters.online_kmeans(left["covariance"], 4, seed=0).assignment
    assert adjusted_rand_score([row["cluster"] for row in table], clustered[order].tolist()) == 1
