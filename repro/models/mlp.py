"""Feed-forward nets of rectified linear units."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from repro.models.dropout import Dropout
from repro.training.keys import generator_seed


def mlp(
    layer_sizes: Sequence[int],
    *,
    seed: int,
    dropout_input: float = 0.0,
    dropout_hidden: float = 0.0,
) -> nn.Sequential:
    """A net of fully connected layers, ReLU between them and logits at the end.

    ``layer_sizes`` lists the widths from input to output: ``(784, 1200, 1200, 10)`` has two hidden
    layers. It takes inputs of shape (batch, layer_sizes[0]) and returns logits (batch, layer_sizes[-1]).
    The weights are drawn as PyTorch draws them (uniform within 1/sqrt(fan-in)), keyed by ``seed`` alone:
    the caller's random state is neither read nor moved. Dropout follows Srivastava et al. 2014 in its
    inverted form, so nothing is rescaled at test time.

    Raises:
        ValueError: fewer than two sizes or a size below one.
    """
    if len(layer_sizes) < 2 or min(layer_sizes) < 1:
        raise ValueError(f"layer sizes must be at least two positive widths, not {tuple(layer_sizes)}")
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which seeds every CUDA device too and would move the caller's state there.
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        for depth, (fan_in, fan_out) in enumerate(pairwise(layer_sizes)):
            rate = dropout_input if depth == 0 else dropout_hidden
            if rate:
                layers.append(Dropout(rate))
            layers.append(nn.Linear(fan_in, fan_out))
            if depth < len(layer_sizes) - 2:
                layers.append(nn.ReLU())
    return nn.Sequential(*layers)
