"""The folder in which groups meet: the run's description, each group's lock, checkpoints and snapshots.

run.json                          what all groups must agree on, and the origin of time
group-0/lock                      held while the group runs
group-0/records                   what happened (`records`)
group-0/checkpoint-00000400.safetensors   weights, optimiser state, curves: to go on from
group-0/snapshot-00000400.safetensors     weights by name: what others learn from, and the final model
group-0/needs.json                snapshots of others that it may read again
group-0/ended.json                metrics, once it has come to its end
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from repro.codistill.flat import first_difference
from repro.codistill.records import Clock, origin_now
from repro.errors import UserError
from repro.files import locked, write_text
from repro.training.checkpoint import write_tensors
from simulation.digest import digest
from simulation.gradients import Layout

LOCK_PATIENCE_S = 3.0
NEWEST_KEPT = 2
CHECKPOINTS_KEPT = 3
"""Groups that exchange predictions go on from a version all have; they can be one checkpoint apart."""


def agree_on_run(folder: Path, wanted: Mapping[str, Any]) -> Clock:
    """Write the run's description, or compare it with what the first group wrote; returns the run's clock.

    Raises:
        UserError: another run lives in this folder; says what differs.
    """
    path = folder / "run.json"
    with locked(folder / "run.lock"):
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            found = {**wanted, "origin": origin_now()}
            write_text(path, json.dumps(found, indent=1))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it to begin a new run") from None
    for key, value in wanted.items():
        other = found.get(key)
        if other == value:
            continue
        if key == "model":
            raise UserError(f"{folder}: holds snapshots of another model ({first_difference(str(other), value)})")
        raise UserError(
            f"{folder}: is of another run: {_difference(key, other, value)}; give another folder or the same settings"
        )
    return Clock(found["origin"])


def _difference(key: str, theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(theirs.keys() | ours.keys()):
            if theirs.get(name) != ours.get(name):
                return _difference(f"{key}.{name}", theirs.get(name), ours.get(name))
    return f"{key} is {theirs!r} there and {ours!r} here"


@dataclass(frozen=True)
class Checkpoint:
    """All that a group needs to go on: rows by name (`weights` in plain order, `state.0`, ...) and the rest as JSON."""

    version: int
    rows: dict[str, Tensor]
    meta: dict[str, Any]


class GroupFolder:
    """One group's part of the shared folder."""

    def __init__(self, folder: Path, group: int) -> None:
        self.group = group
        self.path = folder / f"group-{group}"
        self._lock: Any = None
        _folders.add(self)

    def open(self) -> None:
        """Make this process the group's only writer, and clear away what a killed one left half-written.

        Raises:
            UserError: the group is running already, or the folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from None
        begin = time.monotonic()
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() - begin > LOCK_PATIENCE_S:
                    self._lock.seek(0)
                    holder = self._lock.read().strip() or "another process"
                    self._lock.close()
                    raise UserError(
                        f"group {self.group} runs already ({holder}): start each group once, with a number of its own"
                    ) from None
                time.sleep(0.1)
        self._lock.truncate(0)
        self._lock.write(f"{os.uname().nodename}, process {os.getpid()}")
        self._lock.flush()
        for part in self.path.glob(".*.part"):
            part.unlink(missing_ok=True)

    def note_offset_clock(self) -> None:
        """Some of this group's times are not of the clock of the run's origin.

        Raises:
            UserError: the folder cannot be written to.
        """
        write_text(self._offset_clock, "")

    @property
    def on_the_origins_clock(self) -> bool:
        """Whether all of this group's times are of the clock of the run's origin."""
        return not self._offset_clock.exists()

    @property
    def _offset_clock(self) -> Path:
        return self.path / "offset-clock"

    def close(self) -> None:
        """Let another process be the group's writer."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def records(self) -> Path:
        """The file of records."""
        return self.path / "records"

    def checkpoints(self) -> list[int]:
        """Versions that have a checkpoint, in order."""
        return _versions(self.path, "checkpoint")

    def snapshots(self) -> list[int]:
        """Versions that are published, in order."""
        return _versions(self.path, "snapshot")

    def save_checkpoint(self, checkpoint: Checkpoint, model: str) -> None:
        """Write a checkpoint; the oldest are removed.

        Raises:
            UserError: it cannot be written.
        """
        meta = {"version": str(checkpoint.version), "model": model, "meta": json.dumps(checkpoint.meta)}
        write_tensors(self._file("checkpoint", checkpoint.version), checkpoint.rows, meta)
        for version in self.checkpoints()[:-CHECKPOINTS_KEPT]:
            self._file("checkpoint", version).unlink(missing_ok=True)

    def load_checkpoint(self, version: int) -> Checkpoint | None:
        """The checkpoint of a version; None where it is missing or torn."""
        found = _read(self._file("checkpoint", version))
        if found is None or "meta" not in found[1]:
            return None
        return Checkpoint(version, found[0], json.loads(found[1]["meta"]))

    def publish(self, version: int, layout: Layout, row: Tensor, number: int, model: str) -> None:
        """Write a snapshot of weights (size,) whose digest is `number`, if it is not there already.

        Raises:
            UserError: it cannot be written.
        """
        path = self._file("snapshot", version)
        if path.exists() and self.load_snapshot(version, layout, model) is not None:
            return
        metadata = {"version": str(version), "group": str(self.group), "digest": f"{number:016x}", "model": model}
        write_tensors(path, dict(layout.one(row)), metadata)

    def load_snapshot(self, version: int, layout: Layout, model: str) -> Tensor | None:
        """Weights (size,) of a published version on the CPU; None where it is missing, torn or not what it says.

        Raises:
            UserError: it is of another model.
        """
        path = self._file("snapshot", version)
        found = _read(path)
        if found is None or "model" not in found[1]:
            return None
        tensors, metadata = found
        if metadata["model"] != model:
            raise UserError(f"{path}: is of another model ({first_difference(metadata['model'], model)})")
        if f"{digest(tensors):016x}" != metadata["digest"]:
            return None
        return layout.flatten(tensors)

    def retain(self, others: list[GroupFolder], all_later: bool) -> None:
        """Remove snapshots, but for the newest ones and those that another group may still read.

        A group that goes on from its checkpoint reads the teacher it had there and, with `all_later` (which is
        `pickup: wait`), all that came after; a group that has not begun may read everything.
        """
        needed = [other.needs().get(self.group, [0]) for other in others]
        for version in self.snapshots()[:-NEWEST_KEPT]:
            wanted = any(version in v or (all_later and version > min(v)) or v == [0] for v in needed)
            if not wanted:
                self._file("snapshot", version).unlink(missing_ok=True)

    def needs(self) -> dict[int, list[int]]:
        """The snapshots of each other group that this one may read again."""
        try:
            found = json.loads((self.path / "needs.json").read_text())
        except (OSError, ValueError):
            return {}
        return {int(group): versions for group, versions in found.items()}

    def write_needs(self, needs: Mapping[int, Iterable[int]]) -> None:
        """Say which snapshots of others must stay.

        Not forced to the disk, since training waits for it: it must outlive this process, not the machine.

        Raises:
            UserError: it cannot be written.
        """
        aside = self.path / ".needs.part"
        try:
            aside.write_text(json.dumps({str(g): sorted(versions) for g, versions in needs.items()}))
            aside.replace(self.path / "needs.json")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from None

    def ended(self) -> dict[str, Any] | None:
        """What the group ended with; None while it has not."""
        try:
            found: dict[str, Any] = json.loads((self.path / "ended.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def write_ended(self, content: Mapping[str, Any]) -> None:
        """Note the group's end."""
        write_text(self.path / "ended.json", json.dumps(content, indent=1))

    def _file(self, kind: str, version: int) -> Path:
        return self.path / f"{kind}-{version:08d}.safetensors"


_folders: weakref.WeakSet[GroupFolder] = weakref.WeakSet()


def _let_go_of_locks() -> None:
    """In a forked process, such as a loader's: one that outlives the group must not keep its lock."""
    for folder in _folders:
        folder.close()


os.register_at_fork(after_in_child=_let_go_of_locks)


def _versions(folder: Path, kind: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        names = [re.fullmatch(rf"{kind}-(\d+)\.safetensors", name) for name in os.listdir(folder)]
        return sorted(int(match[1]) for match in names if match)
    return []


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError, ValueError):
        return None


def snapshot_parameters(folder: Path, group: int, version: int) -> dict[str, Tensor]:
    """A published snapshot's tensors by name.

    Raises:
        UserError: there is none, or it is torn.
    """
    found = _read(GroupFolder(folder, group)._file("snapshot", version))
    if found is None:
        raise UserError(f"{folder}: group {group} has no whole snapshot of version {version}")
    return {name: tensor.to(torch.float32) for name, tensor in found[0].items()}
