"""Character n-grams of words, hashed into buckets: features without a vocabulary (Botha et al. 2017, section 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEGIN, END = "\x02", "\x03"  # around every text, so that a prefix is not an infix


@dataclass(frozen=True)
class Bags:
    """Buckets of the n-grams of many texts in one row: text i has ``buckets[starts[i]:starts[i + 1]]``, a bucket as
    often as its n-grams occur."""

    starts: NDArray[np.int64]
    buckets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


def hashed_ngrams(texts: Sequence[str], size: int, buckets: int) -> Bags:
    """All n-grams of ``size`` code points of each text, marks of its begin and end included.

    The hash is FNV-1a over code points with the final mixing of murmur3: the same in every process, of numpy alone.

    Raises:
        ValueError: a size or a number of buckets below 1.
    """
    if size < 1 or buckets < 1:
        raise ValueError(f"size {size} and buckets {buckets} must be at least 1")
    lengths = np.array([len(text) + 2 for text in texts], dtype=np.int64)
    counts = np.maximum(lengths - size + 1, 0)
    starts = np.concatenate(([0], np.cumsum(counts)))
    codes = np.frombuffer("".join(f"{BEGIN}{text}{END}" for text in texts).encode("utf-32-le"), "<u4")
    first = np.cumsum(lengths) - lengths  # where each text begins
    position = np.arange(starts[-1]) + np.repeat(first - starts[:-1], counts)
    value = np.full(len(position), 0xCBF29CE484222325, dtype=np.uint64)
    for offset in range(size):
        value = (value ^ codes[position + offset].astype(np.uint64)) * np.uint64(0x100000001B3)
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> np.uint64(33))) * np.uint64(multiplier)
    value ^= value >> np.uint64(33)
    return Bags(starts, (value % np.uint64(buckets)).astype(np.int64))


def windows(lengths: Sequence[int], tokens: NDArray[np.int64], reach: int, padding: int) -> NDArray[np.int64]:
    """(n, 2 reach + 1): each token with its neighbours in its sequence, ``padding`` beyond its ends.

    ``tokens`` (n,) are those of all sequences, whose lengths add up to n.
    """
    lengths_array = np.asarray(lengths, dtype=np.int64)
    ends = np.repeat(np.cumsum(lengths_array), lengths_array)
    begins = ends - np.repeat(lengths_array, lengths_array)
    place = np.arange(len(tokens))[:, None] + np.arange(-reach, reach + 1)
    inside = (place >= begins[:, None]) & (place < ends[:, None])
    return np.where(inside, tokens[np.clip(place, 0, max(len(tokens) - 1, 0))], padding)
