"""What a training run is told; importable without torch, so configurations and workflows can read it."""

from typing import Literal

from pydantic import AfterValidator, Field, model_validator

from repro.settings import Options


class Training(Options):
    """Optimisation and regularisation of one supervised run.

    Learning rate and momentum are per step; rates of dropout are probabilities of dropping;
    ``max_norm_squared`` bounds the squared norm of each unit's incoming weights (None: no bound);
    ``jitter_pixels`` shifts each input by whole pixels, up to that many on both axes.
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(128, gt=0)
    learning_rate: float = Field(0.1, gt=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1, description="of all steps, rising linearly from zero")
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    momentum: float = Field(0.9, ge=0, lt=1)
    momentum_start: float | None = Field(None, ge=0, lt=1, description="None: momentum throughout")
    momentum_ramp_fraction: float = Field(0.0, ge=0, le=1, description="of all steps, start to momentum")
    nesterov: bool = True
    weight_decay: float = Field(0.0, ge=0)
    dropout_input: float = Field(0.0, ge=0, lt=1)
    dropout_hidden: float = Field(0.0, ge=0, lt=1)
    max_norm_squared: float | None = Field(None, gt=0)
    jitter_pixels: int = Field(0, ge=0)
    precision: Literal["auto", "bf16", "float32"] = "auto"
    evaluate_every_epochs: int | None = Field(None, gt=0, description="None: after the last one only")

    @model_validator(mode="after")
    def _ramp_is_whole(self) -> "Training":
        if (self.momentum_start is not None) != (self.momentum_ramp_fraction > 0):
            raise ValueError("momentum_start and momentum_ramp_fraction need each other: set both or neither")
        return self


def refuse(training: Training, why: str, *options: str) -> Training:
    """The training as it is, where none of the options was changed.

    Raises:
        ValueError: an option is not at its default, and would do nothing.
    """
    for option in options:
        if getattr(training, option) != Training.model_fields[option].default:
            raise ValueError(f"{option} would do nothing: {why}; leave it out")
    return training


def without(why: str, *options: str) -> AfterValidator:
    """For the annotation of a ``Training`` in a config that cannot use these options."""
    return AfterValidator(lambda training: refuse(training, why, *options))


NO_DROPOUT = without("these nets have no dropout", "dropout_input", "dropout_hidden")
NO_NORMS = without("it bounds fully connected hidden layers, and none is trained", "max_norm_squared")
NO_JITTER = without("inputs are learned from as they are", "jitter_pixels")
RATE_IS_CHOSEN = without("the rates are named beside the training", "learning_rate")
JUDGED_ONCE = without("these nets are judged once, when trained", "evaluate_every_epochs")
