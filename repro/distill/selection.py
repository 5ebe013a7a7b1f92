"""Ensemble selection: hill climbing with replacement from a library of models (Caruana et al. 2004).

All that is looked at are the models' predictions on the hill-climbing cases. The score is the root mean squared
error to 0/1 targets, the metric of Bucila et al. 2006.
"""

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError
from repro.training.keys import generator_seed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def rmse(probabilities: Floats, labels: NDArray[np.integer]) -> Floats:
    """Root mean squared error to 0/1 labels (cases,), over the last axis of ``probabilities`` (..., cases)."""
    return np.asarray(np.sqrt(np.square(probabilities - labels).mean(-1)))


def hill_climb(probabilities: Floats, labels: NDArray[np.integer], *, rounds: int, start: int = 1) -> Counts:
    """How often each model of ``probabilities`` (models, cases) is taken: counts (models,).

    Begins with the best models, as many of 1..``start`` as score best together ("sorted initialisation"), then
    ``rounds`` times adds the model, chosen before or not, with which the mean of all taken scores best. The stage
    with the best score of all is returned, the earliest of several; ties between models go to the first.

    Raises:
        UserError: no models or no cases, labels other than 0 and 1, or rounds or start out of range.
    """
    _check(probabilities, labels)
    if rounds < 0 or start < 1:
        raise UserError(f"selection: {rounds} rounds from the {start} best; needs at least 0 and 1")
    order = np.argsort(rmse(probabilities, labels), kind="stable")[:start]
    means = probabilities[order].cumsum(0) / np.arange(1, len(order) + 1)[:, None]
    size = int(rmse(means, labels).argmin()) + 1
    counts: Counts = np.bincount(order[:size], minlength=len(probabilities)).astype(np.int64)
    total = probabilities[order[:size]].sum(0)
    best, best_score = counts.copy(), float(rmse(total / size, labels))
    for taken in range(size + 1, size + rounds + 1):
        scores = rmse((total + probabilities) / taken, labels)
        chosen = int(scores.argmin())
        counts[chosen] += 1
        total = total + probabilities[chosen]
        if scores[chosen] < best_score - 1e-12:  # less is rounding
            best, best_score = counts.copy(), float(scores[chosen])
    return best


def select(
    probabilities: Floats,
    labels: NDArray[np.integer],
    *,
    rounds: int,
    start: int = 1,
    bags: int = 1,
    share: float = 1.0,
    seed: int = 0,
) -> Floats:
    """Weights (models,), summing to 1: the mean of ``bags`` climbs, each among a random ``share`` of the models.

    Bagging keeps a large library from over-fitting the hill-climbing cases.

    Raises:
        UserError: as ``hill_climb``; or bags below 1, or a share outside (0, 1].
    """
    if bags < 1 or not 0 < share <= 1:
        raise UserError(f"selection: {bags} bags of {share} of the models; needs at least 1, and a share in (0, 1]")
    _check(probabilities, labels)
    models = len(probabilities)
    members = max(1, round(share * models))
    weights = np.zeros(models)
    for bag in range(bags):
        rng = np.random.default_rng(generator_seed(seed, "selection", bag))
        chosen = np.sort(rng.choice(models, members, replace=False))
        counts = hill_climb(probabilities[chosen], labels, rounds=rounds, start=start)
        weights[chosen] += counts / (counts.sum() * bags)
    return weights


def _check(probabilities: Floats, labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or not probabilities.size or labels.shape != probabilities.shape[1:]:
        raise UserError(f"selection: predictions {probabilities.shape} and labels {labels.shape} do not fit together")
    if not np.isfinite(probabilities).all():
        raise UserError("selection: a model predicts what is no finite number; leave it out of the library")
    if not np.isin(labels, (0, 1)).all():
        raise UserError("selection: labels must be 0 and 1; RMSE is to 0/1 targets")
