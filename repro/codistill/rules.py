"""Update rules on whole rows of weights, as `simulation.replay.Rule` wants them: real runs and replay share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.codistill.flat import FlatModel
from repro.codistill.settings import Optimizer, Settings
from repro.training.schedules import DECAYS

State = tuple[Tensor, ...]
STATES = {"sgd": 1, "adam": 2, "adagrad": 1}


def learning_rate(optimizer: Optimizer, step: int, steps: int) -> float:
    """Rate of step `step` (0-based) of `steps`."""
    rate = optimizer.learning_rate
    if step < optimizer.warmup_steps:
        return rate * (step + 1) / optimizer.warmup_steps
    done = (step - optimizer.warmup_steps) / max(steps - optimizer.warmup_steps, 1)
    passed = sum(step >= milestone for milestone in optimizer.milestones)
    return rate * DECAYS[optimizer.decay](min(done, 1.0)) * optimizer.milestone_factor**passed


def weight_decay(optimizer: Optimizer, step: int) -> float:
    """Weight decay of a step: the last of `weight_decay_steps` that has begun, before them `weight_decay`."""
    value = optimizer.weight_decay
    for begin, later in sorted(optimizer.weight_decay_steps):
        if step >= begin:
            value = later
    return value


@dataclass(frozen=True)
class FlatRule:
    """One optimiser on rows (..., size) whose first `trained` numbers have gradients; the rest takes new values.

    Weight decay is added to the gradient (L2), where `decays` (trained,) is 1. Momentum is v <- m v + g, w <- w - rate
    v: a change of rate acts at once on all of v, which is what Goyal et al. 2017 (eq. 10) call momentum correction.
    """

    optimizer: Optimizer
    steps: int
    trained: int
    decays: Tensor | None

    def state(self, weights: Tensor) -> State:
        """Zeros: velocity (sgd), first and second moment (adam), sum of squares (adagrad)."""
        count = 0 if self.optimizer.kind == "sgd" and not self.optimizer.momentum else STATES[self.optimizer.kind]
        return tuple(weights.new_zeros((*weights.shape[:-1], self.trained)) for _ in range(count))

    def apply(self, weights: Tensor, gradient: Tensor, state: State, step: int, staleness: int, out: Tensor) -> None:
        """One step; changes `gradient`."""
        own, g = weights[..., : self.trained], gradient[..., : self.trained]
        if self.optimizer.clip_norm is not None:
            # Row by row: the sum of squares of one row is then the same among several as alone.
            for row in g.reshape(-1, self.trained):
                row.mul_((self.optimizer.clip_norm / (row.norm() + 1e-6)).clamp(max=1.0))
        decay = weight_decay(self.optimizer, step)
        if decay and self.decays is None:
            g.add_(own, alpha=decay)
        elif decay and self.decays is not None:
            g.addcmul_(own, self.decays, value=decay)
        rate = learning_rate(self.optimizer, step, self.steps)
        RULES[self.optimizer.kind](self.optimizer, own, g, state, rate, step, out[..., : self.trained])
        out[..., self.trained :] = gradient[..., self.trained :]


def _sgd(o: Optimizer, weights: Tensor, g: Tensor, state: State, rate: float, step: int, out: Tensor) -> None:
    if o.momentum:
        velocity = state[0].mul_(o.momentum).add_(g)
        g = g.add_(velocity, alpha=o.momentum) if o.nesterov else velocity
    torch.add(weights, g, alpha=-rate, out=out)


def _adam(o: Optimizer, weights: Tensor, g: Tensor, state: State, rate: float, step: int, out: Tensor) -> None:
    """Kingma & Ba 2015, Algorithm 1; epsilon is added to the root of the corrected second moment."""
    first, second = state
    first.lerp_(g, 1 - o.beta1)
    second.mul_(o.beta2).addcmul_(g, g, value=1 - o.beta2)
    scale = (second / (1 - o.beta2 ** (step + 1))).sqrt_().add_(o.epsilon)
    torch.addcdiv(weights, first, scale, value=-rate / (1 - o.beta1 ** (step + 1)), out=out)


def _adagrad(o: Optimizer, weights: Tensor, g: Tensor, state: State, rate: float, step: int, out: Tensor) -> None:
    state[0].addcmul_(g, g)
    torch.addcdiv(weights, g, state[0].sqrt().add_(o.epsilon), value=-rate, out=out)


RULES: dict[str, Callable[[Optimizer, Tensor, Tensor, State, float, int, Tensor], None]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adagrad": _adagrad,
}


def rule_for(settings: Settings, net: FlatModel) -> FlatRule:
    """The rule these settings name, for rows laid out as this model's."""
    decays = None
    if not settings.optimizer.decay_norms:
        mask = torch.cat([torch.full((p.numel(),), float(p.dim() > 1)) for p in net.parameters])
        decays = mask.to(net.device)
    return FlatRule(settings.optimizer, settings.updates * settings.protocol.steps_per_update, net.trained, decays)
