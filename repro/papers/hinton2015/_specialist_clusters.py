"""Clusters of a generalist's classes: how they agree with superclasses, their names, and the rival that uses labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from repro.data.sets import ImageSet, load_once
from repro.distill import clusters
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015._specialist_nets import Generalist
from repro.training.keys import generator_seed

COVARIANCES = ("covariance", "covariance_t1")


def agreement(
    left: Mapping[str, Tensor], data: ImageSet, settings: Mapping[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Adjusted Rand index and normalised mutual information of clusters with superclasses, by number of clusters.

    Empty where the data have no superclasses.
    """
    if not data.superclasses:
        return []
    classes, rows = len(data.classes), []
    for count in settings["counts"]:
        by = {of: clusters.online_kmeans(left[of], count, seed=seed).assignment for of in COVARIANCES}
        generator = torch.Generator().manual_seed(generator_seed(seed, "random clusters"))
        draws = [
            by["covariance"][torch.randperm(classes, generator=generator)] for _ in range(settings["random_draws"])
        ]
        for of, found in {**{name: [a] for name, a in by.items()}, "random": draws}.items():
            rows.append({"count": count, "clusters_of": of} | _mean_agreement(found, data.superclasses))
    return rows


def _mean_agreement(assignments: Sequence[Tensor], superclasses: Sequence[int]) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    scores = {"ari": adjusted_rand_score, "nmi": normalized_mutual_info_score}
    return {
        name: float(sum(score(superclasses, a.tolist()) for a in assignments) / len(assignments))
        for name, score in scores.items()
    }


def clusters_of_errors(arm: Arm, seed: int, context: Context) -> Result:
    """The rival that uses labels: a generalist's classes clustered by which are taken for which in testing."""
    data, left = load_once(context.data), Generalist.needed_by(context)
    answers = left["test_logits"].argmax(1)
    affinity = error_affinity(data.test.labels, answers, len(data.classes))
    rows = [
        {"count": count, "clusters_of": "errors"}
        | _mean_agreement([clusters.online_kmeans(affinity, count, seed=seed).assignment], data.superclasses)
        for count in (arm.settings["counts"] if data.superclasses else ())
    ]
    metrics: dict[str, Any] = {"generalist": left.fingerprint, "test_errors": int((answers != data.test.labels).sum())}
    return Result(metrics, [], {"agreement": rows})


def error_affinity(labels: Tensor, answers: Tensor, classes: int) -> Tensor:
    """(classes, classes): row c, how the errors between class c and others fall on them, as shares.

    Errors of either kind count, c taken for another and another for c. Right answers, which would set every class apart
    from all others, do not: a class is as near to itself as to the class that it is most often confused with.
    """
    confusion = torch.bincount(labels * classes + answers, minlength=classes**2).view(classes, classes).double()
    between = (confusion + confusion.T).fill_diagonal_(0)
    shares = between / between.sum(1, keepdim=True).clamp_min(1)
    return shares + torch.diag(shares.amax(1))


def names(arm: Arm, seed: int, context: Context) -> Result:
    """The clusters of the first generalist by class name, the largest first, and the correlations of its softened
    predictions in the same order: of a class (a row) with every class."""
    data, left = load_once(context.data), Generalist.needed_by(context)
    matrix = left["covariance"]
    found = clusters.online_kmeans(matrix, arm.settings["count"], seed=seed).assignment
    order = clusters.order_by_cluster(found)
    deviation = matrix.diagonal().clamp_min(1e-300).sqrt()
    correlation = (matrix / deviation / deviation[:, None])[order][:, order]
    places = found[order].unique_consecutive(return_inverse=True)[1]
    table = [
        {
            "cluster": place,
            "class": data.classes[index],
            "superclass": data.superclass_names[data.superclasses[index]] if data.superclasses else "",
            "correlations": " ".join(f"{value:.3f}" for value in row.tolist()),
        }
        for place, index, row in zip(places.tolist(), order.tolist(), correlation, strict=True)
    ]
    metrics: dict[str, Any] = {
        "generalist": left.fingerprint,
        "clusters": len(found.unique()),
        "classes": len(data.classes),
    }
    return Result(metrics, [], {"names": table})
