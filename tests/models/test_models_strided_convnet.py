"""The strided convolutional net: shapes, the convolution by hand, weights keyed by the seed."""

import pytest
import torch
from torch import nn

from repro.models.strided_convnet import strided_convnet


@pytest.mark.parametrize(
    ("shape", "channels", "sizes", "rows"),
    [((3, 32, 32), (32, 64, 128), (100,), 128 * 4 * 4), ((1, 7, 9), (2, 5), (6, 4), 5 * 2 * 3)],
)
def test_shapes_and_number_of_weights(shape, channels, sizes, rows):
    net = strided_convnet(shape, channels, sizes, seed=0)
    pixels = shape[0] * shape[1] * shape[2]
    assert net(torch.rand(4, pixels)).shape == (4, sizes[-1])
    convolved = sum(9 * a * b + 2 * b for a, b in zip((shape[0], *channels), channels, strict=False))
    linear = sum((a + 1) * b for a, b in zip((rows, *sizes), sizes, strict=False))
    assert sum(p.numel() for p in net.parameters()) == convolved + linear


def test_computes_the_net_by_hand():
    net = strided_convnet((2, 4, 4), (3,), (5,), seed=1).eval()
    convolution, linear = net[1], net[-1]
    x = torch.rand(2, 32)
    padded = nn.functional.pad(x.reshape(2, 2, 4, 4), (1, 1, 1, 1))
    by_hand = torch.stack(
        [
            torch.einsum("nchw,ochw->no", padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], convolution.weight)
            for i in range(2)
            for j in range(2)
        ],
        dim=2,
    )
    rectified = (by_hand / (1 + 1e-5) ** 0.5).clamp(min=0)  # batch normalisation as it begins
    torch.testing.assert_close(net(x), rectified.flatten(1) @ linear.weight.T + linear.bias)


def test_weights_are_keyed_by_the_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other, again = (strided_convnet((1, 8, 8), (4,), (3,), seed=s) for s in (0, 1, 0))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(one.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one[1].weight, other[1].weight)
    assert not torch.equal(one[-1].weight, other[-1].weight)


@pytest.mark.parametrize(
    ("shape", "channels"), [((8, 8), (4,)), ((3, 8, 8), ()), ((3, 0, 8), (4,)), ((3, 8, 8), (4, 0))]
)
def test_what_cannot_be_a_net_is_refused(shape, channels):
    with pytest.raises(ValueError, match="all positive"):
        strided_convnet(shape, channels, (3,), seed=0)
