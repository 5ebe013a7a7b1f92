"""Random directions as a function of a counter: a draw is kept once or made again where needed, never stored twice.

Every draw is a block of a Philox stream (Salmon et al. 2011) whose key is the seed and the use it is for, and whose
counter is the step and the direction. A draw is the beginning of any longer draw of the same key and counter. It does
not depend on what was drawn before, nor on the precision of what it perturbs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.errors import UserError

KINDS = ("gaussian", "signs", "rank_one_signs")


@dataclass(frozen=True)
class Counter:
    """Where the noise of one step comes from: ``seed`` of the run, ``step`` of its training."""

    seed: int
    step: int = 0

    def words(self, stream: int, direction: int, count: int) -> NDArray[np.uint64]:
        """``count`` random 64-bit words of direction ``direction`` for the use ``stream``."""
        philox = np.random.Philox(key=[self.seed, stream], counter=[0, direction, self.step, 0])
        return np.asarray(philox.random_raw(count), dtype=np.uint64)

    def signs(self, stream: int, direction: int, shape: tuple[int, ...]) -> Tensor:
        """+1 or -1 with equal probability, float32 of ``shape``: one random bit each."""
        size = math.prod(shape)
        octets = self.words(stream, direction, -(-size // 64)).view(np.uint8)
        return torch.from_numpy(np.take(_signs_of_octets(), octets, axis=0).reshape(-1)[:size]).view(shape)

    def gaussian(self, stream: int, direction: int, shape: tuple[int, ...]) -> Tensor:
        """N(0, 1), float32 of ``shape``, by Box and Muller's transformation of two 32-bit uniforms."""
        size = math.prod(shape)
        pairs = torch.from_numpy(self.words(stream, direction, -(-size // 2)).view(np.int32)).view(-1, 2).T
        uniforms = pairs.float().mul_(2.0**-32).add_(0.5).clamp_(2.0**-33, 1.0)
        radius = uniforms[0].log_().mul_(-2.0).sqrt_()
        angle = uniforms[1].mul_(2.0 * math.pi)
        both = torch.stack([angle.cos().mul_(radius), angle.sin_().mul_(radius)], 1)
        return both.view(-1)[:size].view(shape)


DRAWS: dict[str, Callable[[Counter, int, int, tuple[int, ...]], Tensor]] = {
    "gaussian": Counter.gaussian,
    "signs": Counter.signs,
    "rank_one_signs": Counter.signs,  # of the factors; what is not a matrix has plain signs
}


def check_kind(kind: str) -> None:
    """Raises UserError: no such noise."""
    if kind not in KINDS:
        raise UserError(f"noise {kind!r} is unknown: choose one of {', '.join(KINDS)}")


@cache
def _signs_of_octets() -> NDArray[np.float32]:
    """(256, 8): the eight signs in each octet."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return bits.astype(np.float32) * 2 - 1
