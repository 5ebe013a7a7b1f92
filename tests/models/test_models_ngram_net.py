"""The net over n-grams against a loop, and its 8-bit form against its bound."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.data.ngrams import hashed_ngrams
from repro.models.ngram_net import NgramNet, cost, dequantised, pack, quantised, unpack

TEXTS = ["a", "bee", "sea", "dee", ""]
BAGS = [hashed_ngrams(TEXTS, size, 11) for size in (2, 3)]
WINDOWS = torch.tensor([[4, 0, 1], [0, 1, 2], [1, 1, 4]])


def net(seed: int = 0) -> NgramNet:
    return NgramNet(BAGS, buckets=11, dimension=4, window=3, hidden=6, classes=5, seed=seed)


def test_a_word_is_the_mean_of_its_embeddings():
    model = net()
    rows = []
    for window in WINDOWS.tolist():
        words = []
        for text in window:
            for table, bag in zip(model.tables, BAGS, strict=True):
                buckets = bag.buckets[bag.starts[text] : bag.starts[text + 1]]
                words.append(table.weight[buckets].mean(0) if len(buckets) else torch.zeros(4))
        rows.append(torch.cat(words))
    expected = model.output(torch.relu(model.hidden(torch.stack(rows))))
    torch.testing.assert_close(model(WINDOWS), expected)


def test_weights_are_keyed_by_the_seed_alone():
    before = torch.get_rng_state()
    first, again, other = (net(seed)(WINDOWS) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_eight_bits_are_off_by_half_a_scale_at_most(rows, columns, seed, spread):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * spread
    codes, scales = quantised(matrix)
    assert codes.dtype == torch.uint8
    off = (dequantised(codes, scales) - matrix).abs()
    assert bool((off <= 0.501 * scales[:, None]).all())


def test_a_row_of_zeros_stays_one():
    codes, scales = quantised(torch.zeros(2, 3))
    assert torch.equal(dequantised(codes, scales), torch.zeros(2, 3))


def test_what_was_packed_is_what_is_unpacked():
    model, other = net(0), net(1)
    packed = pack(model)
    bytes_ = sum(value.numel() * value.element_size() for value in packed.values())
    assert bytes_ == 2 * 11 * (4 + 4) + 6 * (24 + 4) + 5 * (6 + 4) + 4 * (6 + 5)
    unpack(other, packed)
    torch.testing.assert_close(other(WINDOWS), model(WINDOWS), atol=0.05, rtol=0.05)
    assert pack(other)["hidden.weight.codes"].equal(packed["hidden.weight.codes"])
    del packed["output.bias"]
    with pytest.raises(KeyError):
        unpack(other, packed)


def test_cost_counts_layers_and_rows():
    found = cost(net(), ngrams_per_token=2.5)
    assert found.weights == 2 * 11 * 4 + 24 * 6 + 6 + 6 * 5 + 5
    assert found.operations == 24 * 6 + 6 * 5 + 2.5 * 4


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError):
        NgramNet([], buckets=11, dimension=4, window=3, hidden=6, classes=5, seed=0)
    with pytest.raises(ValueError):
        NgramNet(BAGS, buckets=11, dimension=0, window=3, hidden=6, classes=5, seed=0)
