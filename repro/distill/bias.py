"""Correcting the biases of classes that the transfer set lacks or over-represents.

Hinton, Vinyals, Dean 2015, section 3: a student that never saw a 3 recognises most of them once the bias
of its class 3 is raised. The paper chose the shift on the test set; that oracle is ``best_shift``.
``prior_matched_shift`` is its label-free twin.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SHIFT_LIMIT = 100.0  # logits; where the search for a shift begins, widened for nets with larger logits


def shifted(logits: Tensor, classes: Sequence[int], shift: float) -> Tensor:
    """Logits (cases, classes) with ``shift`` added to the biases of ``classes``."""
    moved = logits.clone()
    moved[:, list(classes)] += shift
    return moved


def best_shift(logits: Tensor, labels: Tensor, classes: Sequence[int]) -> tuple[float, int]:
    """The shift with the fewest errors and that number (an oracle: it looks at the labels).

    Exact: the errors change only where a case's best logit inside ``classes`` overtakes its best one
    outside, so one sort and one cumulative sum try every interval between two such breakpoints. Of equally
    good intervals the one whose middle is nearest to zero is taken; the shift is that middle (half a logit
    beyond the last breakpoint where the interval is open). An interval that ends where a case changes
    from one wrong class to another ends there all the same.

    Raises:
        ValueError: no cases, or ``classes`` names no class or every class.
    """
    inside = _mask(logits, classes)
    best_in, which_in = logits[:, inside].max(1)
    best_out, which_out = logits[:, ~inside].max(1)
    right_in = inside.nonzero().squeeze(1)[which_in] == labels
    right_out = (~inside).nonzero().squeeze(1)[which_out] == labels
    # A case is decided inside once shift > its threshold.
    threshold, order = (best_out - best_in).double().sort()
    gain = (right_in.long() - right_out.long())[order].cumsum(0)
    right = int(right_out.sum()) + torch.cat([gain.new_zeros(1), gain])
    # Interval k lies between threshold k-1 and k; intervals of no width (ties) cannot be chosen.
    low = torch.cat([threshold[:1] - 1.0, threshold])
    high = torch.cat([threshold, threshold[-1:] + 1.0])
    middle = (low + high) / 2
    score = torch.where(high > low, right, -1)
    candidates = (score == score.max()).nonzero().squeeze(1)
    chosen = candidates[middle[candidates].abs().argmin()]
    return float(middle[chosen]), len(labels) - int(score[chosen])


def prior_matched_shift(logits: Tensor, classes: Sequence[int], prior: float, *, tolerance: float = 1e-4) -> float:
    """The shift at which the mean predicted probability of ``classes`` together equals ``prior``.

    No label is looked at: ``logits`` (cases, classes) come from unlabelled inputs and ``prior`` in (0, 1)
    is the classes' share of the training set. The mean mass grows with the shift, so it is bisected.

    Raises:
        ValueError: prior outside (0, 1), no cases, logits that are not finite, or ``classes`` names no
            class or every class.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie strictly between 0 and 1, not {prior}")
    inside = _mask(logits, classes)
    if not logits.isfinite().all():
        raise ValueError("logits must be finite to be shifted to a prior")
    logits = logits.double()

    def mass(shift: float) -> float:
        return float(torch.softmax(shifted(logits, classes, shift), -1)[:, inside].sum(1).mean())

    low, high = -SHIFT_LIMIT, SHIFT_LIMIT
    while mass(low) > prior:
        low *= 2
    while mass(high) < prior:
        high *= 2
    while high - low > tolerance:
        middle = (low + high) / 2
        if not low < middle < high:  # neighbouring floats
            break
        low, high = (middle, high) if mass(middle) < prior else (low, middle)
    return (low + high) / 2


def _mask(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Boolean (classes,): which columns are shifted."""
    if not len(logits):
        raise ValueError("there are no cases to find a shift on")
    inside = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    inside[list(classes)] = True
    if not inside.any() or inside.all():
        raise ValueError(f"classes must name some of the {logits.shape[1]} classes and not all: {list(classes)}")
    return inside
