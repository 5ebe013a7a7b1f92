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
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from repro.errors import UserError
from repro.perturb import losses
from repro.perturb.directions import Kind, UnitNoise, WeightNoise
from repro.perturb.nets import (
    Net,
    Parameters,
    Perturbation,
    Trace,
    backward,
    forward,
    head_gradient,
    layer_gradient,
    tangents,
)
from repro.perturb.noise import Counter, check_kind
from repro.perturb.signals import Batch, Errors, LocalLosses, errors

Derivative = Literal["tangent", "one_sided", "central"]


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
    """Backprop with fixed random weights in place of the transposed ones.

    The heads' errors travel down by random weights too. ``of`` draws them with s.d. 1 / sqrt(fan-in), whatever the
    net's own weights start as: sqrt(2) times that in a feed-forward net's hidden layers; twice that but at most
    0.1, and zero in the heads, in a LocalMixer.
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
            delta = (found.outputs @ feedback.to(found.outputs)).unsqueeze(-2) / net.tokens
            gradient |= layer_gradient(layer, passed, passed.gate(delta))[0]
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


def _mean(noise: Tensor) -> Tensor:
    """Over directions."""
    return noise.mean(0) if len(noise) > 1 else noise.squeeze(0)
