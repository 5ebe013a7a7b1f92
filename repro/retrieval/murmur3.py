"""MurmurHash3, x86, 32 bits (A. Appleby, public domain), of many byte strings at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_FIVE, _ADD = np.uint32(5), np.uint32(0xE6546B64)
_MIX1, _MIX2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


def murmur3_32(strings: Sequence[bytes], seed: int = 0) -> Words:
    """Unsigned hashes (n,) of n byte strings, the same in every process and on every machine.

    The strings are walked side by side, four bytes at a time; what it takes is as many rounds of array operations as
    the longest has blocks, each over the strings that are that long.

    Raises:
        ValueError: a seed that is no unsigned 32-bit number.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an unsigned 32-bit number, not {seed}")
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    starts = np.cumsum(lengths) - lengths
    # Three bytes beyond the end: reading a last word of four never leaves the array.
    data = np.frombuffer(b"".join(strings) + bytes(3), np.uint8).astype(np.uint32)
    hashes = np.full(len(strings), seed, np.uint32)
    blocks = lengths // 4
    order = np.argsort(-blocks, kind="stable")
    going = np.searchsorted(-blocks[order], -np.arange(blocks.max(initial=0)), side="left")  # strings with more blocks
    for block, count in enumerate(going):
        rows = order[:count]
        mixed = _rotated(hashes[rows] ^ _scrambled(_word(data, starts[rows] + 4 * block)), 13)
        hashes[rows] = mixed * _FIVE + _ADD
    rest = lengths % 4
    rows = np.flatnonzero(rest)
    kept = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)[rest[rows]]
    hashes[rows] ^= _scrambled(_word(data, starts[rows] + 4 * blocks[rows]) & kept)
    return _finished(hashes ^ lengths.astype(np.uint32))


def _word(data: Words, at: NDArray[np.int64]) -> Words:
    """The four bytes from each place on, little-endian."""
    shifts = (np.uint32(8), np.uint32(16), np.uint32(24))
    word: Words = data[at] | data[at + 1] << shifts[0] | data[at + 2] << shifts[1] | data[at + 3] << shifts[2]
    return word


def _rotated(words: Words, bits: int) -> Words:
    return words << np.uint32(bits) | words >> np.uint32(32 - bits)


def _scrambled(words: Words) -> Words:
    return _rotated(words * _C1, 15) * _C2


def _finished(hashes: Words) -> Words:
    hashes = (hashes ^ hashes >> np.uint32(16)) * _MIX1
    hashes = (hashes ^ hashes >> np.uint32(13)) * _MIX2
    return hashes ^ hashes >> np.uint32(16)
