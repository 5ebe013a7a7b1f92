"""Training by real processes, one a group, that keep checkpoints: for runs of hours and days.

All groups share the device that the run is given; the arithmetic is that of ``_learning.train``. The leading underscore
says that it is no experiment.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder
from repro.errors import UserError
from repro.experiment import Context
from repro.files import write_text
from repro.machine import ROOT

PATIENCE_S = 86400.0  # groups wait for each other; one that has failed ends the run, so nobody waits for it
POLL_S = 0.2
STOP_S = 30.0


@dataclass(frozen=True)
class Ended:
    """What the groups of a run left: (epoch, step, split, metric, value) of all of them, and the first one's last."""

    curves: list[tuple[int, int, str, str, float]]
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
    path = context.work / "run.yaml"
    write_text(path, asked.model_dump_json(exclude_unset=True))  # JSON is YAML
    groups = range(asked.protocol.groups)
    _processes(path, groups)
    ended = [GroupFolder(asked.folder, group).ended() for group in groups]
    curves = [
        (epoch, step, split, metric + (f".group{group}" if group else ""), value)
        for group, left in enumerate(ended)
        if left is not None
        for epoch, step, split, metric, value in left["curve"]
    ]
    assert ended[0] is not None
    return Ended(curves, ended[0]["metrics"])


def _processes(path: Path, groups: Sequence[int]) -> None:
    """Run all groups of a run file to their end."""
    command = [sys.executable, "-m", "repro.codistill", "run", str(path.resolve())]
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for group in groups:
            own = [*command, "--group", str(group)] if len(groups) > 1 else command
            running[group] = subprocess.Popen(own, cwd=ROOT, stdout=subprocess.DEVNULL)
        while running:
            for group, process in list(running.items()):
                status = process.poll()
                if status:
                    raise UserError(
                        f"{path}: group {group} failed (exit status {status}); its own line above says why. What was "
                        "learnt until its last checkpoint is kept: run this again"
                    )
                if status == 0:
                    del running[group]
            time.sleep(POLL_S)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
