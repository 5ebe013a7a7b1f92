"""Learning rate and momentum as functions of the fraction of training done."""

import math
from collections.abc import Callable
from typing import Protocol

from repro.training.settings import Training

# Decay after the warm-up: share of the peak rate left when a fraction x in [0, 1] of the decay is done.
DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda x: 1.0,
    "linear": lambda x: 1.0 - x,
    "cosine": lambda x: 0.5 * (1.0 + math.cos(math.pi * x)),
}


class Scheduled(Protocol):
    """Settings that say how the rate goes: ``Training`` and whatever has these fields of it."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup_fraction(self) -> float: ...
    @property
    def schedule(self) -> str: ...


def learning_rate(settings: Scheduled, step: int, steps: int) -> float:
    """Rate of step ``step`` (0-based) of ``steps``: a linear warm-up, then the decay named in the settings."""
    warmup_steps = settings.warmup_fraction * steps
    if step + 1 < warmup_steps:
        return settings.learning_rate * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return settings.learning_rate * DECAYS[settings.schedule](max(done, 0.0))


def momentum(settings: Training, step: int, steps: int) -> float:
    """Momentum of step ``step`` of ``steps``: linear from ``momentum_start``, as in Hinton et al. 2012."""
    if settings.momentum_start is None:
        return settings.momentum
    ramp_steps = settings.momentum_ramp_fraction * steps
    share = min(step / ramp_steps, 1.0) if ramp_steps else 1.0
    return settings.momentum_start + share * (settings.momentum - settings.momentum_start)
