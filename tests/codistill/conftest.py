"""Runs of the tiny task: described here, started as real processes or in this one."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.codistill.local import LocalJob, launch
from repro.codistill.records import RECORD
from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder

TASK = "tests.codistill.codistill_tasks:tiny"


def describe_run(folder: Path, protocol: dict[str, Any], **changes: Any) -> RunFile:
    """A run of the tiny task."""
    settings: dict[str, Any] = {
        "task": TASK,
        "folder": folder,
        "protocol": protocol,
        "updates": 24,
        "batch_size": 8,
        "evaluate_updates": 10,
        "checkpoint_updates": 7,
        "precision": "float32",
        "patience_s": 60.0,
        "optimizer": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    }
    return RunFile.model_validate(settings | changes)


def sync(workers: int = 1) -> dict[str, Any]:
    return {"kind": "SyncSGD", "workers": workers}


def codistilled(within: dict[str, Any] | None = None, groups: int = 2, **changes: Any) -> dict[str, Any]:
    base = {"kind": "Codistillation", "groups": groups, "within": within or sync(), "interval_steps": 4}
    return base | changes


def ended(run: RunFile, group: int = 0) -> dict[str, Any]:
    found = GroupFolder(run.folder, group).ended()
    assert found is not None
    return found


def digests(run: RunFile) -> list[str]:
    return [str(ended(run, g)["digest"]) for g in range(run.protocol.groups)]


def recorded_bytes(run: RunFile, group: int) -> int:
    path = GroupFolder(run.folder, group).records
    return path.stat().st_size if path.exists() else 0


class Killer:
    """Kills a process of a group each time the group has so many records more; for `launch(watch=...)`.

    They are counted from the group's last death on: the first of a life tell of the end of the one before.
    """

    def __init__(self, run: RunFile, deaths: list[tuple[int, int, int]]) -> None:
        """`deaths`: (group, rank, records) in turn."""
        self.run, self.deaths, self.killed = run, deaths, 0
        self.before: dict[int, int] = {}

    def __call__(self, jobs: list[LocalJob]) -> None:
        if self.killed == len(self.deaths):
            return
        group, rank, records = self.deaths[self.killed]
        job = next((j for j in jobs if j.group in (None, group)), None)
        grown = recorded_bytes(self.run, group) - self.before.get(group, 0)
        if job is None or grown < records * RECORD.itemsize:
            return
        process = job.processes[rank]
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            self.killed += 1
            self.before[group] = recorded_bytes(self.run, group)


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., RunFile]:
    """Play a run as real processes, each in a folder of its own; `deaths` as for `Killer`."""
    count = 0

    def start(protocol: dict[str, Any], deaths: list[tuple[int, int, int]] | None = None, **changes: Any) -> RunFile:
        nonlocal count
        count += 1
        run = describe_run(tmp_path / f"run{count}", protocol, **changes)
        killer = Killer(run, deaths or [])
        launch(run, restarts=len(killer.deaths), watch=killer if deaths else None)
        assert killer.killed == len(killer.deaths), "nothing was tried"
        return run

    return start


def dump(run: RunFile, path: Path) -> Path:
    """The run as the YAML file (JSON is YAML) that the command line reads."""
    path.write_text(json.dumps(run.model_dump(mode="json", exclude_defaults=True)))
    return path
