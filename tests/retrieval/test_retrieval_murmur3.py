"""MurmurHash3 against its known vectors and scikit-learn's implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from repro.retrieval.murmur3 import murmur3_32

# Of the reference implementation, as they are widely printed: (bytes, seed, hash).
VECTORS = [
    (b"", 0, 0x00000000),
    (b"", 1, 0x514E28B7),
    (b"", 0xFFFFFFFF, 0x81F16F39),
    (b"\xff\xff\xff\xff", 0, 0x76293B50),
    (b"!Ce\x87", 0, 0xF55B516B),
    (b"!Ce\x87", 0x5082EDEE, 0x2362F9DE),
    (b"!Ce", 0, 0x7E4A8634),
    (b"!C", 0, 0xA0F7B07A),
    (b"!", 0, 0x72661CF4),
    (bytes(4), 0, 0x2362F9DE),
    (bytes(3), 0, 0x85F0B427),
    (bytes(2), 0, 0x30F4C306),
    (bytes(1), 0, 0x514E28B7),
    (b"aaaa", 0x9747B28C, 0x5A97808A),
    (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
]


@pytest.mark.parametrize(("data", "seed", "expected"), VECTORS)
def test_known_vectors(data, seed, expected):
    assert murmur3_32([data], seed).tolist() == [expected]


@given(strings=st.lists(st.binary(max_size=40), max_size=30), seed=st.integers(0, 2**31 - 1))
def test_many_at_once_are_those_of_scikit_learn(strings, seed):
    found = murmur3_32(strings, seed)
    assert found.tolist() == [murmurhash3_32(string, seed=seed, positive=True) for string in strings]


def test_strings_of_very_different_lengths():
    strings = [b"x" * length for length in (0, 10_000, 3, 257, 1, 10_001)]
    assert murmur3_32(strings).tolist() == [murmurhash3_32(string, positive=True) for string in strings]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_more_than_32_bits_is_refused(seed):
    with pytest.raises(ValueError, match="unsigned 32-bit"):
        murmur3_32([b""], seed)
