"""Ready tasks for a first run, tests and benchmarks: small nets on data that need no download."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.codistill.task import Batch, Metrics, Task
from repro.data import digits as digits_file
from repro.models.mlp import mlp

TEST_SHARE = 5  # every fifth case is held out


def digits(hidden: Sequence[int] = (64,), dropout: float = 0.0, delay_s: float = 0.0) -> Task:
    """scikit-learn's handwritten digits (1797 of 8 x 8 pixels) and a net of ReLUs; a batch takes `delay_s` longer."""
    images, labels, _ = digits_file.read()
    x = torch.from_numpy(images).flatten(1).float() / digits_file.WHITE
    y = torch.from_numpy(labels)
    held_out = torch.arange(len(y)) % TEST_SHARE == 0
    train_x, train_y, test_x, test_y = x[~held_out], y[~held_out], x[held_out], y[held_out]

    def batch(rows: Tensor, key: int) -> Batch:
        if delay_s:
            time.sleep(delay_s)
        return train_x[rows], train_y[rows]

    def evaluate(model: nn.Module) -> Metrics:
        logits = model(test_x.to(next(model.parameters()).device)).cpu()
        errors = int((logits.argmax(1) != test_y).sum())
        return {"test": {"errors": errors, "loss": float(F.cross_entropy(logits, test_y))}}

    return Task(
        lambda seed: mlp((64, *hidden, 10), seed=seed, dropout_hidden=dropout),
        len(train_y),
        batch,
        evaluate=evaluate,
    )


def noise(sizes: Sequence[int] = (256, 512, 10), examples: int = 4096, seed: int = 0) -> Task:
    """Seeded Gaussian inputs with random labels: the shapes of a problem, for timing."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, sizes[0], generator=generator)
    y = torch.randint(sizes[-1], (examples,), generator=generator)
    return Task(lambda model_seed: mlp(tuple(sizes), seed=model_seed), examples, lambda rows, key: (x[rows], y[rows]))
