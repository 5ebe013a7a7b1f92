"""Multilayer perceptrons: shapes, initial weights keyed by the seed, places of dropout."""

import hashlib
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from repro.models.dropout import Dropout
from repro.models.mlp import mlp


def linears(net: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in net if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("sizes", [(3, 2), (5, 7, 2), (784, 30, 20, 10)])
def test_widths_and_order(sizes: tuple[int, ...]) -> None:
    net = mlp(sizes, seed=0)
    assert [(layer.in_features, layer.out_features) for layer in linears(net)] == list(pairwise(sizes))
    assert [type(layer) for layer in net] == [nn.Linear, *[nn.ReLU, nn.Linear] * (len(sizes) - 2)]
    assert net(torch.zeros(4, sizes[0])).shape == (4, sizes[-1])


def test_computes_the_net_by_hand() -> None:
    net = mlp((6, 5, 4, 3), seed=1)
    x = torch.randn(8, 6)
    (w1, b1), (w2, b2), (w3, b3) = [(layer.weight, layer.bias) for layer in linears(net)]
    by_hand = ((x @ w1.T + b1).clamp(min=0) @ w2.T + b2).clamp(min=0) @ w3.T + b3
    torch.testing.assert_close(net(x), by_hand)
    assert bool((net(torch.randn(200, 6)) < 0).any())  # logits are not rectified


def test_dropout_stands_before_its_layers() -> None:
    net = mlp((6, 5, 4, 3), seed=1, dropout_input=0.25, dropout_hidden=0.5)
    assert [repr(layer) for layer in net if isinstance(layer, Dropout)] == [
        "Dropout(rate=0.25)",
        "Dropout(rate=0.5)",
        "Dropout(rate=0.5)",
    ]
    kinds = [Dropout, nn.Linear, nn.ReLU, Dropout, nn.Linear, nn.ReLU, Dropout, nn.Linear]
    assert [type(layer) for layer in net] == kinds
    assert [type(layer) for layer in mlp((6, 5, 3), seed=1, dropout_input=0.25)][:2] == [Dropout, nn.Linear]
    assert type(mlp((6, 5, 3), seed=1, dropout_hidden=0.5)[0]) is nn.Linear


def test_weights_are_torch_s_own_under_the_key_of_the_seed() -> None:
    net = mlp((9, 8, 3), seed=17)
    key = int.from_bytes(hashlib.sha256(b"17/weights").digest()[:8], "big") >> 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key)
        expected = [nn.Linear(9, 8), nn.Linear(8, 3)]
    for ours, torchs in zip(linears(net), expected, strict=True):
        assert torch.equal(ours.weight, torchs.weight)
        assert torch.equal(ours.bias, torchs.bias)
        bound = 1 / math.sqrt(ours.in_features)
        assert 0.8 * bound < float(ours.weight.detach().abs().max()) <= bound


def test_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    state = torch.random.get_rng_state()
    net = mlp((9, 8, 3), seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)  # neither moved
    torch.rand(5)
    again = mlp((9, 8, 3), seed=2, dropout_input=0.2, dropout_hidden=0.5)  # nor read
    torch.random.set_rng_state(state)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(linears(net), linears(again), strict=True))
    assert not torch.equal(linears(mlp((9, 8, 3), seed=3))[0].weight, linears(net)[0].weight)


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0), (3, -1, 2)])
def test_refuses_what_is_no_net(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two positive widths"):
        mlp(sizes, seed=0)
