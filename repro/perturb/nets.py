"""Nets whose values, tangents and exact gradients are written out: feed-forward nets and LocalMixer.

A net is a chain of layers, parted into blocks, and linear heads. Layer: normalise (optional), a linear map over
channels, over tokens or within groups of channels, normalise (optional), add the block's input (optional), ReLU. Units
are perturbed after the second normalisation and before what follows. Feed-forward nets are the case of one token, one
block and no normalisation. Shapes: inputs (batch, tokens, features), outputs (batch, outputs).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError
from repro.perturb.ops import LINEAR, OUTER, Mix, Normalised, normalise
from repro.training.keys import generator_seed

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Layer:
    """One linear map with what surrounds it. ``norm_in`` and ``norm_out`` count groups of a layer norm, 0 for none."""

    name: str
    mix: Mix
    inputs: int
    units: int
    block: int = 0
    groups: int = 1
    norm_in: int = 0
    norm_out: int = 0
    residual: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        if self.mix == "groups":
            return (self.groups, self.units // self.groups, self.inputs // self.groups)
        return (self.units, self.inputs)

    @property
    def fan_in(self) -> int:
        return self.shape[-1]


@dataclass(frozen=True)
class Net:
    """``layers`` and ``classes`` outputs; ``tokens`` of ``features`` in, ``channels`` out of the last layer.

    The final head reads the mean over tokens, normalised if ``norm_head``. With ``local_heads`` every block has a head
    of its own, named ``head0``, ``head1``, ..., that reads the mean over tokens of the block's output, normalised
    within each of ``groups`` groups. Initial weights have s.d. ``gain`` / sqrt(fan-in), at most ``scale_most``; those
    of heads ``head_gain`` / sqrt(fan-in).
    """

    layers: tuple[Layer, ...]
    tokens: int
    features: int
    channels: int
    classes: int
    groups: int = 1
    local_heads: bool = False
    norm_head: bool = False
    gain: float = 2.0**0.5
    scale_most: float = float("inf")
    head_gain: float = 1.0

    @property
    def blocks(self) -> int:
        return self.layers[-1].block + 1 if self.layers else 1

    @property
    def heads(self) -> tuple[str, ...]:
        """All heads by name, the final one, ``head``, last."""
        return (*(f"head{b}" for b in range(self.blocks) if self.local_heads), "head")

    def channels_after(self, number: int) -> int:
        """Channels of layer ``number``'s units: mixing tokens leaves them as they were."""
        layer = self.layers[number]
        return self.channels if layer.mix == "tokens" else layer.units

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all parameters by name: ``<layer>.weight``, ``<layer>.bias``, ``<head>.weight``, ``<head>.bias``."""
        found: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            found[f"{layer.name}.weight"], found[f"{layer.name}.bias"] = layer.shape, (layer.units,)
        for head in self.heads:
            found[f"{head}.weight"], found[f"{head}.bias"] = (self.classes, self.channels), (self.classes,)
        return found

    def parameter_count(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes().values())

    def initial(self, seed: int, dtype: torch.dtype = torch.float32) -> Parameters:
        """Gaussian weights and zero biases, keyed by the seed."""
        generator = torch.Generator().manual_seed(generator_seed(seed, "perturb", "weights"))
        fan_in = {f"{layer.name}.weight": layer.fan_in for layer in self.layers}
        found: Parameters = {}
        for name, shape in self.shapes().items():
            if name.endswith("bias"):
                found[name] = torch.zeros(shape, dtype=dtype)
                continue
            scale = self.head_gain * self.channels**-0.5
            if name in fan_in:
                scale = min(self.gain * fan_in[name] ** -0.5, self.scale_most)
            found[name] = (torch.randn(shape, generator=generator) * scale).to(dtype)
        return found


def mlp(sizes: Sequence[int]) -> Net:
    """A feed-forward net of ReLUs, ``sizes`` from input to output; without hidden layers a linear net.

    Raises:
        UserError: fewer than two sizes, or one below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise UserError(f"layer sizes must be at least two positive widths, not {tuple(sizes)}")
    layers = [Layer(f"layer{n}", "channels", a, b) for n, (a, b) in enumerate(pairwise(sizes[:-1]))]
    return Net(tuple(layers), 1, sizes[0], sizes[-2], sizes[-1])


def local_mixer(*, blocks: int, patches: int, channels: int, groups: int, side: int, colours: int, classes: int) -> Net:
    """LocalMixer (Ren et al. 2022, section 5) on images of ``side`` x ``side`` pixels in ``patches`` x ``patches``.

    Block 0 embeds patches: a full and a grouped layer. Later blocks mix tokens, then channels, then channels within
    groups, and add their input. Weights start as in the authors' program: s.d. 2 / sqrt(fan-in), at most 0.1. All
    heads start at zero.

    Raises:
        UserError: groups that do not divide the channels, or patches that do not divide the side.
    """
    if min(blocks, patches, channels, groups, classes) < 1:
        raise UserError("blocks, patches, channels, groups and classes of a LocalMixer must be at least 1")
    if channels % groups:
        raise UserError(f"{groups} groups do not divide {channels} channels: choose a divisor of {channels}")
    if side % patches:
        raise UserError(f"{patches} patches do not divide a side of {side} pixels: choose a divisor of {side}")
    tokens, features = patches**2, (side // patches) ** 2 * colours
    layers = []
    for b in range(blocks):
        if b:
            layers.append(Layer(f"block{b}.tokens", "tokens", tokens, tokens, b, norm_in=1, norm_out=1))
        width = channels if b else features
        layers.append(Layer(f"block{b}.channels", "channels", width, channels, b, norm_in=1, norm_out=1))
        layers.append(
            Layer(
                f"block{b}.groups", "groups", channels, channels, b, groups,
                norm_in=groups, norm_out=groups, residual=b > 0,
            )
        )  # fmt: skip
    return Net(
        tuple(layers), tokens, features, channels, classes, groups,
        local_heads=True, norm_head=True, gain=2.0, scale_most=0.1, head_gain=0.0,
    )  # fmt: skip


def patches_of(images: Tensor, patches: int) -> Tensor:
    """Images (N, H, W) or (N, C, H, W), uint8, as float32 tokens (N, patches^2, features) with values in [0, 1]."""
    coloured = images.unsqueeze(1) if images.dim() == 3 else images
    size = coloured.shape[-1] // patches
    parts = coloured.unflatten(3, (patches, size)).unflatten(2, (patches, size))  # N C p h q w
    tokens: Tensor = parts.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    return tokens.float().div_(255)


class Perturbation(Protocol):
    """What is added inside a net: to a linear map's output (weights), to units after the norm; None for nothing."""

    def weights(self, number: int, x: Tensor) -> Tensor | None:
        """The perturbation of layer ``number``'s weights applied to its input ``x``."""

    def units(self, number: int) -> Tensor | None:
        """The perturbation of layer ``number``'s units."""

    def head(self, x: Tensor) -> Tensor | None:
        """Of the final head's outputs, whose input is ``x``."""


@dataclass(frozen=True)
class Passed:
    """A layer's input as the linear map saw it, its norms, and its output."""

    x: Tensor
    norm_in: Normalised | None
    norm_out: Normalised | None
    output: Tensor

    def gate(self, moved: Tensor) -> Tensor:
        """``moved`` where the unit is active, else 0: what ReLU lets pass, of tangents and of errors."""
        gated: Tensor = torch.ops.aten.threshold_backward(moved, self.output, 0)
        return gated


@dataclass(frozen=True)
class Trace:
    """A pass through a net: per layer, the outputs of every block, the input of the final head, and its outputs."""

    passed: tuple[Passed, ...]
    blocks: tuple[Tensor, ...]
    head_norm: Normalised | None
    features: Tensor
    outputs: Tensor


def forward(net: Net, parameters: Parameters, x: Tensor, perturbed: Perturbation | None = None,
            step: float = 0.0) -> Trace:  # fmt: skip
    """Values of a pass; with ``perturbed``, ``step`` times its noise is added on the way."""
    passed: list[Passed] = []
    blocks: list[Tensor] = []
    start = x
    for number, layer in enumerate(net.layers):
        if number and layer.block != net.layers[number - 1].block:
            blocks.append(x)
            start = x
        norm_in = normalise(x, layer.norm_in) if layer.norm_in else None
        n = norm_in.value if norm_in else x
        z = LINEAR[layer.mix](n, parameters[f"{layer.name}.weight"], parameters[f"{layer.name}.bias"])
        if perturbed is not None and (noise := perturbed.weights(number, n)) is not None:
            z = z + step * noise
        norm_out = normalise(z, layer.norm_out) if layer.norm_out else None
        z = norm_out.value if norm_out else z
        if perturbed is not None and (noise := perturbed.units(number)) is not None:
            z = z + step * noise
        if layer.residual:
            z = z + start
        x = F.relu(z)
        passed.append(Passed(n, norm_in, norm_out, x))
    blocks.append(x)
    pooled = x.mean(-2) if net.tokens > 1 else x.squeeze(-2)
    head_norm = normalise(pooled, 1) if net.norm_head else None
    features = head_norm.value if head_norm else pooled
    outputs = F.linear(features, parameters["head.weight"], parameters["head.bias"])
    if perturbed is not None and (noise := perturbed.head(features)) is not None:
        outputs = outputs + step * noise
    return Trace(tuple(passed), tuple(blocks), head_norm, features, outputs)


def tangents(net: Net, parameters: Parameters, trace: Trace, along: Perturbation,
             greedy: bool = False) -> list[Tensor | None]:  # fmt: skip
    """How the output of every block moves along a perturbation; None where nothing has moved it.

    With ``greedy`` nothing passes from one block to the next: each block's output moves by its own noise alone.
    """
    found: list[Tensor | None] = []
    moved: Tensor | None = None
    start: Tensor | None = None
    for number, (layer, passed) in enumerate(zip(net.layers, trace.passed, strict=True)):
        if number and layer.block != net.layers[number - 1].block:
            found.append(moved)
            moved = start = None if greedy else moved
        noise = along.weights(number, passed.x)
        if moved is not None:
            moved = passed.norm_in.push(moved) if passed.norm_in else moved
            moved = LINEAR[layer.mix](moved, parameters[f"{layer.name}.weight"], into=noise)
        else:
            moved = noise
        if moved is not None and passed.norm_out:
            moved = passed.norm_out.push(moved)
        if (noise := along.units(number)) is not None:
            moved = noise if moved is None else moved.add_(noise)
        if layer.residual and start is not None:
            moved = start if moved is None else moved + start
        if moved is not None:
            moved = passed.gate(moved)
    found.append(moved)
    return found


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def layer_gradient(layer: Layer, passed: Passed, delta: Tensor) -> tuple[Parameters, Tensor]:
    """Gradients of a layer's weight and bias, and the loss's gradient at its linear map's output.

    ``delta`` (batch, tokens, units) is the loss's gradient at the place that is perturbed, after the second norm.
    """
    at_map = passed.norm_out.push(delta) if passed.norm_out else delta
    weight = OUTER[layer.mix](at_map, passed.x, torch.Size(layer.shape))
    bias = at_map.sum((0, 2)) if layer.mix == "tokens" else at_map.sum((0, 1))
    return {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}, at_map


def head_gradient(name: str, error: Tensor, features: Tensor) -> Parameters:
    """Exact gradients of a head from the loss's gradient in its outputs (batch, n) and its input (batch, channels)."""
    return {f"{name}.weight": error.T @ features, f"{name}.bias": error.sum(0)}


def at_last_block(net: Net, trace: Trace, delta: Tensor) -> Tensor:
    """The loss's gradient in the last block's output (batch, tokens, channels), given that in the head's input."""
    delta = trace.head_norm.push(delta) if trace.head_norm else delta
    return (delta / net.tokens).unsqueeze(-2).expand(-1, net.tokens, -1)


def local_head(net: Net, parameters: Parameters, trace: Trace, block: int) -> tuple[Tensor, Tensor, Normalised]:
    """Input and outputs of a block's own head, and the norm between the block's output and that input."""
    norm = normalise(trace.blocks[block], net.groups)
    features = norm.value.mean(-2)
    name = f"head{block}"
    return features, F.linear(features, parameters[f"{name}.weight"], parameters[f"{name}.bias"]), norm


def backward(net: Net, feedback: Parameters, trace: Trace, deltas: Sequence[Tensor | None],
             greedy: bool = False) -> Parameters:  # fmt: skip
    """Gradients of all layers by the chain rule, given the loss's gradient in the output of every block.

    ``feedback`` are the weights by which errors travel down: the parameters themselves for exact gradients, fixed
    random ones for feedback alignment. With ``greedy`` nothing travels from one block to the one below.
    """
    found: Parameters = {}
    delta = deltas[-1]
    around: Tensor | None = None  # what the residual path carries past the block
    for number in reversed(range(len(net.layers))):
        layer, passed = net.layers[number], trace.passed[number]
        if delta is None:
            raise ValueError("the last block has no error to begin with")
        delta = passed.gate(delta)
        if layer.residual:
            around = delta
        gradients, at_map = layer_gradient(layer, passed, delta)
        found |= gradients
        first_of_block = number == 0 or net.layers[number - 1].block != layer.block
        if number == 0:
            break
        if first_of_block and greedy:
            delta = deltas[layer.block - 1]
            continue
        delta = LINEAR[layer.mix](at_map, feedback[f"{layer.name}.weight"].mT)
        delta = passed.norm_in.push(delta) if passed.norm_in else delta
        if first_of_block:
            delta = _plus(_plus(delta, around), deltas[layer.block - 1])
            around = None
    return found
