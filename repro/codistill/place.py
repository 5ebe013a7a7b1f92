"""Where a process stands among those that torchrun started. Importable without torch, so mistakes are told at once."""

from __future__ import annotations

import os

from repro.codistill.settings import RunFile
from repro.errors import UserError
from simulation.protocols import Codistillation


def environment() -> tuple[int, int, int]:
    """(rank, world size, local rank) as torchrun says; one process alone without it."""
    try:
        return tuple(int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))  # type: ignore[return-value]
    except ValueError:
        raise UserError("RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers; start this with torchrun") from None


def threads_of_a_process() -> int:
    """Threads with which each process computes: as many as OMP_NUM_THREADS says, else one, as torchrun has it."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def check_place(run: RunFile, group: int | None, world: int) -> None:
    """Refuse a job whose size or group does not fit the protocol.

    Raises:
        UserError: says how to start it.
    """
    protocol, workers = run.protocol, run.workers
    if isinstance(protocol, Codistillation) and protocol.exchange == "checkpoints":
        if group is None:
            raise UserError(
                f"--group: each of the {protocol.groups} groups is a job of its own; give its number, 0 to "
                f"{protocol.groups - 1}"
            )
        if not 0 <= group < protocol.groups:
            raise UserError(f"--group {group}: there are groups 0 to {protocol.groups - 1}")
        expected, of_what = workers, f"group {group}"
    else:
        if group is not None:
            raise UserError("--group: all groups of this protocol are one job; leave it out")
        expected, of_what = protocol.total_workers, f"{protocol.groups} group(s) of {workers}"
    if world != expected:
        raise UserError(
            f"{world} processes do not divide into {of_what}: start torchrun with {expected} in all "
            f"(--nnodes x --nproc-per-node), or change the protocol's workers"
        )
