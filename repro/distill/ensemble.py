"""Means of several models' predictions (Hinton, Vinyals, Dean 2015, section 5.4's two KL directions)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def arithmetic_mean(logits: Tensor) -> Tensor:
    """Log-probabilities (cases, classes) of the mean of the members' probabilities.

    ``logits`` has shape (members, cases, classes). The distribution that minimises the mean KL(p_m, q).
    """
    return torch.logsumexp(torch.log_softmax(logits, -1), 0) - math.log(len(logits))


def geometric_mean(logits: Tensor) -> Tensor:
    """Log-probabilities (cases, classes) of the renormalised geometric mean of the members' probabilities.

    ``logits`` has shape (members, cases, classes). The distribution that minimises the mean KL(q, p_m).
    """
    return torch.log_softmax(torch.log_softmax(logits, -1).mean(0), -1)


MEANS: dict[str, Callable[[Tensor], Tensor]] = {"arithmetic": arithmetic_mean, "geometric": geometric_mean}


def teacher_logits(logits: Tensor, mean: str, temperature: float) -> Tensor:
    """One teacher in place of several: logits (cases, classes) whose softmax at ``temperature`` is the mean of the
    members' predictions, each softened to that temperature first.

    ``logits`` has shape (members, cases, classes); ``mean`` is a key of ``MEANS``. For the geometric mean these are
    the members' mean logits up to a constant a case, whatever the temperature; for the arithmetic mean they differ
    from temperature to temperature.

    Raises:
        ValueError: temperature not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    return temperature * MEANS[mean](logits / temperature)
