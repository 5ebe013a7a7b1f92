"""ShuffleNet (Zhang, Zhou, Lin, Sun 2017, 1707.01083, section 3): pointwise convolutions in groups, and a shuffle of
the channels between them so that the groups hear of each other.

A unit is a bottleneck of a grouped 1x1 convolution, a 3x3 convolution on each channel by itself and another grouped 1x1
convolution. With stride 1 its input is added; with stride 2 its input, averaged over 3x3, is put beside its output. The
first 1x1 convolution of the net's first unit is not grouped, for its input has few channels (section 3.3).
``Architecture.units`` lists all units; the net is built from that list and the counts are sums over it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from repro.models.counting import Counts
from repro.training.keys import generator_seed

STAGE_2_OUTPUTS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # by groups at width 1 (Table 1); stages 3 and 4 double them
BOTTLENECK = 4  # a unit's output channels over those of its 3x3 convolution

Order = Literal["shuffle", "none", "random"]


@dataclass(frozen=True)
class UnitPlan:
    """Channels of one unit; ``outputs`` are those that its last convolution makes, the averaged input not counted."""

    inputs: int
    bottleneck: int
    outputs: int
    stride: int
    groups_in: int
    groups_out: int


@dataclass(frozen=True)
class Architecture:
    """``outputs[k]`` channels after ``repeats[k]`` units of stage k, whose first unit has stride 2.

    ``stem_stride`` is that of the first 3x3 convolution; ``pool`` follows it with max pooling of stride 2.

    Raises:
        ValueError: channels that do not divide into the groups, or stages without units.
    """

    groups: int
    stem: int
    outputs: tuple[int, ...]
    repeats: tuple[int, ...] = (4, 8, 4)
    stem_stride: int = 2
    pool: bool = True

    def __post_init__(self) -> None:
        if len(self.outputs) != len(self.repeats) or not self.outputs or min(*self.repeats, self.groups, self.stem) < 1:
            raise ValueError(f"stages need outputs and repeats alike, all positive: {self.outputs}, {self.repeats}")
        for unit in self.units():
            if unit.outputs < 1 or unit.outputs % self.groups or unit.inputs % unit.groups_in:
                raise ValueError(
                    f"{unit.inputs} to {unit.outputs} channels do not divide into {self.groups} groups "
                    f"(stem {self.stem}, outputs {self.outputs})"
                )

    def units(self) -> Iterator[UnitPlan]:
        """All units in their order. A bottleneck that does not divide into the groups is widened until it does."""
        inputs = self.stem
        for stage, (outputs, repeats) in enumerate(zip(self.outputs, self.repeats, strict=True)):
            bottleneck = -(-outputs // BOTTLENECK // self.groups) * self.groups
            for number in range(repeats):
                first = number == 0
                yield UnitPlan(
                    inputs,
                    bottleneck,
                    outputs - inputs if first else outputs,
                    2 if first else 1,
                    1 if first and stage == 0 else self.groups,
                    self.groups,
                )
                inputs = outputs


def published(groups: int, width: float) -> Architecture:
    """The paper's net for images of 224x224: Table 1, its channels multiplied by ``width``.

    The paper does not print the first convolution's channels at other widths than 1. These are the ones that give its
    complexities: 12 below width 1 (16 where 12 leaves a remainder in the groups), 24 up to 1.5 and 48 at 2.

    Raises:
        ValueError: a number of groups that Table 1 does not have.
    """
    if groups not in STAGE_2_OUTPUTS:
        raise ValueError(f"groups must be one of {', '.join(map(str, STAGE_2_OUTPUTS))}, not {groups}")
    outputs = round(STAGE_2_OUTPUTS[groups] * width)
    stem = 12 if width < 1 else 24 if width < 2 else 48
    if (outputs - stem) % groups:
        stem = 16
    return Architecture(groups, stem, (outputs, 2 * outputs, 4 * outputs))


def counts(net: Architecture, size: int, classes: int, channels: int = 3) -> Counts:
    """Counts on images of ``size`` x ``size`` pixels, from the list of units alone."""
    side = -(-size // net.stem_stride)
    stem = 9 * channels * net.stem
    multiply_adds, parameters = stem * side**2, stem + 2 * net.stem
    side = -(-side // 2) if net.pool else side
    for unit in net.units():
        inner = -(-side // unit.stride)
        into = unit.inputs * unit.bottleneck // unit.groups_in
        within = 9 * unit.bottleneck
        out_of = unit.bottleneck * unit.outputs // unit.groups_out
        multiply_adds += into * side**2 + (within + out_of) * inner**2
        parameters += into + within + out_of + 2 * (2 * unit.bottleneck + unit.outputs)
        side = inner
    head = net.outputs[-1] * classes
    return Counts(multiply_adds, head, parameters + head)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel i of group j becomes channel j of block i: (batch, channels, height, width), same shape (section 3.1)."""
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


class Unit(nn.Module):
    """Figure 2 (b) and (c). ``order`` says what stands between the grouped convolutions: the shuffle, nothing, or a
    fixed permutation of the channels drawn at random."""

    order: Tensor

    def __init__(self, plan: UnitPlan, order: Order = "shuffle") -> None:
        super().__init__()
        self.stride = plan.stride
        width = plan.bottleneck
        self.into = nn.Sequential(
            nn.Conv2d(plan.inputs, width, 1, groups=plan.groups_in, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.out_of = nn.Sequential(
            nn.Conv2d(width, width, 3, plan.stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, plan.outputs, 1, groups=plan.groups_out, bias=False),
            nn.BatchNorm2d(plan.outputs),
        )
        self.shuffled_groups = plan.groups_out if order == "shuffle" else 1
        self.register_buffer("order", torch.randperm(width) if order == "random" else torch.empty(0, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.into(x)
        if self.shuffled_groups > 1:
            inner = channel_shuffle(inner, self.shuffled_groups)
        elif len(self.order):
            inner = inner[:, self.order]
        out: Tensor = self.out_of(inner)
        if self.stride == 1:
            return torch.relu(x + out)
        return torch.relu(torch.cat((nn.functional.avg_pool2d(x, 3, 2, 1), out), 1))


def shufflenet(
    net: Architecture, classes: int, *, seed: int, channels: int = 3, order: Order = "shuffle"
) -> nn.Sequential:
    """The net: images (batch, channels, height, width) to logits (batch, classes), the last layer without biases.

    Weights are drawn as PyTorch draws them, keyed by ``seed`` alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        layers: list[nn.Module] = [
            nn.Conv2d(channels, net.stem, 3, net.stem_stride, 1, bias=False),
            nn.BatchNorm2d(net.stem),
            nn.ReLU(inplace=True),
        ]
        if net.pool:
            layers.append(nn.MaxPool2d(3, 2, 1))
        layers += [Unit(plan, order) for plan in net.units()]
        head = nn.Linear(net.outputs[-1], classes, bias=False)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
