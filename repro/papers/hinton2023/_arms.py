"""Settings that the experiments of the lecture share; importable without torch."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from repro.settings import Options
from repro.training.settings import JUDGED_ONCE, NO_JITTER, RATE_IS_CHOSEN, Training, refuse


class Learner(Options):
    """A net and how it is trained.

    Its learning rate is chosen in every run anew: one net is trained at each of ``rates``, and the one with the fewest
    errors on held-out cases, which nobody learns from, is kept. All rivals are tuned so, over the same rates. Small
    training sets are repeated until ``least_steps`` steps are done.
    """

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Annotated[Training, NO_JITTER, JUDGED_ONCE, RATE_IS_CHOSEN]
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    least_steps: int = Field(0, ge=0)

    def settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def _on_hardware(learner: Learner) -> Learner:
    refuse(learner.training, "analogue nets have no dropout", "dropout_input", "dropout_hidden")
    refuse(learner.training, "it bounds digital layers alone", "max_norm_squared")
    return learner


def _in_lockstep(learner: Learner) -> Learner:
    refuse(learner.training, "agents in lockstep know no such bound", "max_norm_squared")
    refuse(learner.training, "agents in lockstep know no dropout", "dropout_input", "dropout_hidden")
    if learner.training.precision == "bf16":
        raise ValueError("training.precision: agents in lockstep compute in float32; ask for that or leave it out")
    if learner.least_steps:
        raise ValueError("least_steps would do nothing: agents in lockstep learn for training.epochs; leave it out")
    return learner


AnalogueLearner = Annotated[Learner, AfterValidator(_on_hardware)]
Agent = Annotated[Learner, AfterValidator(_in_lockstep)]
AnalogueAgent = Annotated[AnalogueLearner, AfterValidator(_in_lockstep)]
