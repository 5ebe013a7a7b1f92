"""Multiply-adds and parameters of a net, told by its layers while it sees one image. On torch's meta device no
arithmetic is done and no memory taken, whatever the size of net and image."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Counts:
    """Multiply-adds on one image, of convolutions and of the last, fully connected layer; and parameters, with those
    of batch normalisation, a gain and a bias a channel."""

    convolution_multiply_adds: int
    head_multiply_adds: int
    parameters: int

    @property
    def multiply_adds(self) -> int:
        return self.convolution_multiply_adds + self.head_multiply_adds


@dataclass(frozen=True)
class LayerCount:
    """One layer's part. ``name`` is its path in the net; ``stored`` are numbers kept beside the parameters and not
    learned, as the running means and variances of batch normalisation."""

    name: str
    layer: nn.Module
    multiply_adds: int
    parameters: int
    stored: int


def layer_counts(net: nn.Module, image: tuple[int, int, int]) -> list[LayerCount]:
    """What each layer of ``net`` does on one image (channels, height, width), in order of use; leaves it in eval mode.

    Counted are the multiply-adds of convolutions and linear layers without their biases; normalisation, pooling,
    activations and sums count none.

    Raises:
        TypeError: a layer with parameters that is none of these, or that computes twice: it cannot be counted.
    """
    found: list[LayerCount] = []

    def count(layer: nn.Module, name: str, output: Tensor) -> None:
        products = 0
        if isinstance(layer, nn.Conv2d):
            products = layer.weight.numel() * output[0, 0].numel()
        elif isinstance(layer, nn.Linear):
            products = layer.weight.numel()
        elif not isinstance(layer, nn.BatchNorm2d):
            raise TypeError(f"{name}: no rule to count the multiply-adds of {type(layer).__name__}")
        parameters = sum(p.numel() for p in layer.parameters(recurse=False))
        # A running statistic has a number a channel; how many batches were seen is a number alone, not of the net.
        stored = sum(b.numel() for b in layer.buffers(recurse=False) if b.dim())
        found.append(LayerCount(name, layer, products, parameters, stored))

    handles = []
    for name, layer in net.named_modules():
        if any(True for _ in layer.parameters(recurse=False)):

            def hook(layer: nn.Module, _: Any, output: Tensor, name: str = name) -> None:
                count(layer, name, output)

            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, *image, device=next(net.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    if len(found) != len(handles):
        raise TypeError(f"{len(handles)} layers with parameters were used {len(found)} times")
    return found


def total(layers: Iterable[LayerCount]) -> Counts:
    """The sums over all layers."""
    listed = list(layers)
    head = sum(one.multiply_adds for one in listed if isinstance(one.layer, nn.Linear))
    everything = sum(one.multiply_adds for one in listed)
    return Counts(everything - head, head, sum(one.parameters for one in listed))
