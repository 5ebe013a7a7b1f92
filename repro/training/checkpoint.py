"""Checkpoints: all that a run needs to go on, in one safetensors file that is whole or absent."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from repro.files import write_files
from repro.training.curves import Point


@dataclass(frozen=True)
class State:
    """A run after ``epoch`` whole epochs. Tensors by name; ``points`` are the curves so far."""

    epoch: int
    tensors: dict[str, Tensor]
    points: list[Point] = field(default_factory=list)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file aside and rename it, so that readers never see half of it.

    Raises:
        UserError: the folder cannot be written to (read-only, disk full).
    """
    content = serialised({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)
    write_files({path: content})


def save(path: Path, state: State) -> None:
    points = json.dumps(state.points)
    write_tensors(path, state.tensors, {"epoch": str(state.epoch), "points": points})


def load(path: Path, device: torch.device) -> State | None:
    """The state in ``path``; None where there is none or it cannot be read (the run then starts anew)."""
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        points = [Point(*values) for values in json.loads(metadata["points"])]
        return State(int(metadata["epoch"]), tensors, points)
    except (FileNotFoundError, SafetensorError, KeyError, TypeError, ValueError):
        return None
