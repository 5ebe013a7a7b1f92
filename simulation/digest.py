"""Sixty-four bits that stand for a set of weights: the proof that a replay met the run it repeats."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import torch
from torch import Tensor


def digest(parameters: Mapping[str, Tensor]) -> int:
    """64 bits of BLAKE2b over the bytes of all tensors, in order of name; never 0, which means unknown."""
    state = blake2b(digest_size=8)
    for name in sorted(parameters):
        tensor = parameters[name].detach().cpu().contiguous()
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return int.from_bytes(state.digest(), "little") or 1
