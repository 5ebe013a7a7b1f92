"""On-line k-means against scikit-learn on the same input, and the class sets its centroids give."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score

from repro.distill import clusters
from repro.errors import UserError


def points(
    seed: int = 0, groups: int = 5, of_group: int = 8, spread: float = 0.25
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, 12, generator=generator, dtype=torch.float64)
    member = torch.arange(groups).repeat(of_group)
    noise = torch.randn(len(member), 12, generator=generator, dtype=torch.float64)
    return centres[member] + spread * noise, member


@pytest.mark.parametrize("batch_size", [5, 7, 40])  # scikit-learn wants as many as clusters
def test_steps_are_scikit_learn_s_batch_by_batch(batch_size):
    x, _ = points(1, spread=0.8)
    start = x[:5].clone()
    # Without reassignment, scikit-learn's partial_fit is the same update by another hand.
    theirs = MiniBatchKMeans(5, init=start.numpy(), n_init=1, reassignment_ratio=0.0, batch_size=batch_size)
    ours, weights = start.clone(), torch.zeros(5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    for batch in torch.randperm(len(x), generator=generator).repeat(3).split(batch_size):
        clusters.online_step(ours, weights, x[batch])
        theirs.partial_fit(x[batch].numpy())
        np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(clusters.squared_distances(x, ours).argmin(1), theirs.predict(x.numpy()))


def test_batches_of_one_are_macqueen_s_loop():
    x, _ = points(3, spread=0.8)
    ours, weights = x[:4].clone(), torch.zeros(4, dtype=torch.float64)
    members: list[list[np.ndarray]] = [[] for _ in range(4)]
    centroids = x[:4].numpy().copy()
    for point in x.numpy():
        nearest = int(((centroids - point) ** 2).sum(1).argmin())
        members[nearest].append(point)
        centroids[nearest] = np.mean(members[nearest], 0)
        clusters.online_step(ours, weights, torch.from_numpy(point)[None])
    np.testing.assert_allclose(ours, centroids, rtol=1e-10, atol=1e-12)


def test_finds_what_scikit_learn_s_batch_k_means_finds():
    x, member = points(4)
    found = clusters.online_kmeans(x, 5, seed=0)
    theirs = KMeans(5, n_init=10, random_state=0).fit(x.numpy())
    assert adjusted_rand_score(theirs.labels_, found.assignment) == 1.0
    assert adjusted_rand_score(member, found.assignment) == 1.0
    assert found.inertia == pytest.approx(theirs.inertia_ / len(x), rel=0.02)


def test_columns_with_the_covariance_of_groups_fall_into_them():
    member = torch.arange(20) % 4
    covariance = (member[:, None] == member).double() + torch.eye(20, dtype=torch.float64)
    found = clusters.online_kmeans(covariance, 4, seed=1)
    assert adjusted_rand_score(member, found.assignment) == 1.0
    sets = clusters.nearest_columns(covariance, found.centroids, 5)
    assert all(len(member[mask].unique()) == 1 for mask in sets)


def test_permuting_classes_permutes_the_sets():
    x, _ = points(5)
    centroids = clusters.online_kmeans(x, 5, seed=0).centroids
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    sets = clusters.nearest_columns(x, centroids, 11)
    assert torch.equal(clusters.nearest_columns(x[order], centroids, 11), sets[:, order])
    assert sets.sum(1).tolist() == [11] * 5  # 55 of 40 classes: they overlap


def test_same_seed_same_clusters_and_caller_s_random_state_is_left_alone():
    x, _ = points(6, spread=1.0)
    state = torch.random.get_rng_state()
    one, two = (clusters.online_kmeans(x, 6, seed=3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.centroids, two.centroids)
    assert one.inertia == float(clusters.squared_distances(x, one.centroids).min(1).values.mean())


def test_order_brings_clusters_together_the_largest_first():
    assert clusters.order_by_cluster(torch.tensor([2, 0, 2, 1, 1, 2])).tolist() == [0, 2, 5, 3, 4, 1]


def test_points_that_coincide_do_no_harm():
    found = clusters.online_kmeans(torch.ones(6, 3), 4, seed=0)
    assert found.inertia == 0.0


@pytest.mark.parametrize("count", [0, -1, 41])
def test_refuses_more_clusters_than_classes(count):
    with pytest.raises(UserError, match=f"{count} clusters of 40 classes: choose a number from 1 to 40"):
        clusters.online_kmeans(points()[0], count, seed=0)


@pytest.mark.parametrize("size", [0, 41])
def test_refuses_sets_larger_than_the_classes(size):
    x, _ = points()
    with pytest.raises(UserError, match="choose a size from 1 to 40"):
        clusters.nearest_columns(x, x[:2], size)
