"""Random numbers that depend on what they are for, not on what was drawn before.

Every stream (initial weights, the order of epoch 7, dropout and jitter of epoch 7) has a generator seed
of its own. A run that resumes at epoch 7 therefore needs no saved random state, and a change in one
stream moves no other.
"""

import hashlib


def generator_seed(*key: int | str) -> int:
    """A 63-bit seed for a random generator, a fixed function of the key.

    Parts are told apart by how they print: 1 and "1" are the same.

    Raises:
        ValueError: a part with the separator "/" in it, which could stand for two parts.
    """
    if any("/" in str(part) for part in key):
        raise ValueError(f"a key's parts may not hold '/': {key}")
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
