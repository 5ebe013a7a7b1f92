"""Settings that the experiments of section 3 share; importable without torch."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from repro.training.settings import Training


class Section(BaseModel):
    """Base of the experiments' configs: no unknown keys, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rates(Section):
    """Learning rates of a student by what it learns from; each tuned over the same grid."""

    hard: float = Field(gt=0)
    soft: float = Field(gt=0)
    soft_hard: float = Field(gt=0)


class Net(Section):
    """Hidden layers and how they are trained."""

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Training

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Plain values for an arm, with changes to the training."""
        training = self.training.model_copy(update=changes)
        return {"hidden": list(self.hidden), "training": training.model_dump(mode="json")}


class Student(Net):
    """A net that learns from labels, from a teacher, or from both; only the learning rate differs."""

    rates: Rates
    hard_weight: float = Field(gt=0, description="of the labels' loss beside the soft one")

    def hard(self, **changes: Any) -> dict[str, Any]:
        """Labels alone."""
        return self._settings(self.rates.hard, changes) | {"soft_weight": 0.0, "hard_weight": 1.0}

    def soft(self, temperature: float, **changes: Any) -> dict[str, Any]:
        """Soft targets alone."""
        weights = {"temperature": temperature, "soft_weight": 1.0, "hard_weight": 0.0}
        return self._settings(self.rates.soft, changes) | weights

    def soft_hard(self, temperature: float, **changes: Any) -> dict[str, Any]:
        """Soft targets and labels."""
        weights = {"temperature": temperature, "soft_weight": 1.0, "hard_weight": self.hard_weight}
        return self._settings(self.rates.soft_hard, changes) | weights

    def _settings(self, learning_rate: float, changes: dict[str, Any]) -> dict[str, Any]:
        return self.settings(**{"learning_rate": learning_rate} | changes)
