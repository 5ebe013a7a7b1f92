"""Settings that the experiments share; importable without torch."""

from typing import Annotated, Any

from pydantic import Field, PlainSerializer

from repro.codistill.settings import Distillation, Optimizer
from repro.settings import Options
from simulation.protocols import Codistillation, SyncSGD, to_dict


def _as_set(optimizer: Optimizer) -> dict[str, Any]:
    """Only what was set: an optimizer refuses options that have no effect on it."""
    return optimizer.model_dump(mode="json", exclude_unset=True)


Rule = Annotated[Optimizer, PlainSerializer(_as_set)]
"""An optimizer that is written as it was read."""


class Recipe(Options):
    """How every group of an experiment trains: `updates` of `batch_size` examples each."""

    updates: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    optimizer: Rule

    def alone(self, **changes: Any) -> dict[str, Any]:
        """A run of one group, as `repro.codistill.settings.Settings` takes it; changes to the optimizer."""
        return self._run(SyncSGD(1), changes)

    def together(
        self,
        groups: int,
        interval_steps: int,
        burn_in_steps: int = 0,
        split: str = "equal",
        distillation: Distillation | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """A codistilled run of groups that exchange checkpoints; changes to the optimizer.

        A group is one worker here: the mean gradient of many is that of one worker with all their examples.
        """
        protocol = Codistillation(groups, SyncSGD(1), interval_steps, burn_in_steps)
        taught = {} if distillation is None else {"distillation": distillation.model_dump(mode="json")}
        return self._run(protocol, changes) | {"split": split} | taught

    def _run(self, protocol: Any, changes: dict[str, Any]) -> dict[str, Any]:
        optimizer = _as_set(self.optimizer) | changes
        sizes = {"updates": self.updates, "batch_size": self.batch_size}
        return {"protocol": to_dict(protocol), "optimizer": optimizer, **sizes}
