"""Random numbers by key, not by order: (seed, stream, worker, step) -> 64 bits, the same in every engine.

The mixer is the finaliser of splitmix64 (Steele, Lea, Flood 2014). An engine may ask for any draw at any
time, in any order and batch, so a plain event loop and a vectorised one see the same randomness.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class Stream(IntEnum):
    """What a draw is for; two streams never share bits."""

    COMPUTE = 1
    SLOWDOWN = 2
    PAUSE = 3
    FAILURE = 4
    VICTIM = 5
    ROWS = 6
    ORDER = 7


def mix(bits: Bits) -> Bits:
    """The splitmix64 finaliser, elementwise: a bijection of 64-bit words."""
    z = bits ^ (bits >> _SHIFTS[0])
    z *= _MIX_1
    z ^= z >> _SHIFTS[1]
    z *= _MIX_2
    z ^= z >> _SHIFTS[2]
    return z


def _words(values: ArrayLike) -> Bits:
    return np.atleast_1d(np.asarray(values, dtype=np.int64)).astype(np.uint64)


def worker_keys(seed: int, stream: Stream, workers: ArrayLike) -> Bits:
    """One word per worker, from which `bits_at` makes the draw of any step."""
    root = mix(_words(seed & 0x7FFF_FFFF_FFFF_FFFF) + _GOLDEN)
    root = mix(root + _words(int(stream)) * _GOLDEN)
    return mix(root + (_words(workers) + np.uint64(1)) * _GOLDEN)


def bits_at(keys: Bits, steps: ArrayLike) -> Bits:
    """64 bits for each (key, step); the two arguments broadcast."""
    return mix(keys + (_words(steps) + np.uint64(1)) * _GOLDEN)


def draw_bits(seed: int, stream: Stream, workers: ArrayLike, steps: ArrayLike) -> Bits:
    """64 bits for each (seed, stream, worker, step); workers and steps broadcast."""
    return bits_at(worker_keys(seed, stream, workers), steps)


def survival_of(bits: Bits) -> Floats:
    """A probability strictly inside (0, 1), increasing with the bits; 52 of them are used."""
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def batch_rows(seed: int, workers: ArrayLike, steps: ArrayLike, batch: int, examples: int) -> Ints:
    """Which examples each (worker, step) uses: int64, broadcast shape of the two plus (batch,).

    Rows are drawn with replacement, from the key alone, so nothing about them needs to be recorded.
    """
    keys = bits_at(worker_keys(seed, Stream.ROWS, workers), steps)
    bits = mix(keys[..., None] + np.arange(1, batch + 1, dtype=np.uint64) * _GOLDEN)
    # 32 high bits times the range: the bias is below examples / 2^32.
    return (((bits >> np.uint64(32)) * np.uint64(examples)) >> np.uint64(32)).astype(np.int64)
