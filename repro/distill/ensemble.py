"""Means of several models' predictions (Hinton, Vinyals, Dean 2015, section 5.4's two KL directions)."""

import math

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
