"""Training in one process, and what is asked of the nets afterwards.

The leading underscore says that it is no experiment.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repro.codistill.delayed import with_delay
from repro.codistill.replayed import Learned, learn
from repro.codistill.settings import Settings
from repro.codistill.task import Task
from repro.distill.ensemble import arithmetic_mean
from repro.experiment import Context

CurvePoint = tuple[int, int, str, str, float]


def train(task: Task, run: Mapping[str, Any], seed: int, context: Context, delay_steps: int | None = None) -> Learned:
    """All groups of a run, each update computed as real processes compute it.

    `delay_steps`: how old teachers are when they are adopted; None: as `pickup: wait` has it.
    """
    settings = Settings.model_validate({"precision": "float32", **run, "seed": seed, "device": context.device})
    return learn(task, settings, None if delay_steps is None else with_delay(settings, delay_steps))


def net_of(task: Task, learned: Learned, group: int = 0) -> nn.Module:
    """A group's net at the end, on the processor, in eval mode."""
    net = task.model(0)
    state = {name: value.cpu() for name, value in learned.parameters[group].items()}
    unknown = net.load_state_dict(state, strict=False).unexpected_keys
    assert not unknown, unknown
    return net.eval()


@torch.no_grad()
def probabilities(net: nn.Module, x: Tensor, rows_at_once: int = 2000) -> Tensor:
    """Class probabilities (cases, ..., classes) of a net in eval mode."""
    return torch.cat([torch.softmax(net(part).float(), dim=-1) for part in x.split(rows_at_once)])


def curves(learned: Learned) -> list[CurvePoint]:
    """Evaluations of all groups; those of others than the first carry the group in the metric's name."""
    return [
        (point.epoch, point.step, point.split, point.metric + (f".group{group}" if group else ""), point.value)
        for group, points in enumerate(learned.curves)
        for point in points
    ]


def last(learned: Learned, split: str, metric: str, group: int = 0) -> float:
    """The last evaluation of a group."""
    return [p.value for p in learned.curves[group] if (p.split, p.metric) == (split, metric)][-1]


class MeanOf(nn.Module):
    """Log-probabilities of the arithmetic mean of several nets' predictions, (..., classes)."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        return arithmetic_mean(torch.stack([net(x).float() for net in self.nets]))
