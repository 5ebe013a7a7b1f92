"""Settings that the experiments of section 3 share; importable without torch."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt

from repro.settings import Options
from repro.training.settings import RATE_IS_CHOSEN, Training


class Rates(Options):
    """Learning rates of a student by what it learns from; each tuned over the same grid."""

    hard: float = Field(gt=0)
    soft: float = Field(gt=0)
    soft_hard: float = Field(gt=0)


class Net(Options):
    """Hidden layers and how they are trained."""

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Training

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Plain values for an arm, with changes to the training."""
        training = self.training.model_copy(update=changes)
        return {"hidden": list(self.hidden), "training": training.model_dump(mode="json")}

    def from_labels(self, learning_rate: float, **changes: Any) -> dict[str, Any]:
        """Settings of a run on labels alone."""
        return self.settings(learning_rate=learning_rate, **changes) | {"soft_weight": 0.0, "hard_weight": 1.0}

    def from_soft_targets(
        self, learning_rate: float, temperature: float, hard_weight: float = 0.0, **changes: Any
    ) -> dict[str, Any]:
        """Settings of a run on soft targets, with labels beside them where ``hard_weight`` is not zero."""
        weights = {"temperature": temperature, "soft_weight": 1.0, "hard_weight": hard_weight}
        return self.settings(learning_rate=learning_rate, **changes) | weights


class TunedNet(Net):
    """A net whose learning rate stands apart from the rest of its training."""

    training: Annotated[Training, RATE_IS_CHOSEN]


class Student(TunedNet):
    """A net that learns from labels, from a teacher, or from both; only the learning rate differs."""

    rates: Rates
    hard_weight: float = Field(gt=0, description="of the labels' loss beside the soft one")

    def hard(self, **changes: Any) -> dict[str, Any]:
        """Labels alone."""
        return self.from_labels(self.rates.hard, **changes)

    def soft(self, temperature: float, **changes: Any) -> dict[str, Any]:
        """Soft targets alone."""
        return self.from_soft_targets(self.rates.soft, temperature, **changes)

    def soft_hard(self, temperature: float, **changes: Any) -> dict[str, Any]:
        """Soft targets and labels."""
        return self.from_soft_targets(self.rates.soft_hard, temperature, self.hard_weight, **changes)
