"""Training by real processes, one a group, that keep checkpoints: for runs of hours and days.

All groups share the device that the run is given; the arithmetic is that of ``_learning.train``. The leading underscore
says that it is no experiment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.codistill.local import launch
from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder
from repro.errors import UserError
from repro.experiment import Context, CurvePoint

PATIENCE_S = 86400.0  # groups wait for each other; one that has failed ends the run, so nobody waits for it


@dataclass(frozen=True)
class Ended:
    """What the groups of a run left: (epoch, step, split, metric, value) of all of them, and the first one's last."""

    curves: list[CurvePoint]
    metrics: Mapping[str, Mapping[str, float]]


def train_by_processes(
    task: str, task_settings: Mapping[str, Any], run: Mapping[str, Any], seed: int, context: Context
) -> Ended:
    """Train every group of ``run`` in a process of its own, from the checkpoints in ``context.work`` if there are any.

    ``task`` names the task as a run file does; ``run``: settings of groups of one worker. A checkpoint is kept at every
    evaluation.

    Raises:
        UserError: a group failed; the others are stopped, and all go on from their checkpoints when run again.
    """
    content = {"precision": "float32", "checkpoint_updates": run.get("evaluate_updates") or 1000} | dict(run)
    content |= {"seed": seed, "device": context.device, "patience_s": PATIENCE_S, "folder": str(context.work / "run")}
    asked = RunFile.model_validate(content | {"task": task, "task_settings": dict(task_settings)})
    if asked.workers > 1:
        raise UserError(f"protocol: a group is one process here, not {asked.workers} workers; start those by torchrun")
    launch(asked)
    ended = [GroupFolder(asked.folder, group).ended() for group in range(asked.protocol.groups)]
    curves = [
        (epoch, step, split, metric + (f".group{group}" if group else ""), value)
        for group, left in enumerate(ended)
        if left is not None
        for epoch, step, split, metric, value in left["curve"]
    ]
    assert ended[0] is not None
    return Ended(curves, ended[0]["metrics"])
