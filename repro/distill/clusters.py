"""On-line k-means over the columns of a covariance matrix, and the class sets that its centroids give.

Hinton, Vinyals, Dean 2015, section 5.3: "we apply an on-line version of the K-means algorithm to the columns of the
covariance matrix, and obtain reasonable clusters". The update is MacQueen's 1967: a centroid is the mean of all
columns it was ever given, so the n-th moves it by 1/n of the way. Columns come in batches, nearest centroids of a
whole batch by one matrix product; batches of one are the on-line algorithm to the letter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from repro.errors import UserError
from repro.training.keys import generator_seed


@dataclass(frozen=True)
class Clusters:
    """``centroids`` (k, features); ``assignment`` (points,) of each point to its nearest; their mean squared
    distance."""

    centroids: Tensor
    assignment: Tensor
    inertia: float


def online_kmeans(
    points: Tensor, count: int, *, seed: int, passes: int = 30, restarts: int = 10, batch_size: int = 1
) -> Clusters:
    """Cluster ``points`` (n, features) into ``count`` clusters; the best of ``restarts`` by inertia.

    Each restart begins at centroids of k-means++ (Arthur and Vassilvitskii 2007), visits all points ``passes`` times,
    in a fresh order each time, and is keyed by (seed, restart). A covariance matrix is symmetric, so its rows serve
    as its columns.

    Raises:
        UserError: fewer than one cluster, or more clusters than points.
    """
    _check(points, count)
    points = points.double()
    found = []
    for restart in range(restarts):
        generator = torch.Generator().manual_seed(generator_seed(seed, "kmeans", restart))
        centroids = spread_centroids(points, count, generator)
        weights = torch.zeros(count, dtype=torch.float64)
        for _ in range(passes):
            order = torch.randperm(len(points), generator=generator)
            for batch in order.split(batch_size):
                online_step(centroids, weights, points[batch])
        distances = squared_distances(points, centroids)
        nearest = distances.min(1)
        found.append(Clusters(centroids, nearest.indices, float(nearest.values.mean())))
    return min(found, key=lambda clusters: clusters.inertia)


def online_step(centroids: Tensor, weights: Tensor, batch: Tensor) -> None:
    """Give a batch (b, features) to its nearest centroids, in place.

    ``weights`` (k,) counts the points each centroid has had; a centroid without any takes the mean of its first.
    """
    nearest = squared_distances(batch, centroids).argmin(1)
    given = torch.bincount(nearest, minlength=len(centroids)).to(weights.dtype)
    sums = torch.zeros_like(centroids).index_add_(0, nearest, batch)
    weights += given
    share = (given / weights.clamp_min(1)).unsqueeze(1)
    means = sums / given.clamp_min(1).unsqueeze(1)
    centroids += share * (means - centroids)


def squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """Squared Euclidean distances (n, k), by one matrix product."""
    products = points @ centroids.T
    return (points.square().sum(1, keepdim=True) - 2 * products + centroids.square().sum(1)).clamp_min_(0)


def spread_centroids(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: the first centroid at random, each further one with probability as its squared distance.

    Where all points left coincide with a centroid, the next is drawn uniformly.
    """
    chosen = [int(torch.randint(len(points), (), generator=generator))]
    distances = squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < count:
        weights = distances if bool(distances.sum() > 0) else torch.ones_like(distances)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        distances = torch.minimum(distances, squared_distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def nearest_columns(points: Tensor, centroids: Tensor, size: int) -> Tensor:
    """For each centroid the ``size`` nearest points, as a mask (k, n): class sets that may overlap.

    k-means alone gives a partition, and the paper, whose sets overlap, states no rule: this one is ours. Of points at
    equal distance the first are taken.

    Raises:
        UserError: size below one or above the number of points.
    """
    if not 1 <= size <= len(points):
        raise UserError(f"class sets of {size} classes: choose a size from 1 to {len(points)}, the number of classes")
    order = squared_distances(points.double(), centroids).argsort(dim=0, stable=True)[:size]
    sets = torch.zeros(len(centroids), len(points), dtype=torch.bool)
    return sets.scatter_(1, order.T, True)


def order_by_cluster(assignment: Tensor) -> Tensor:
    """Indices that bring points of one cluster together, the largest cluster first."""
    sizes = torch.bincount(assignment)
    rank = torch.empty_like(sizes)
    rank[sizes.argsort(descending=True, stable=True)] = torch.arange(len(sizes))
    return rank[assignment].argsort(stable=True)


def _check(points: Tensor, count: int) -> None:
    if not 1 <= count <= len(points):
        raise UserError(f"{count} clusters of {len(points)} classes: choose a number from 1 to {len(points)}")
