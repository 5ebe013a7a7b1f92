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

The few cases that Newton's method leaves uncertified, begun too far off, are led to their optimum along a path of
easier problems (``_by_path``), in shorter steps where longer ones lose the way."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from repro.errors import UserError

BLOCK = 1000  # cases solved together: their arrays stay in the processor's cache
EASY = ((10, 3), (40, 5))  # steps of the first kind, then Newton's: enough for nearly all cases
PATHS = ((10, 6), (2, 12))  # for the few left: mu falls by this, with so many of Newton's steps each time
FIRST_MU, LAST_MU, LAST_STEPS = 0.1, 1e-16, 30
HALVINGS = 30
WORST = 1e-5  # nats that rounding may leave of a case whose probabilities are near float64's resolution
SUM_OFF = 1e-3  # the sum of a case's probabilities may be off by this: float32 rounds
LEAST = 1e-12  # probabilities below are raised to it, which moves the objective by less than the tolerance


def check_top(top: int, classes: int) -> None:
    """Section 5.4's n, before anything is trained that will be asked by it.

    Raises:
        UserError: not in 1..classes.
    """
    if not 1 <= top <= classes:
        raise UserError(f"n = {top} most probable classes: choose a number from 1 to {classes}")


def consulted(generalist: Tensor, class_sets: Tensor, top: int = 1) -> Tensor:
    """Mask (cases, specialists): whose class set meets the ``top`` most probable classes (n of section 5.4).

    Raises:
        UserError: top not in 1..classes.
    """
    check_top(top, class_sets.shape[1])
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
        tolerance: bound of the objective's distance from its minimum, in nats; cases with probabilities near the
            resolution of float64 may keep up to 1e-5.

    Raises:
        ValueError: shapes that do not fit each other.
        UserError: what is no probability (not finite, negative, of a sum other than one), mass in the dustbin of a
            specialist that is asked and has every class, cases so uneven that no optimum is found; a tolerance below
            1e-12.
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


def objective(
    q: Tensor, generalist: Tensor, specialists: Sequence[Tensor], class_sets: Tensor, asked: Tensor
) -> Tensor:
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
        d[:, number] = torch.where(mine[:, -1] < LEAST, 0.0, mine[:, -1])
    models = 1 + weight.sum(1, keepdim=True)
    total = b.sum(1, keepdim=True) + d.sum(1, keepdim=True)  # L, but for rounding of the given probabilities
    return b / total, d / total, models


def _solve(b: Tensor, d: Tensor, models: Tensor, class_sets: Tensor, tolerance: float) -> Tensor:
    """q (cases, classes) of a block."""
    outside = (~class_sets).double()
    q = b / b.sum(1, keepdim=True)
    open_ = torch.ones(len(b), dtype=torch.bool)
    for first_steps, newton_steps in EASY:
        q[open_] = _easy(b[open_], d[open_], q[open_], outside, first_steps, newton_steps)
        open_ = ~(_gap(b, d, q, models, outside) <= tolerance)
        if not bool(open_.any()):
            return q
    for ratio, newton_steps in PATHS:
        q[open_] = _by_path(b[open_], d[open_], q[open_], outside, ratio, newton_steps)
        gap = _gap(b, d, q, models, outside)
        open_ = ~(gap <= max(tolerance, WORST))
        if not bool(open_.any()):
            break
    else:
        raise UserError(f"eq 5: a case is {float(gap.max()):g} nats from the optimum; are its probabilities sound?")
    return q


def _easy(b: Tensor, d: Tensor, q: Tensor, outside: Tensor, first_steps: int, newton_steps: int) -> Tensor:
    """q after steps of the first kind, then Newton's."""
    for _ in range(first_steps):
        q = q * _slope(b, d, q, outside)
    r = _inside(b, d, d / (q @ outside.T).clamp_min(LEAST), outside)
    return _nearer(b, d, q, _shares(b, _newton(b, d, r, outside, newton_steps), outside), outside)


def _by_path(b: Tensor, d: Tensor, q: Tensor, outside: Tensor, ratio: float, newton_steps: int) -> Tensor:
    """q of cases where Newton's method began too far off: they are solved for b + mu, mu falling to zero by ``ratio``.

    Classes with b near zero are what makes a case hard: Newton's steps are sound only while each class's room,
    1 - sum r_m, changes by less than itself. What rounding left is put right by steps of the first kind.
    """
    r = d
    falls = math.ceil(math.log(FIRST_MU / LAST_MU) / math.log(ratio))
    for mu in (*(FIRST_MU * ratio**-fall for fall in range(falls)), 0.0):
        total = 1 + mu * b.shape[1]
        raised, rest = (b + mu) / total, d / total
        r = _newton(raised, rest, _inside(raised, rest, r, outside), outside, newton_steps)
    q = _nearer(b, d, q, _shares(b, r, outside), outside)
    for _ in range(LAST_STEPS):
        q = q * _slope(b, d, q, outside)
    return q


def _slope(b: Tensor, d: Tensor, q: Tensor, outside: Tensor) -> Tensor:
    """s (cases, classes): minus the objective's derivative by q; its mean over q is one."""
    return (d / (q @ outside.T).clamp_min(LEAST)) @ outside + b / q


def _gap(b: Tensor, d: Tensor, q: Tensor, models: Tensor, outside: Tensor) -> Tensor:
    """Bound of each case's distance from its optimum (cases,), in nats."""
    return models[:, 0] * _slope(b, d, q, outside).amax(1).log()


def _nearer(b: Tensor, d: Tensor, q: Tensor, other: Tensor, outside: Tensor) -> Tensor:
    """``other`` where its bound is lower, else ``q``; a step that went astray is no number and never lower."""
    lower = _slope(b, d, other, outside).amax(1) < _slope(b, d, q, outside).amax(1)
    return torch.where(lower.unsqueeze(1), other, q)


def _shares(b: Tensor, r: Tensor, outside: Tensor) -> Tensor:
    """q that r implies."""
    x = b / (1 - r @ outside)
    return x / x.sum(1, keepdim=True)


def _inside(b: Tensor, d: Tensor, r: Tensor, outside: Tensor) -> Tensor:
    """r drawn back into the region where the optimum lies.

    q <= 1 bounds each class's room from below: 1 - sum r_m >= b. r = d, as if every Q were 1, lies well inside.
    """
    safe, reached = 1 - d @ outside, 1 - r @ outside
    back = torch.where(reached < b, (safe - b) / (safe - reached), 1.0).amin(1, keepdim=True)
    return d + back * (r - d)


def _newton(b: Tensor, d: Tensor, r: Tensor, outside: Tensor, steps: int) -> Tensor:
    """r after Newton's steps on log r, each halved until it does not go down."""
    specialists = len(outside)
    pairs = (outside[:, None] * outside[None]).flatten(0, 1).T  # (classes, specialists^2)
    asked = d > 0
    scale = torch.where(asked, d, 1.0).rsqrt()
    room = 1 - r @ outside
    value = _dual(b, d, r, room)
    for _ in range(steps):
        x = b / room
        pull = x @ outside.T
        gradient = d - r * pull
        curvature = ((x / room) @ pairs).unflatten(1, (specialists, specialists)) * r[:, :, None] * r[:, None, :]
        # A specialist that is not asked has r = 0 and stays there.
        curvature.diagonal(dim1=1, dim2=2).add_(torch.where(asked, r * pull, 1.0))
        # The curvature's diagonal is about d, of any size: unit scale before it is solved.
        curvature = curvature * scale[:, :, None] * scale[:, None, :]
        curvature.diagonal(dim1=1, dim2=2).add_(1e-13)
        step = scale * torch.linalg.solve(curvature, scale * gradient)
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
    return r


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
    _check_probabilities("generalist", generalist)
    for number, (p, class_set) in enumerate(zip(specialists, class_sets, strict=True)):
        _check_probabilities(f"specialist {number}", p)
        if bool(class_set.all()) and bool((p[asked[:, number], -1] > 0).any()):
            raise UserError(f"specialist {number}: gives mass to its dustbin, and no class is in it")


def _check_probabilities(whose: str, p: Tensor) -> None:
    """Rows (cases, outputs) that are each a distribution, asked for or not: logits are a mistake anywhere."""
    if bool((p < 0).any()):
        raise UserError(f"{whose}: a probability of {float(p.min()):g}; give probabilities, not logits")
    off = p.sum(1, dtype=torch.float64) - 1
    if bool((off.abs() > SUM_OFF).any()):
        wrong = 1 + float(off[off.abs().argmax()])
        raise UserError(f"{whose}: the probabilities of a case sum to {wrong:g}; give probabilities, not logits")
