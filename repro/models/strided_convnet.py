"""A small convolutional net for colour images, for studies that train many nets on a processor."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from repro.models.mlp import mlp
from repro.training.keys import generator_seed


def strided_convnet(
    image_shape: Sequence[int], channels: Sequence[int], layer_sizes: Sequence[int], *, seed: int
) -> nn.Sequential:
    """3x3 convolutions of stride 2 with batch normalisation and ReLU, then fully connected layers.

    ``image_shape`` is (colours, height, width) and inputs are such images as flat rows (batch, colours * height *
    width); ``channels`` are the outputs of each convolution and ``layer_sizes`` the widths after them, the last
    being the number of logits: ``(3, 32, 32), (32, 64, 128), (100,)`` takes 2.6 M multiply-adds a case. Every
    convolution halves height and width (rounded up) instead of a pooling layer (Springenberg et al. 2014, 1412.6806).
    Weights are drawn as PyTorch draws them, keyed by ``seed`` alone.

    Raises:
        ValueError: not three image dimensions, no convolution, or a size below one.
    """
    if len(image_shape) != 3 or not channels or min(*image_shape, *channels) < 1:
        raise ValueError(f"need (colours, height, width) and channels, all positive: {image_shape}, {channels}")
    depth, height, width = image_shape
    layers: list[nn.Module] = [nn.Unflatten(1, (depth, height, width))]
    with torch.random.fork_rng(devices=[]):
        # As in mlp: the caller's random state, on whatever device, is neither read nor moved.
        torch.default_generator.manual_seed(generator_seed(seed, "convolutions"))
        for out in channels:
            layers += [nn.Conv2d(depth, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            depth, height, width = out, math.ceil(height / 2), math.ceil(width / 2)
    return nn.Sequential(*layers, nn.Flatten(), *mlp((depth * height * width, *layer_sizes), seed=seed))
