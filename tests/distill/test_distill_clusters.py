"""On-line k-means against scikit-learn on the same input, and the class sets its centroids give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
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


def grouped_covariance(seed: int, groups: int = 12, of_group: int = 5) -> torch.Tensor:
    """The covariance of predictions that mistake a class for those of its group, which are mistaken for some others."""
    generator = np.random.default_rng(seed)
    group = np.arange(groups * of_group) // of_group
    near = 1.0 * (group[:, None] == group) + 0.4 * (group[:, None] // 3 == group // 3) + np.eye(len(group))
    logits = generator.normal(size=(4000, len(group))) @ np.linalg.cholesky(near).T * 2
    p = np.exp(logits - logits.max(1, keepdims=True))
    return torch.from_numpy(np.cov(p / p.sum(1, keepdims=True), rowvar=False))


def sum_of_squares(x: np.ndarray, assignment: np.ndarray) -> float:
    return sum(float(((x[assignment == k] - x[assignment == k].mean(0)) ** 2).sum()) for k in set(assignment.tolist()))


def test_costs_are_what_moving_a_point_changes():
    x, _ = points(1, groups=3, of_group=4, spread=0.8)
    assignment = torch.arange(12) % 4
    sizes = torch.bincount(assignment).double()
    centroids = torch.stack([x[assignment == k].mean(0) for k in range(4)])
    costs = clusters.costs(x, centroids, sizes, assignment)
    before = sum_of_squares(x.numpy(), assignment.numpy())
    for index in range(12):
        for target in set(range(4)) - {int(assignment[index])}:
            moved = assignment.numpy().copy()
            moved[index] = target
            gained = costs[index, target] - costs[index, assignment[index]]
            assert sum_of_squares(x.numpy(), moved) - before == pytest.approx(float(gained), rel=1e-9)


def test_moving_a_point_leaves_both_centroids_the_means_of_their_points():
    x, _ = points(3, spread=0.8)
    assignment = torch.arange(40) % 4
    sizes = torch.bincount(assignment).double()
    centroids = torch.stack([x[assignment == k].mean(0) for k in range(4)])
    for index, target in ((0, 3), (5, 0), (4, 3)):
        clusters.move(centroids, sizes, x[index], int(assignment[index]), target)
        assignment[index] = target
    for k in range(4):
        torch.testing.assert_close(centroids[k], x[assignment == k].mean(0), rtol=1e-12, atol=1e-12)
    assert sizes.tolist() == torch.bincount(assignment).tolist()


def test_finds_what_scikit_learn_s_batch_k_means_finds():
    x, member = points(4)
    found = clusters.online_kmeans(x, 5, seed=0)
    theirs = KMeans(5, n_init=10, random_state=0).fit(x.numpy())
    assert adjusted_rand_score(theirs.labels_, found.assignment) == 1.0
    assert adjusted_rand_score(member, found.assignment) == 1.0
    assert found.inertia == pytest.approx(theirs.inertia_ / len(x), rel=1e-9)


@pytest.mark.parametrize("count", [4, 12, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_on_a_covariance_it_is_no_worse_than_scikit_learn_and_leaves_it_nothing_to_do(seed, count):
    x = grouped_covariance(seed)
    found = clusters.online_kmeans(x, count, seed=seed)
    theirs = KMeans(count, n_init=20, random_state=seed).fit(x.numpy())
    assert found.inertia <= 1.005 * theirs.inertia_ / len(x)
    assert found.inertia == pytest.approx(sum_of_squares(x.numpy(), found.assignment.numpy()) / len(x), rel=1e-9)
    assert torch.equal(clusters.squared_distances(x, found.centroids).argmin(1), found.assignment)
    again = KMeans(count, init=found.centroids.numpy(), n_init=1).fit(x.numpy())
    np.testing.assert_array_equal(again.labels_, found.assignment)


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
    assert one.inertia == pytest.approx(float(clusters.squared_distances(x, one.centroids).min(1).values.mean()))


def test_order_brings_clusters_together_the_largest_first():
    assert clusters.order_by_cluster(torch.tensor([2, 0, 2, 1, 1, 2])).tolist() == [0, 2, 5, 3, 4, 1]


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ended(x: torch.Tensor, count: int) -> clusters.Clusters:
    """The clusters of ``x``; a failure instead of a test that never ends."""
    asked = 0

    def counted(*words: torch.Tensor) -> torch.Tensor:
        nonlocal asked
        asked += 1
        assert asked <= 100 * 5 * len(x), "no end: 5 restarts have asked for each point a hundred times"
        return costs(*words)

    costs = clusters.costs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "costs", counted)
        return clusters.online_kmeans(x, count, seed=0, restarts=5)


def test_points_that_coincide_do_no_harm():
    found = clusters.online_kmeans(torch.ones(6, 3), 4, seed=0)
    assert found.inertia == 0.0


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("count", [12, 15])
def test_it_ends_where_points_coincide_or_nearly_do(count, noise):
    member = torch.arange(10).repeat(3)
    found = ended(gaussian(10, 5)[member] + noise * gaussian(30, 5, seed=1), count)
    assert found.inertia <= 5 * noise**2 + 1e-30
    assert all(len(member[found.assignment == k].unique()) <= 1 for k in range(count))


def test_points_far_from_the_origin_are_clustered_as_if_near_it():
    x = 0.01 * gaussian(60, 4)
    found = ended(x + 1e6, 8)
    theirs = KMeans(8, n_init=20, random_state=0).fit(x.numpy())
    assert found.inertia <= 1.05 * theirs.inertia_ / len(x)
    means = torch.stack([(x + 1e6)[found.assignment == k].mean(0) for k in range(8)])
    torch.testing.assert_close(found.centroids, means, rtol=0, atol=1e-8)


@given(
    st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(1, 60),
    st.sampled_from([0.0, 1e-15, 1e-12, 1e-9, 1e-7]), st.sampled_from([0.0, 1.0, 1e6]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_it_ends_however_near_points_are(seed, distinct, copies, features, count, noise, offset):
    x = gaussian(distinct, features, seed=seed).repeat(copies, 1)
    x = x + noise * gaussian(*x.shape, seed=seed + 1) + offset
    found = ended(x, min(count, len(x)))
    assert found.inertia == pytest.approx(sum_of_squares((x - offset).numpy(), found.assignment.numpy()) / len(x))
    if count >= distinct:
        assert found.inertia < 1e-9


@pytest.mark.parametrize("count", [0, -1, 41])
def test_refuses_more_clusters_than_classes(count):
    with pytest.raises(UserError, match=f"{count} clusters of 40 classes: choose a number from 1 to 40"):
        clusters.online_kmeans(points()[0], count, seed=0)


def test_refuses_points_that_are_no_numbers_and_no_restart():
    broken = points()[0].clone()
    broken[3, 1] = torch.nan
    with pytest.raises(UserError, match="a point is not finite"):
        clusters.online_kmeans(broken, 4, seed=0)
    with pytest.raises(UserError, match="0 restarts"):
        clusters.online_kmeans(points()[0], 4, seed=0, restarts=0)


@pytest.mark.parametrize("size", [0, 41])
def test_refuses_sets_larger_than_the_classes(size):
    x, _ = points()
    with pytest.raises(UserError, match="choose a size from 1 to 40"):
        clusters.nearest_columns(x, x[:2], size)
