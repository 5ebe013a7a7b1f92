"""The distillation objective (Hinton, Vinyals, Dean 2015, section 2) as a pure function."""

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_targets(teacher_logits: Tensor, temperature: float) -> Tensor:
    """softmax(v / T) over the last axis (eq 1): the teacher's probabilities at temperature T.

    Raises:
        ValueError: temperature not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    return torch.softmax(teacher_logits / temperature, dim=-1)


def soft_cross_entropy(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Mean over the batch of -sum_i p_i log softmax(z / T)_i.

    ``logits`` z and ``targets`` p have shape (batch, classes). Its gradient by z_i, per case, is
    (q_i - p_i) / T (eq 2).
    """
    return -(targets * F.log_softmax(logits / temperature, dim=-1)).sum(-1).mean()


def smoothed_labels(labels: Tensor, classes: int, epsilon: float) -> Tensor:
    """Probabilities (cases, classes): 1 - epsilon on the label plus epsilon shared alike by all classes.

    Label smoothing (Szegedy et al. 2016, 1512.00567, section 7): soft targets that know nothing of the case.

    Raises:
        ValueError: epsilon outside [0, 1].
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be in [0, 1], not {epsilon}")
    return (1 - epsilon) * F.one_hot(labels, classes).float() + epsilon / classes


def distillation_loss(
    logits: Tensor,
    targets: Tensor | None,
    labels: Tensor | None,
    *,
    temperature: float = 1.0,
    soft_weight: float = 1.0,
    hard_weight: float = 0.0,
) -> Tensor:
    """soft_weight * T^2 * CE(p, softmax(z / T)) + hard_weight * CE(y, softmax(z)), means over the batch.

    T^2 keeps the soft part's gradient at the scale of the hard one whatever the temperature (end of
    section 2). A part whose weight is zero is not computed and its targets may be None. Labels are
    class indices (batch,).

    Raises:
        ValueError: temperature not positive, or a weighted part without its targets.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    loss = logits.new_zeros(())
    if soft_weight:
        if targets is None:
            raise ValueError("soft_weight is set and there are no soft targets")
        loss = loss + soft_weight * temperature**2 * soft_cross_entropy(logits, targets, temperature)
    if hard_weight:
        if labels is None:
            raise ValueError("hard_weight is set and there are no labels")
        loss = loss + hard_weight * F.cross_entropy(logits, labels)
    return loss


def logit_matching_loss(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean over the batch of sum_i (z_i - v_i)^2 / (2 N) with zero-meaned logits.

    The limit of T^2 times the soft cross-entropy for T large against the logits (eq 4): its gradient by
    z_i, per case, is (z_i - v_i) / N, N classes, once both sides have zero mean over the classes.
    """
    difference = logits - logits.mean(-1, keepdim=True) - teacher_logits + teacher_logits.mean(-1, keepdim=True)
    return difference.square().sum(-1).mean() / (2 * logits.shape[-1])
