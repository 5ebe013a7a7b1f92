"""On-line k-means over the columns of a covariance matrix, and the class sets that its centroids give.

Hinton, Vinyals, Dean 2015, section 5.3: "we apply an on-line version of the K-means algorithm to the columns of the
covariance matrix, and obtain reasonable clusters". Which version is not said. Here every centroid is at any time the
mean of its columns (MacQueen 1967), and a column that is better placed elsewhere moves there alone and at once, both
centroids with it, until there is none (Hartigan 1975): where that ends, batch k-means has nothing left to do, and the
reverse does not hold (Telgarsky, Vattani 2010).
"""

from dataclasses import dataclass, replace

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


def online_kmeans(points: Tensor, count: int, *, seed: int, restarts: int = 20) -> Clusters:
    """Cluster ``points`` (n, features) into ``count`` clusters; the best of ``restarts`` by inertia.

    Each restart begins at centroids of k-means++ (Arthur and Vassilvitskii 2007) and is keyed by (seed, restart). A
    covariance matrix is symmetric, so its rows serve as its columns. Points nearer to each other than some millionths
    of their largest norm, less an offset that all share, are not told apart.

    Raises:
        UserError: fewer than one cluster, more clusters than points, no restart, or points that are no numbers.
    """
    check_count(count, len(points))
    if restarts < 1:
        raise UserError(f"k-means: {restarts} restarts; needs at least one")
    if not bool(points.isfinite().all()):
        raise UserError("k-means: a point is not finite; look at the predictions whose covariance this is")
    offset = _offset(points.double())
    points = points.double() - offset
    found = []
    for restart in range(restarts):
        generator = torch.Generator().manual_seed(generator_seed(seed, "kmeans", restart))
        found.append(settled(points, spread_centroids(points, count, generator), generator))
    best = min(found, key=lambda clusters: clusters.inertia)
    return replace(best, centroids=best.centroids + offset)


def _offset(points: Tensor) -> Tensor:
    """The mean (features,) where it exceeds all deviations from it and would take their digits, elsewhere zero."""
    mean = points.mean(0)
    return torch.where(mean.abs() > (points - mean).abs().amax(0), mean, 0.0)


def settled(points: Tensor, centroids: Tensor, generator: torch.Generator) -> Clusters:
    """Give every point to its nearest centroid, then move one at a time until none is better placed elsewhere.

    Which points would move is found for all of them by one matrix product; they come in a fresh order each time, and
    each is asked again at its turn, by the centroids as they then are.
    """
    least = rounding(points)
    assignment = squared_distances(points, centroids).argmin(1)
    sizes = torch.bincount(assignment, minlength=len(centroids)).double()
    sums = torch.zeros_like(centroids).index_add_(0, assignment, points)
    centroids = torch.where(sizes.unsqueeze(1) > 0, sums / sizes.clamp_min(1).unsqueeze(1), centroids)
    moved = True
    while moved:
        moved = False  # nor need any of the movers: by itself one may gain a last digit less than among all
        movers = _better_elsewhere(points, centroids, sizes, assignment, least)
        for index in movers[torch.randperm(len(movers), generator=generator)].tolist():
            one, own = points[index : index + 1], assignment[index : index + 1]
            if len(_better_elsewhere(one, centroids, sizes, own, least)):
                target = int(costs(one, centroids, sizes, own).argmin())
                move(centroids, sizes, one[0], int(own), target)
                assignment[index] = target
                moved = True
    return Clusters(centroids, assignment, float((points - centroids[assignment]).square().sum(1).mean()))


def rounding(points: Tensor) -> float:
    """What rounding may make of the gain of moving one of these points (n, features): no reason to move.

    With M the largest norm, a squared distance by one matrix product is off by at most 2 (features + 2) eps M^2, and by
    4 M times what its centroid is off: n eps M / 2 as a mean, about eps M / 2 more by each move. A gain is one distance
    less at most two others: 6 (features + 2 + n + moves) eps M^2. The bound leaves room for four moves of every point.
    Points that coincide gain by rounding alone, and would move for ever.
    """
    return 32 * sum(points.shape) * torch.finfo(points.dtype).eps * float(points.square().sum(1).max())


def costs(points: Tensor, centroids: Tensor, sizes: Tensor, assignment: Tensor) -> Tensor:
    """What each point (b, features) adds to the sum of squared distances in each cluster (b, k).

    The centroid that a point joins moves towards it, and the one that it leaves away: n/(n+1) of the squared distance
    to a cluster of n points, n/(n-1) of it to its own, whose n counts it (``sizes`` (k,), ``assignment`` (b,)).
    """
    distances = squared_distances(points, centroids)
    found = distances * (sizes / (sizes + 1))
    rows, own = torch.arange(len(points)), sizes[assignment]
    found[rows, assignment] = distances[rows, assignment] * own / (own - 1).clamp_min(1)
    return found


def move(centroids: Tensor, sizes: Tensor, point: Tensor, source: int, target: int) -> None:
    """Take a point (features,) from one cluster, of two points at least, and give it to another, in place."""
    centroids[source] -= (point - centroids[source]) / (sizes[source] - 1)
    centroids[target] += (point - centroids[target]) / (sizes[target] + 1)
    sizes[source] -= 1
    sizes[target] += 1


def _better_elsewhere(points: Tensor, centroids: Tensor, sizes: Tensor, assignment: Tensor, least: float) -> Tensor:
    """Positions of the points that another cluster would take for more than ``least`` less; the only one of a cluster
    stays."""
    found = costs(points, centroids, sizes, assignment)
    own = found.gather(1, assignment.unsqueeze(1))[:, 0]
    better = (own - found.min(1).values > least) & (sizes[assignment] > 1)
    return better.nonzero()[:, 0]


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


def check_count(count: int, classes: int) -> None:
    """The number of clusters, before anything is trained whose classes will be clustered.

    Raises:
        UserError: fewer than one cluster, or more clusters than classes.
    """
    if not 1 <= count <= classes:
        raise UserError(f"{count} clusters of {classes} classes: choose a number from 1 to {classes}")
