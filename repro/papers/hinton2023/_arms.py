"""Settings that the experiments of the lecture share; importable without torch."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from repro.training.settings import Training


class Section(BaseModel):
    """Base of the experiments' configs: no unknown keys, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Learner(Section):
    """A net and how it is trained.

    Its learning rate is chosen in every run anew: one net is trained at each of ``rates``, and the one with the fewest
    errors on held-out cases, which nobody learns from, is kept. All rivals are tuned so, over the same rates. Small
    training sets are repeated until ``least_steps`` steps are done.
    """

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Training
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    least_steps: int = Field(0, ge=0)

    def settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json")
