"""ResNet with bottlenecks for large pictures (He et al. 2016), as Goyal et al. 2017 train it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from repro.training.keys import generator_seed

RESNET50 = (3, 4, 6, 3)
EXPANSION = 4


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride), 1x1; the last batch norm's gain begins at zero (Goyal et al., 5.1)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.path = nn.Sequential(
            _conv(inputs, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            _conv(width, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            _conv(width, outputs, 1), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        nn.init.zeros_(self.path[-1].weight)  # type: ignore[arg-type]
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


def resnet(classes: int, *, seed: int, blocks: Sequence[int] = RESNET50, width: int = 64) -> nn.Sequential:
    """Logits (batch, classes) of pictures (batch, 3, height, width); stages of ``blocks`` bottlenecks each.

    The width doubles from stage to stage. He initialisation over fan-out, the last layer N(0, 0.01) with no bias at
    first (Goyal et al. 2017, section 5.1), all keyed by ``seed`` alone. ResNet-50 has 25,557,032 parameters.

    Raises:
        ValueError: no stage, or a size below one.
    """
    if not blocks or min(classes, width, *blocks) < 1:
        raise ValueError(f"classes {classes}, blocks {tuple(blocks)}, width {width}: all must be 1 or more")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        layers: list[nn.Module] = [
            _conv(3, width, 7, 2), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        ]  # fmt: skip
        inputs = width
        for stage, count in enumerate(blocks):
            own = width * 2**stage
            for number in range(count):
                layers.append(Bottleneck(inputs, own, 2 if stage and not number else 1))
                inputs = EXPANSION * own
        head = nn.Linear(inputs, classes)
        net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
    return net
