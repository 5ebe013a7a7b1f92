"""The convolutional net: parts, weights by seed, its count of multiply-adds, batch norms that keep their statistics."""

import pytest
import torch
from torch import nn

from repro.models.convnet import NormsKept, convnet, top
from repro.models.counting import layer_counts, total


def test_parts_make_the_whole_and_shapes_fit():
    net = convnet(3, (4, 6, 8), 10, seed=0).eval()
    x = torch.randn(5, 3, 12, 12)
    maps = net.trunk(x)
    assert maps.shape == (5, 8, 2, 2)  # 12 -> 6 by the first convolution, 3 and 2 by the two between widths
    assert net.top(maps).shape == (5, 8)
    torch.testing.assert_close(net(x), net.head(net.top(maps)))


def test_residual_blocks_begin_as_the_identity():
    block = top(4).eval()
    x = torch.randn(3, 4, 5, 5).relu()
    torch.testing.assert_close(block(x), x.mean((2, 3)))


def test_multiply_adds_by_hand():
    def multiply_adds(net, shape):
        return total(layer_counts(net, shape)).multiply_adds

    net = convnet(3, (4, 8), 10, seed=0)
    first, block = 4 * 3 * 16 * 36, 2 * 4 * 4 * 9 * 36
    wider, last = 8 * 4 * 9 * 9, 2 * 8 * 8 * 9 * 9
    assert multiply_adds(net, (3, 12, 12)) == first + block + wider + last + 8 * 10
    assert multiply_adds(convnet(3, (32, 80, 144), 100, seed=0), (3, 32, 32)) == pytest.approx(21.6e6, rel=0.01)


def test_weights_depend_on_the_seed_and_on_nothing_else():
    state = torch.random.get_rng_state()
    one = convnet(1, (4, 4), 3, seed=5).state_dict()
    torch.rand(3)
    two, other = (convnet(1, (4, 4), 3, seed=s).state_dict() for s in (5, 6))
    torch.random.set_rng_state(state)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_norms_kept_train_weights_and_no_statistics():
    net = NormsKept(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.train()
    net(5 + torch.randn(16, 2, 2, 2)).sum().backward()
    assert net[3].training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert net[1].weight.grad is not None


@pytest.mark.parametrize(("channels", "widths", "classes"), [(3, (), 10), (0, (4,), 10), (3, (4, 0), 10), (3, (4,), 0)])
def test_refuses_what_is_no_net(channels, widths, classes):
    with pytest.raises(ValueError, match="all must be 1 or more"):
        convnet(channels, widths, classes, seed=0)
