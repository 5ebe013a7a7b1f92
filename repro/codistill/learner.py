"""One worker's arithmetic, the same for real runs and for replay: outputs, losses, gradients of one batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from repro.codistill.flat import FlatModel
from repro.codistill.objective import PSI, mean_prediction
from repro.codistill.rows import Rows
from repro.codistill.settings import Settings
from repro.codistill.task import Batch, Task
from repro.errors import UserError
from repro.training.device import device_named, precision_used
from repro.training.keys import generator_seed

Told = Callable[[int, Tensor], Tensor]
"""(part of the batch, own logits) to the mean prediction of the others."""


def be_deterministic() -> None:
    """Make GPUs repeat their results in this process; to be called before the first product on one."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS's products are refused
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


class Learner:
    """A model, its teachers, and the gradient of one worker's step.

    Raises:
        UserError: the device is not there, an option has no effect on it, or the model cannot be laid flat.
    """

    def __init__(self, task: Task, settings: Settings, device: torch.device | None = None) -> None:
        self.task, self.settings = task, settings
        self.device = device_named(settings.device) if device is None else device
        for option in ("channels_last", "compile", "deterministic"):
            if getattr(settings, option) and self.device.type != "cuda":
                raise UserError(f"{option}: is for GPUs and this runs on the {self.device.type}; leave it out")
        if settings.deterministic:
            be_deterministic()
        self.bf16 = precision_used(settings.precision, self.device) == "bf16"
        self.rows = Rows(settings, task.examples)
        self.psi = PSI[settings.distillation.loss]
        self.net = self._model(settings.seed)
        self.net.model.train()
        self.teachers: dict[int, FlatModel] = {}

    def _model(self, seed: int) -> FlatModel:
        model = FlatModel(self.task.model(seed), self.device, channels_last=self.settings.channels_last)
        if self.settings.compile:
            model.model.compile()
        return model

    def initial(self, group: int) -> Tensor:
        """Initial weights (size,) of a group, in plain order; other for every group, and keyed by the seed."""
        seed = generator_seed(self.settings.seed, "group", group)
        return FlatModel(self.task.model(seed), torch.device("cpu")).dense()

    def teacher(self, group: int) -> FlatModel:
        """The copy that holds a peer's weights; in eval mode unless predictions are exchanged as they are made."""
        if group not in self.teachers:
            self.teachers[group] = self._model(self.settings.seed)
            self.teachers[group].model.train(self.settings.exchanges_predictions)
        return self.teachers[group]

    def batch(self, worker: int, step: int) -> Batch:
        """What a worker learns from in one step."""
        return self.to_device(self.task.batch(self.rows(worker, step), self.rows.key(worker, step)))

    def to_device(self, batch: Batch) -> Batch:
        """The batch where training computes; images as channels-last kernels want them."""

        def move(t: Tensor) -> Tensor:
            layout = torch.channels_last if self.settings.channels_last and t.dim() == 4 else torch.preserve_format
            return t.to(self.device, non_blocking=True, memory_format=layout)

        return tree_map(move, batch)

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch in `accumulation` equal parts."""
        n = self.settings.accumulation
        if n == 1:
            return [batch]
        size = self.settings.batch_size // n
        return [tree_map(lambda t, i=i: t[i * size : (i + 1) * size], batch) for i in range(n)]

    def _outputs(self, net: FlatModel, part: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.task.forward(net.model, part).float()

    def _training_outputs(self, net: FlatModel, part: Batch, key: int, number: int) -> Tensor:
        """Outputs in train mode; dropout's draws depend on the step's key alone."""
        seed = generator_seed(key, number)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        return self._outputs(net, part)

    @torch.no_grad()
    def told(self, teachers: Sequence[FlatModel], batch: Batch) -> list[Tensor]:
        """For each part of a batch the mean prediction of teachers that were read from snapshots."""
        return [
            mean_prediction([self.psi.predictions(self._outputs(teacher, part)) for teacher in teachers])
            for part in self.parts(batch)
        ]

    def predictions(self, net: FlatModel, batch: Batch, key: int) -> list[Tensor]:
        """For each part what a net would hand on in an exchange, computed as that net computes it itself."""
        return [
            self.psi.predictions(self._training_outputs(net, part, key, i)).detach()
            for i, part in enumerate(self.parts(batch))
        ]

    def gradient(self, batch: Batch, key: int, told: Told | None, last_part: Callable[[], Any] | None = None) -> None:
        """Fill the net's gradient row, its end with the mean label loss. `last_part`: called before the last backward
        pass, after which gradients may leave."""
        net = self.net
        net.gradient.zero_()
        parts = self.parts(batch)
        share = 1.0 / len(parts)
        total = torch.zeros((), device=self.device)
        for i, part in enumerate(parts):
            logits = self._training_outputs(net, part, key, i)
            label_loss = self.task.loss(logits, part)
            loss = label_loss
            if told is not None:
                loss = loss + self.settings.distillation.weight * self.psi.loss(logits, told(i, logits))
            if last_part is not None and i == len(parts) - 1:
                last_part()
            (loss * share if share != 1.0 else loss).backward()
            total += label_loss.detach() * share
        net.collect()
        net.gradient[-1] = total
