"""What learning by estimates is told; importable without torch."""

from typing import Literal

from pydantic import Field

from repro.settings import Options


class Learning(Options):
    """Momentum SGD on estimates of the gradient; rates are per step, ``warmup_fraction`` is of all steps.

    ``momentum`` of 0.9 makes a constant rate's steps ten times as long.
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(128, gt=0)
    learning_rate: float = Field(gt=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    momentum: float = Field(0.9, ge=0, lt=1)
    evaluate_every_epochs: int | None = Field(None, gt=0, description="None: after the last one only")
