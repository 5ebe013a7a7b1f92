"""Estimates of the gradient, all of one interface: ``estimator(net, parameters, batch, counter)``.

Each returns an ``Estimate``: a gradient by parameter name (no entry where nothing is to be learned) of the mean loss
over the batch, and the losses themselves. What they do besides:

``Backprop``
    the exact gradient, by the chain rule: the reference.
``WeightPerturbation``
    a direction V over all weights, the loss's derivative along it, times V. With one direction and the exact tangent
    this is the forward gradient of Baydin et al. 2022 (FG-W in Ren et al. 2022).
``ActivityPerturbation``
    the same with a direction over all units (node perturbation, FG-A): the derivative times a unit's noise estimates
    the unit's error, the rest of the gradient is local to its layer. One layer at a time on request.
``FeedbackAlignment``, ``DirectFeedbackAlignment``
    errors travel down by fixed random weights (Lillicrap et al. 2016), or straight to each layer (Nøkland 2016).
``FrozenFeatures``
    only the heads learn: the control that anything that claims to train hidden layers must beat.

Derivatives along a direction are exact tangents, or finite differences: ``one_sided`` measures the loss with the noise
added, ``central`` at the antithetic pair V and -V, which cancels the loss's even part. Noise is Gaussian, signs, or
signs of rank one (V = u v^T of sign vectors, which have the same second moments and make many directions cheap). A
``shared`` draw is one for the whole batch, else every case has its own. Heads get their exact gradient, unless
``exact_head`` is off: then the final head is perturbed like everything else.

With ``local`` losses (Ren et al. 2022, section 4) every block has a head of its own and nothing travels from block to
block; the block's loss is replicated for every patch and every group of channels, all of the same value, each
differentiated through its own patch and group only. A unit answers to the replicas it can reach within its block. A
weight answers to those its unit answers to; that the norm behind a full layer lets it move other groups too is left
out, as in the authors' program.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError
from repro.perturb import losses
from repro.perturb.contrastive import contrast
from repro.perturb.losses import Loss, cross_entropy
from repro.perturb.nets import (
    Layer,
    Net,
    Parameters,
    Perturbation,
    Trace,
    at_last_block,
    backward,
    forward,
    head_gradient,
    layer_gradient,
    local_head,
    tangents,
)
from repro.perturb.noise import DRAWS, Counter, check_kind
from repro.perturb.ops import LINEAR

Kind = Literal["gaussian", "signs", "rank_one_signs"]
Derivative = Literal["tangent", "one_sided", "central"]


@dataclass(frozen=True)
class Batch:
    """Inputs ``x`` (cases, tokens, features), the ``targets`` that ``loss`` compares outputs with."""

    x: Tensor
    targets: Tensor
    loss: Loss = cross_entropy

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Estimate:
    """``gradient`` of the batch's mean loss by parameter; each case's loss and outputs in the unperturbed net."""

    gradient: Parameters
    losses: Tensor
    outputs: Tensor


class Estimator(Protocol):
    """What all of this module's estimators are."""

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        """An estimate of the gradient of the batch's mean loss; draws are keyed by the counter.

        Raises:
            UserError: the loss is not one finite number a case.
        """


@dataclass(frozen=True)
class Errors:
    """What is known above the layers: exact gradients of the heads, and the loss's gradient in every block's output."""

    heads: Parameters
    blocks: tuple[Tensor | None, ...]
    outputs: Tensor  # the gradient of every case's loss in the outputs, over the batch's size
    losses: Tensor


class LocalLosses(Protocol):
    """Losses of blocks: whether they are replicated by patch and by group, and what they give to learn from."""

    @property
    def patches(self) -> bool: ...
    @property
    def groups(self) -> bool: ...

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """Gradients in the blocks' outputs, each block's of its own loss."""


@dataclass(frozen=True)
class Local:
    """Supervised losses of every block's own head, replicated by patch, by group, or both."""

    patches: bool = True
    groups: bool = True

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """All heads learn exactly, the final one from features that it does not shape.

        Raises:
            UserError: the net has no heads at its blocks.
        """
        if not net.local_heads:
            raise UserError("local losses need a head at every block: this net has only the final one")
        final = errors(net, parameters, trace, batch)
        heads, blocks = dict(final.heads), []
        for block in range(net.blocks):
            features, outputs, norm = local_head(net, parameters, trace, block)
            error = losses.checked(batch.loss, outputs, batch.targets)[1] / len(batch)
            heads |= head_gradient(f"head{block}", error, features)
            delta = (error @ parameters[f"head{block}.weight"]) / net.tokens
            blocks.append(norm.push(delta.unsqueeze(-2).expand(-1, net.tokens, -1)))
        return replace(final, heads=heads, blocks=tuple(blocks))


@dataclass(frozen=True)
class Contrastive:
    """At every block a loss for each patch, without labels (``repro.perturb.contrastive``); heads do not learn."""

    temperature: float = 0.2
    patches: bool = True
    groups: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserError(f"the temperature must be above zero, not {self.temperature:g}")
        if self.groups:
            raise UserError("contrastive losses belong to whole patches: groups must stay off")

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """Losses are means over blocks and patches."""
        found = [contrast(block, self.temperature) for block in trace.blocks]
        each = torch.stack([values for values, _ in found]).mean(0)
        return Errors({}, tuple(gradient for _, gradient in found), torch.zeros_like(trace.outputs), each)


def errors(
    net: Net,
    parameters: Parameters,
    trace: Trace,
    batch: Batch,
    local: LocalLosses | None = None,
    feedback: Parameters | None = None,
) -> Errors:
    """What is to be learned from: ``local`` losses, or the final head's, through ``feedback`` weights where given."""
    if local is not None:
        return local.errors(net, parameters, trace, batch)
    values, gradient = losses.checked(batch.loss, trace.outputs, batch.targets)
    gradient = gradient / len(values)
    weights = parameters if feedback is None else feedback
    last = at_last_block(net, trace, gradient @ weights["head.weight"])
    blocks = (*[None] * (net.blocks - 1), last)
    return Errors(head_gradient("head", gradient, trace.features), blocks, gradient, values)


@dataclass(frozen=True)
class Backprop:
    """The exact gradient; with ``local`` losses that of the blocks' own, greedily (replicas add up to it)."""

    local: LocalLosses | None = None

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        trace = forward(net, parameters, batch.x)
        found = errors(net, parameters, trace, batch, self.local)
        layers = backward(net, parameters, trace, found.blocks, greedy=self.local is not None)
        return Estimate(found.heads | layers, found.losses, trace.outputs)


@dataclass(frozen=True)
class FeedbackAlignment:
    """Backprop with fixed random weights, distributed as the initial ones, in place of the transposed ones.

    The heads' errors travel down by random weights too.
    """

    feedback: Mapping[str, Tensor]

    @classmethod
    def of(cls, net: Net, seed: int, dtype: torch.dtype = torch.float32) -> "FeedbackAlignment":
        """Feedback weights of s.d. 1 / sqrt(fan-in), keyed by the seed."""
        counter = Counter(seed)
        found = {}
        for stream, (name, shape) in enumerate(net.shapes().items()):
            if name.endswith("weight"):
                scale = shape[-1] ** -0.5
                found[name] = (counter.gaussian(stream, 0, shape) * scale).to(dtype)
        return cls(found)

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        trace = forward(net, parameters, batch.x)
        feedback = {name: value.to(batch.x) for name, value in self.feedback.items()}
        found = errors(net, parameters, trace, batch, None, feedback)
        return Estimate(found.heads | backward(net, feedback, trace, found.blocks), found.losses, trace.outputs)


@dataclass(frozen=True)
class DirectFeedbackAlignment:
    """Every layer's error is a fixed random image of the outputs' error, the same for all tokens."""

    feedback: tuple[Tensor, ...]  # per layer (outputs, channels)

    @classmethod
    def of(cls, net: Net, seed: int, dtype: torch.dtype = torch.float32) -> "DirectFeedbackAlignment":
        """Feedback weights of s.d. 1 / sqrt(channels), keyed by the seed."""
        counter = Counter(seed)
        widths = [net.channels_after(number) for number in range(len(net.layers))]
        return cls(
            tuple(
                (counter.gaussian(stream, 0, (net.classes, width)) * width**-0.5).to(dtype)
                for stream, width in enumerate(widths)
            )
        )

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        trace = forward(net, parameters, batch.x)
        found = errors(net, parameters, trace, batch)
        gradient = dict(found.heads)
        for layer, passed, feedback in zip(net.layers, trace.passed, self.feedback, strict=True):
            delta = (found.outputs @ feedback.to(found.outputs)).unsqueeze(-2) / net.tokens * passed.active
            gradient |= layer_gradient(layer, passed, delta)[0]
        return Estimate(gradient, found.losses, trace.outputs)


@dataclass(frozen=True)
class FrozenFeatures:
    """Exact gradients of the final head, none of anything below it."""

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        trace = forward(net, parameters, batch.x)
        found = errors(net, parameters, trace, batch)
        return Estimate(found.heads, found.losses, trace.outputs)


@dataclass(frozen=True)
class _Perturbing:
    """What weight and activity perturbation share: the settings of directions and derivatives, and their checks."""

    directions: int = 1
    noise: Kind = "signs"
    shared: bool = False
    derivative: Derivative = "tangent"
    step: float = 0.0  # s.d. of the noise of finite differences
    exact_head: bool = True
    local: LocalLosses | None = None

    def __post_init__(self) -> None:
        check_kind(self.noise)
        if self.directions < 1:
            raise UserError(f"directions must be at least 1, not {self.directions}")
        if self.derivative not in ("tangent", "one_sided", "central"):
            raise UserError(f"derivative {self.derivative!r} is unknown: choose tangent, one_sided or central")
        if self.derivative == "tangent":
            if self.step:
                raise UserError("a tangent is exact and has no step: leave step out, or choose a finite difference")
        elif not (self.step > 0 and math.isfinite(self.step)):
            raise UserError(f"the noise of a finite difference must be above zero, not {self.step:g}")
        elif self.local is not None:
            raise UserError("finite differences cannot tell replicated losses apart: use the tangent with local losses")
        if self.local is not None and not self.exact_head:
            raise UserError("local losses leave heads their exact gradient: exact_head must stay on")

    def _check_resolution(self, dtype: torch.dtype) -> None:
        resolution = torch.finfo(dtype).eps ** 0.5
        if self.derivative != "tangent" and self.step < resolution:
            raise UserError(
                f"noise {self.step:g} is under the resolution of finite differences in {str(dtype)[6:]}: below "
                f"{resolution:.1g} the change in the loss is rounding; use a larger step, float64 or the tangent"
            )

    def _derivatives(
        self, net: Net, parameters: Parameters, batch: Batch, trace: Trace, found: Errors, along: Perturbation
    ) -> list[Tensor | None]:
        """Per block, the derivatives of its replicated losses over the batch's size.

        Shape (directions, batch, patches or 1, groups or 1); the last block's speak for all blocks where the loss is
        not local.
        """
        if self.derivative != "tangent":
            far = losses.checked(
                batch.loss, forward(net, parameters, batch.x, along, self.step).outputs, batch.targets
            )[0]
            if self.derivative == "central":
                near, distance = forward(net, parameters, batch.x, along, -self.step).outputs, 2 * self.step
                base = losses.checked(batch.loss, near, batch.targets)[0]
            else:
                base, distance = found.losses, self.step
            slope = (far - base) / (distance * len(found.losses))
            return [*[None] * (net.blocks - 1), slope.view(self.directions, -1, 1, 1)]
        moved = tangents(net, parameters, trace, along, greedy=self.local is not None)
        slopes: list[Tensor | None] = []
        for tangent, delta in zip(moved, found.blocks, strict=True):
            if delta is None:
                slopes.append(None)
                continue
            if tangent is None:
                tangent = torch.zeros_like(delta).unsqueeze(0)
            change = (tangent * delta).unflatten(-1, (net.groups, -1)).sum(-1)
            if self.local is None or not self.local.groups:
                change = change.sum(-1, keepdim=True)
            if self.local is None or not self.local.patches:
                change = change.sum(-2, keepdim=True)
            slopes.append(change)
        if self.local is None and (noise := along.head(trace.features)) is not None and slopes[-1] is not None:
            slopes[-1] = slopes[-1] + (noise * found.outputs).sum(-1)[..., None, None]
        return slopes

    def _for_units(self, net: Net, number: int, slopes: list[Tensor | None]) -> Tensor:
        """The derivative that each unit of a layer answers to, (directions, batch, tokens or 1, channels or 1)."""
        layer = net.layers[number]
        slope = slopes[-1] if self.local is None else slopes[layer.block]
        assert slope is not None
        if slope.shape[-1] == 1:
            return slope
        if layer.mix == "tokens":  # it comes before the channels are mixed: all groups of its patch
            return slope.sum(-1, keepdim=True)
        return slope.repeat_interleave(layer.units // net.groups, -1)


@dataclass(frozen=True)
class WeightPerturbation(_Perturbing):
    """Directions over all weights and biases, ``shared`` by default: a direction of its own for every case takes a pass
    of its own for every case, unless the noise is of rank one."""

    shared: bool = True

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        self._check_resolution(batch.x.dtype)
        trace = forward(net, parameters, batch.x)
        found = errors(net, parameters, trace, batch, self.local)
        along = WeightNoise(
            net, counter, self.noise, self.directions, len(batch), self.shared, not self.exact_head, batch.x
        )
        slopes = self._derivatives(net, parameters, batch, trace, found, along)
        gradient = dict(found.heads)
        for number in range(len(net.layers)):
            gradient |= along.gather(number, self._for_units(net, number, slopes) / self.directions)
        if not self.exact_head and slopes[-1] is not None:
            gradient |= along.gather(len(net.layers), slopes[-1] / self.directions)
        return Estimate(gradient, found.losses, trace.outputs)


@dataclass(frozen=True)
class ActivityPerturbation(_Perturbing):
    """Directions over all units after their norm and before ReLU; with ``one_by_one`` layer after layer, each layer's
    noise alone in the net: less noise for as many more passes. Every case has a draw of its own unless ``shared``."""

    one_by_one: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise == "rank_one_signs":
            raise UserError("rank-one noise is for weights: units have no rows and columns; choose signs or gaussian")

    def __call__(self, net: Net, parameters: Parameters, batch: Batch, counter: Counter) -> Estimate:
        self._check_resolution(batch.x.dtype)
        trace = forward(net, parameters, batch.x)
        found = errors(net, parameters, trace, batch, self.local)
        gradient = dict(found.heads)
        last = len(net.layers) + (not self.exact_head)
        passes = [(n,) for n in range(last)] if self.one_by_one else [tuple(range(last))]
        for numbers in passes:
            along = UnitNoise(net, counter, self.noise, self.directions, len(batch), self.shared, numbers, batch.x)
            slopes = self._derivatives(net, parameters, batch, trace, found, along)
            for number in numbers:
                if number == len(net.layers):
                    noise, slope = along.head(trace.features), slopes[-1]
                    assert noise is not None
                    assert slope is not None
                    gradient |= head_gradient("head", _mean(noise * slope.squeeze(-1)), trace.features)
                    continue
                noise = along.units(number)
                assert noise is not None
                delta = _mean(noise * self._for_units(net, number, slopes))
                gradient |= layer_gradient(net.layers[number], trace.passed[number], delta)[0]
        return Estimate(gradient, found.losses, trace.outputs)


# Streams of noise: four a layer, in this order; the final head counts as a layer.
_WEIGHT, _COLUMN, _BIAS, _UNIT = range(4)


@dataclass(frozen=True)
class UnitNoise:
    """Noise on the units of the layers ``numbers``: (directions, batch or 1, tokens, channels)."""

    net: Net
    counter: Counter
    kind: Kind
    directions: int
    batch: int
    shared: bool
    numbers: tuple[int, ...]
    like: Tensor
    _kept: dict[int, Tensor] = field(init=False, default_factory=dict)

    def weights(self, number: int, x: Tensor) -> Tensor | None:
        """None: weights stay as they are."""
        return None

    def units(self, number: int) -> Tensor | None:
        """The same at every call."""
        if number not in self.numbers:
            return None
        return self._draw(number, (self.net.tokens, self.net.channels_after(number)))

    def head(self, x: Tensor) -> Tensor | None:
        """Of the outputs, (directions, batch or 1, classes)."""
        number = len(self.net.layers)
        return self._draw(number, (self.net.classes,)) if number in self.numbers else None

    def _draw(self, number: int, shape: tuple[int, ...]) -> Tensor:
        if number not in self._kept:  # as large as the activations, which are kept as well
            shape = (self.directions, 1 if self.shared else self.batch, *shape)
            self._kept[number] = DRAWS[self.kind](self.counter, 4 * number + _UNIT, 0, shape).to(self.like)
        return self._kept[number]


@dataclass(frozen=True)
class WeightNoise:
    """Noise on the weights and biases of all layers, and of the final head if ``with_head``."""

    net: Net
    counter: Counter
    kind: Kind
    directions: int
    batch: int
    shared: bool
    with_head: bool
    like: Tensor
    _head: Layer = field(init=False)
    _kept: dict[int, Tensor] = field(init=False, default_factory=dict)  # a single direction, which becomes the gradient

    def __post_init__(self) -> None:
        object.__setattr__(self, "_head", Layer("head", "channels", self.net.channels, self.net.classes))

    def weights(self, number: int, x: Tensor) -> Tensor | None:
        """V x + v of layer ``number``: (directions, batch, tokens, units); x may have an axis of directions."""
        layer = self._layer(number)
        bias = self._draw(number, _BIAS, (layer.units,))
        bias = bias.unsqueeze(-1) if layer.mix == "tokens" else bias.unsqueeze(-2)
        if self.kind == "rank_one_signs":
            rows, columns = self._factors(number, layer)
            return RANK_ONE[layer.mix](layer, rows, columns, x, bias)
        x = x if x.dim() == 4 else x.expand(self.directions, *x.shape)
        moved = [self._map(number, layer, direction, x[direction]) for direction in range(self.directions)]
        return _stack(moved).add_(bias)

    def units(self, number: int) -> Tensor | None:
        """None: units get no noise of their own."""
        return None

    def head(self, x: Tensor) -> Tensor | None:
        """The head's part, (directions, batch, classes)."""
        if not self.with_head:
            return None
        moved = self.weights(len(self.net.layers), x.unsqueeze(-2))
        assert moved is not None
        return moved.squeeze(-2)

    def gather(self, number: int, slope: Tensor) -> Parameters:
        """The sum over directions and cases of derivatives times noise, for a layer's weight and bias.

        ``slope`` is (directions, batch, tokens or 1, channels or 1), one number for each row of the weight.
        """
        layer = self._layer(number)
        kept = slope.sum(3) if layer.mix == "tokens" else slope.sum(2)  # (directions, batch, rows or 1)
        kept = kept.sum(1, keepdim=True) if self.shared else kept
        bias = (kept * self._draw(number, _BIAS, (layer.units,))).sum((0, 1))
        if self.kind == "rank_one_signs":
            rows, columns = self._factors(number, layer)
            left = (kept * rows).flatten(0, 1).unflatten(-1, (layer.groups, -1))
            right = columns.expand(*kept.shape[:2], -1).flatten(0, 1).unflatten(-1, (layer.groups, -1))
            weight = left.permute(1, 2, 0) @ right.transpose(0, 1) if layer.groups > 1 else left[:, 0].T @ right[:, 0]
            return {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
        total: Tensor | None = None
        for direction, case in itertools.product(range(self.directions), range(self._cases())):
            factor = kept[direction, case]
            if len(factor) > 1:
                factor = factor.view(*layer.shape[:-1], 1)
            part = self._matrix(number, layer, direction, case).mul_(factor)
            total = part if total is None else total.add_(part)
        assert total is not None
        return {f"{layer.name}.weight": total, f"{layer.name}.bias": bias}

    def _layer(self, number: int) -> Layer:
        return self._head if number == len(self.net.layers) else self.net.layers[number]

    def _cases(self) -> int:
        return 1 if self.shared else self.batch

    def _draw(self, number: int, use: int, shape: tuple[int, ...]) -> Tensor:
        shape = (self.directions, self._cases(), *shape)
        return DRAWS[self.kind](self.counter, 4 * number + use, 0, shape).to(self.like)

    def _factors(self, number: int, layer: Layer) -> tuple[Tensor, Tensor]:
        """u (directions, cases or 1, units) and v (directions, cases or 1, inputs)."""
        return self._draw(number, _WEIGHT, (layer.units,)), self._draw(number, _COLUMN, (layer.inputs,))

    def _matrix(self, number: int, layer: Layer, direction: int, case: int) -> Tensor:
        """The weight's noise for one direction and, unless it is shared, one case: the only one held at a time.

        Where there is but one it is drawn for the tangent, kept, and turned into the gradient in place.
        """
        if number in self._kept:
            return self._kept[number]
        which = direction * self._cases() + case
        noise = DRAWS[self.kind](self.counter, 4 * number + _WEIGHT, which, layer.shape).to(self.like)
        if self.shared and self.directions == 1:
            self._kept[number] = noise
        return noise

    def _map(self, number: int, layer: Layer, direction: int, x: Tensor) -> Tensor:
        if self.shared:
            return LINEAR[layer.mix](x, self._matrix(number, layer, direction, 0))
        cases = range(self.batch)
        return torch.cat([LINEAR[layer.mix](x[n : n + 1], self._matrix(number, layer, direction, n)) for n in cases])


def _rank_one_channels(layer: Layer, rows: Tensor, columns: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    if layer.groups == 1 and x.dim() == 3 and columns.shape[1] == 1:
        along = F.linear(x, columns[:, 0]).movedim(-1, 0).contiguous().unsqueeze(-1)  # one product for all directions
        return torch.addcmul(bias, along, rows.unsqueeze(-2))
    along = (x * columns.unsqueeze(-2)).unflatten(-1, (layer.groups, -1)).sum(-1, keepdim=True)
    moved: Tensor = (along * rows.unsqueeze(-2).unflatten(-1, (layer.groups, -1))).flatten(-2)
    return moved.add_(bias)


def _rank_one_tokens(layer: Layer, rows: Tensor, columns: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    return torch.addcmul(bias, columns.unsqueeze(-2) @ x, rows.unsqueeze(-1))


RANK_ONE = {"channels": _rank_one_channels, "groups": _rank_one_channels, "tokens": _rank_one_tokens}


def _mean(noise: Tensor) -> Tensor:
    """Over directions."""
    return noise.mean(0) if len(noise) > 1 else noise.squeeze(0)


def _stack(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts) if len(parts) > 1 else parts[0].unsqueeze(0)
