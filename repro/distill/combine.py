"""One distribution from a generalist and its specialists: eq 5 of Hinton, Vinyals, Dean 2015, for a batch at once.

For each case q minimises KL(p_g, q) + sum over consulted specialists m of KL(p_m, q), where q is compared with p_m on
m's classes and, summed over all others, on its dustbin. The paper descends the gradient by z, q = softmax(z), case by
case. Here the same optimum is found and certified for all cases together.

With L = 1 + |A| models, b_c = p_g(c) + sum of p_m(c) over specialists that have class c, d_m = p_m(dustbin), Q_m = sum
of q outside m's classes (all divided by L), the objective is minus sum_c b_c log q_c + sum_m d_m log Q_m. Two facts:

- s_c = b_c/q_c + sum over m without c of d_m/Q_m gives the step q <- q s, expectation maximisation (each dustbin's mass
  spread in proportion to q), which never goes up; and the objective exceeds its minimum by at most L log max_c s_c
  (Jensen). This certifies a case, and it is what ``tolerance`` bounds.
- At the optimum q_c = b_c / (1 - sum over m without c of r_m) with r_m = d_m/Q_m: there is one unknown a consulted
  specialist, not one a class. The r maximise sum_c b_c log(1 - sum r_m) + sum_m d_m log r_m, concave in log r, and
  Newton's method finds them in a few small solves, begun where a few steps of the first kind lead.

A case that Newton's method leaves uncertified (it began too far off) goes on with more steps of the first kind.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from repro.errors import UserError

BLOCK = 1000  # cases solved together: their arrays stay in the processor's cache
FIRST_STEPS, NEWTON_STEPS, ROUNDS, HALVINGS = 10, 3, 7, 30  # the first two grow from round to round
LEAST = 1e-30  # probabilities below are raised to it; KL is finite then


def consulted(generalist: Tensor, class_sets: Tensor, top: int = 1) -> Tensor:
    """Mask (cases, specialists): whose class set meets the ``top`` most probable classes (n of section 5.4).

    Raises:
        UserError: top not in 1..classes.
    """
    classes = class_sets.shape[1]
    if not 1 <= top <= classes:
        raise UserError(f"n = {top} most probable classes: choose a number from 1 to {classes}")
    best = generalist.topk(top, dim=1).indices
    return class_sets.T[best].any(1)


def combine(
    generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor, *, tolerance: float = 1e-8
) -> Tensor:
    """The q (cases, classes), float64, that minimises eq 5 for every case.

    Args:
        generalist: probabilities (cases, classes).
        specialists: for each its probabilities (cases, set size + 1), the dustbin last and already corrected.
        class_sets: masks (specialists, classes).
        asked: mask (cases, specialists); a case without any keeps the generalist's answer.
        tolerance: bound of the objective's distance from its minimum, in nats.

    Raises:
        ValueError: shapes that do not fit each other.
        UserError: probabilities that are not finite, or a tolerance that is never met (below 1e-12).
    """
    _check(generalist, specialists, class_sets, asked, tolerance)
    return torch.cat(
        [
            _solve(*_gathered(generalist, specialists, class_sets, asked, start), class_sets, tolerance)
            for start in range(0, len(generalist), BLOCK)
        ]
        or [generalist.double()]
    )


def combine_reversed(
    generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor, *, steps: int = 200
) -> Tensor:
    """The same with KL(q, p), the other direction (the paper's footnote), by ``steps`` of mirror descent.

    The objective is L-smooth relative to the entropy of q (each term's curvature is at most the entropy's), so that
    log q <- log q - gradient / L, normalised, never goes up (Bauschke, Bolte, Teboulle 2017). Cases that all models
    give over all classes are solved by the first step: their geometric mean.
    """
    _check(generalist, specialists, class_sets, asked, math.inf)
    outside = (~class_sets).double()
    weight = asked.double()
    models = 1 + weight.sum(1, keepdim=True)
    target = generalist.double().clamp_min(LEAST).log()
    dustbin = torch.zeros_like(weight)
    for number, (p, class_set) in enumerate(zip(specialists, class_sets, strict=True)):
        log_p = p.double().clamp_min(LEAST).log()
        target[:, class_set] += weight[:, [number]] * log_p[:, :-1]
        dustbin[:, number] = log_p[:, -1]
    counted = 1 + weight @ class_sets.double()  # models that speak of the class itself
    log_q = generalist.double().clamp_min(LEAST).log()
    for _ in range(steps):
        summed = (log_q.exp() @ outside.T).clamp_min(LEAST).log()
        gradient = counted * log_q - target + (weight * (summed - dustbin)) @ outside
        log_q = torch.log_softmax(log_q - gradient / models, 1)
    return log_q.exp()


def objective(q: Tensor, generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor) -> Tensor:
    """Eq 5 itself (cases,), in nats: what ``combine`` minimises."""
    q = q.double().clamp_min(LEAST)
    total = _divergence(generalist.double(), q)
    for number, (p, class_set) in enumerate(zip(specialists, class_sets, strict=True)):
        theirs = torch.cat([q[:, class_set], q[:, ~class_set].sum(1, keepdim=True)], 1)
        total += asked[:, number] * _divergence(p.double(), theirs)
    return total


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1)


def _gathered(
    generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor, start: int
) -> tuple[Tensor, Tensor, Tensor]:
    """b (cases, classes) and d (cases, specialists), divided by the number of models L (cases, 1), of one block."""
    block = slice(start, start + BLOCK)
    weight = asked[block].double()
    b = generalist[block].double().clamp_min(LEAST)
    d = torch.zeros_like(weight)
    for number, (p, class_set) in enumerate(zip(specialists, class_sets, strict=True)):
        mine = weight[:, [number]] * p[block].double()
        b[:, class_set] += mine[:, :-1]
        d[:, number] = mine[:, -1]
    models = 1 + weight.sum(1, keepdim=True)
    total = b.sum(1, keepdim=True) + d.sum(1, keepdim=True)  # L, but for rounding of the given probabilities
    return b / total, d / total, models


def _solve(b: Tensor, d: Tensor, models: Tensor, class_sets: Tensor, tolerance: float) -> Tensor:
    """All cases of a block, each taken out as soon as it is certified."""
    outside = (~class_sets).double()
    answer = torch.empty_like(b)
    left = torch.arange(len(b))
    q = b / b.sum(1, keepdim=True)
    for round_ in range(ROUNDS):
        for _ in range(FIRST_STEPS * 4**round_):
            q = q * _slope(b, d, q, outside)
        polished = _newton(b, d, q, outside, NEWTON_STEPS + 2 * round_)
        # Whichever is nearer to the optimum, by the bound itself.
        gaps = [models[:, 0] * _slope(b, d, x, outside).max(1).values.log() for x in (q, polished)]
        better = torch.where((gaps[1] < gaps[0]).unsqueeze(1), polished, q)
        open_ = ~(torch.minimum(*gaps) <= tolerance)
        answer[left] = better
        left, b, d, models, q = left[open_], b[open_], d[open_], models[open_], q[open_]
        if not len(left):
            return answer
    raise UserError(f"eq 5: {len(left)} cases are not within {tolerance:g} nats of the optimum; raise the tolerance")


def _slope(b: Tensor, d: Tensor, q: Tensor, outside: Tensor) -> Tensor:
    """s (cases, classes): minus the objective's derivative by q; its mean over q is one."""
    return (d / (q @ outside.T).clamp_min(LEAST)) @ outside + b / q


def _newton(b: Tensor, d: Tensor, q: Tensor, outside: Tensor, steps: int) -> Tensor:
    """q after ``steps`` of Newton's on log r from the r that ``q`` implies."""
    specialists = len(outside)
    pairs = (outside[:, None] * outside[None]).flatten(0, 1).T  # (classes, specialists^2)
    r = d / (q @ outside.T).clamp_min(LEAST)
    # q <= 1 bounds the share of each class from below: 1 - r @ outside >= b. r = d, as if every Q were 1, lies well
    # inside, so r is drawn back towards it as far as needed.
    safe, reached = 1 - d @ outside, 1 - r @ outside
    back = torch.where(reached < b, (safe - b) / (safe - reached), 1.0).amin(1, keepdim=True)
    r = d + back * (r - d)
    asked = d > 0
    room = 1 - r @ outside
    value = _dual(b, d, r, room)
    for _ in range(steps):
        x = b / room
        pull = x @ outside.T
        gradient = d - r * pull
        curvature = ((x / room) @ pairs).unflatten(1, (specialists, specialists)) * r[:, :, None] * r[:, None, :]
        # A specialist that is not asked has r = 0 and stays there.
        curvature.diagonal(dim1=1, dim2=2).add_(torch.where(asked, r * pull, 1.0))
        step = torch.linalg.solve(curvature, gradient)
        length = torch.ones_like(value)
        for _ in range(HALVINGS):
            moved = r * (length * step).exp()
            new_room = 1 - moved @ outside
            new_value = _dual(b, d, moved, new_room)
            rises = (new_room >= 0.5 * b).all(1, keepdim=True) & (new_value >= value - 1e-13)
            if bool(rises.all()):
                break
            length = torch.where(rises, length, length / 2)
        r, room, value = (torch.where(rises, a, b_) for a, b_ in ((moved, r), (new_room, room), (new_value, value)))
    x = b / room
    return x / x.sum(1, keepdim=True)


def _dual(b: Tensor, d: Tensor, r: Tensor, room: Tensor) -> Tensor:
    """sum_c b_c log(1 - sum r_m) + sum_m d_m log r_m (cases, 1); minus infinity where r is not allowed."""
    inside = torch.xlogy(b, room.clamp_min(0)).sum(1, keepdim=True)
    return inside + torch.xlogy(d, r).sum(1, keepdim=True)


def _check(
    generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor, tolerance: float
) -> None:
    cases, classes = generalist.shape
    shapes = [tuple(p.shape) for p in specialists]
    if class_sets.shape != (len(specialists), classes) or asked.shape != (cases, len(specialists)):
        raise ValueError(
            f"{len(specialists)} specialists and predictions {cases, classes}, but class sets "
            f"{tuple(class_sets.shape)} and a choice of specialists {tuple(asked.shape)}"
        )
    if shapes != [(cases, size + 1) for size in class_sets.sum(1).tolist()]:
        raise ValueError(f"specialists' predictions {shapes}: (cases, classes of the set + 1) expected of each")
    if not all(bool(p.isfinite().all()) for p in (generalist, *specialists)):
        raise UserError("eq 5: probabilities that are not finite; look at the models that gave them")
    if not tolerance >= 1e-12:
        raise UserError(f"eq 5: a tolerance of {tolerance:g} nats is below what float64 can certify; use 1e-12 or more")
    for number, (p, class_set) in enumerate(zip(specialists, class_sets, strict=True)):
        if bool(class_set.all()) and bool((p[:, -1] > 0).any()):
            raise UserError(f"specialist {number}: gives mass to its dustbin, and no class is in it")
