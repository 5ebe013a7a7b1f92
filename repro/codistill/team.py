"""Processes that work together: who is where, and the few collectives that they need."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from repro.codistill.board import Board
from repro.codistill.place import check_place, environment
from repro.codistill.settings import RunFile
from repro.errors import UserError
from repro.training.device import device_named
from simulation.errors import UserError as SimulatorError

T = TypeVar("T")
MEETING_POLL_S = 0.01
COLLECTIVE_TIMEOUT_S = 1800.0
"""Beyond the run's patience; no collective waits for another group's speed, only for the own group's slowest."""


class LostWorkerError(Exception):
    """A collective failed: another process is gone. Whoever started the job starts it again."""


class Team:
    """Some processes of a job, in order; a team of one needs no communication. `group`: None for everyone."""

    def __init__(self, size: int, rank: int, first: int = 0, group: Any = None) -> None:
        self.size, self.rank = size, rank
        self._first, self._group = first, group  # the first member's rank in the job

    def start_sum(self, tensor: Tensor) -> Any:
        """Begin to add `tensor` over all members, in place; what to `wait` for, None where there is nothing to do."""
        if self.size == 1:
            return None
        with _lost():
            return dist.all_reduce(tensor, group=self._group, async_op=True)

    def sum(self, tensor: Tensor) -> None:
        """Add over all members, in place."""
        wait(self.start_sum(tensor))

    def from_first(self, tensor: Tensor) -> Tensor:
        """The first member's tensor, in place."""
        if self.size > 1:
            on_wire = _wire(tensor)
            with _lost():
                dist.broadcast(on_wire, self._first, group=self._group)
            if on_wire is not tensor:
                tensor.copy_(on_wire)
        return tensor

    def swap(self, tensor: Tensor) -> list[Tensor]:
        """Everyone's tensor, in order of rank; they must have one shape."""
        if self.size == 1:
            return [tensor]
        on_wire = _wire(tensor.contiguous())
        all_of_them = [torch.empty_like(on_wire) for _ in range(self.size)]
        with _lost():
            dist.all_gather(all_of_them, on_wire, group=self._group)
        return [t.to(tensor.device) for t in all_of_them]

    def first_says(self, value: T) -> T:
        """The first member's value, which JSON can hold."""
        if self.size == 1:
            return value
        content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        length = self.from_first(torch.tensor([len(content)]))
        if self.rank:
            content = torch.empty(int(length), dtype=torch.uint8)
        said: T = json.loads(bytes(self.from_first(content).tolist()))
        return said

    def all_say(self, value: T) -> list[T]:
        """Everyone's value, which JSON can hold, in order of rank."""
        if self.size == 1:
            return [value]
        content = json.dumps(value).encode()
        longest = max(int(n) for n in self.swap(torch.tensor([len(content)])))
        padded = torch.frombuffer(bytearray(content.ljust(longest)), dtype=torch.uint8)
        return [json.loads(bytes(said.tolist())) for said in self.swap(padded)]

    def together(self, work: Callable[[], T]) -> T:
        """Do something on every member; if anyone cannot, all raise what the first of them says.

        Raises:
            UserError: the first member's that failed.
        """
        error = ""
        result: T | None = None
        try:
            result = work()
        except (UserError, SimulatorError) as raised:
            error = str(raised) or type(raised).__name__
        failed = [text for text in self.all_say(error) if text]
        if failed:
            raise UserError(failed[0])
        return result  # type: ignore[return-value]


def wait(handle: Any) -> None:
    """Until what `start_sum` began is done."""
    if handle is not None:
        with _lost():
            handle.wait()


@contextmanager
def _lost() -> Iterator[None]:
    """To be put around nothing but a collective: gloo has no error of its own for a peer that is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostWorkerError(str(error).splitlines()[0]) from error


def _wire(tensor: Tensor) -> Tensor:
    """gloo carries these collectives for memory of the CPU alone."""
    return tensor.cpu() if tensor.is_cuda and not _has_nccl() else tensor


def _has_nccl() -> bool:
    return "nccl" in dist.get_backend_config()


@dataclass(frozen=True)
class Job:
    """This process among those of its job.

    `seat`: its number within the group. `team`: the group; `circle`: the processes with the same seat, one of each
    group of the job; `everyone`: the job. `board`: where a process leaves what it alone found wrong.
    """

    group: int
    seat: int
    device: torch.device
    team: Team
    circle: Team
    everyone: Team
    board: Board = field(default_factory=Board)


@contextmanager
def joined(run: RunFile, group: int | None, init_method: str | None = None) -> Iterator[Job]:
    """Take one's place among the processes that torchrun started, and leave it at the end.

    Raises:
        UserError: their number does not fit the protocol, or a device is asked for and absent.
        LostWorkerError: the others cannot be reached.
    """
    rank, world, local_rank = environment()
    check_place(run, group, world)
    device = device_named(run.device)
    if device.type == "cuda":
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    own = rank // run.workers if group is None else group
    seat = rank % run.workers
    if world == 1:
        alone = Team(1, 0)
        yield Job(own, seat, device, alone, alone, alone)
        return
    timeout = timedelta(seconds=run.patience_s + COLLECTIVE_TIMEOUT_S)
    with _lost():
        store, _, _ = next(rendezvous(init_method or "env://", rank, world, timeout=timeout))
        store = PrefixStore(common_word(store, rank, world), store)
        dist.init_process_group(_backend(run, device), store=store, rank=rank, world_size=world, timeout=timeout)
    try:
        everyone, board = Team(world, rank), Board(store, rank)
        if world == run.workers:
            yield Job(own, seat, device, everyone, Team(1, 0), everyone, board)
            return
        groups = world // run.workers
        team = circle = Team(1, 0)
        # Every process takes part in making every team, also those it is not in.
        for g in range(groups if run.workers > 1 else 0):
            members = list(range(g * run.workers, (g + 1) * run.workers))
            made = dist.new_group(members)
            team = Team(run.workers, seat, members[0], made) if g == own else team
        for s in range(run.workers):
            members = list(range(s, world, run.workers))
            made = dist.new_group(members)
            circle = Team(groups, own, members[0], made) if s == seat else circle
        yield Job(own, seat, device, team, circle, everyone, board)
    finally:
        if not _failing():
            dist.destroy_process_group()


def common_word(store: Any, rank: int, world: int) -> str:
    """A word that all processes of this attempt share and none of an earlier attempt knew.

    torchrun keeps one store over restarts, in which a process may find the address of one that is dead, and wait for
    it for ever. Counts of restarts differ between nodes, so the processes agree: each leaves a word of its own, the
    first answers to it with the common one, until all have said that they read it.
    """
    if rank:
        own = uuid.uuid4().hex
        store.set(f"hello/{rank}", own)
        word: str = store.get(f"welcome/{own}").decode()
        store.add(f"read/{word}", 1)
        return word
    word = uuid.uuid4().hex
    while store.add(f"read/{word}", 0) < world - 1:
        for other in range(1, world):
            if store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", word)
        time.sleep(MEETING_POLL_S)
    return word


def _failing() -> bool:
    """Whether an error is on its way up: the group is then left to the end of the process, which cannot hang."""
    return sys.exc_info()[0] is not None


def _backend(run: RunFile, device: torch.device) -> str:
    """CPU tensors always go over gloo. NCCL takes one process a GPU: where processes share one, gloo serves both."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fits = device.type == "cuda" and local <= torch.cuda.device_count()
    if run.backend == "nccl" and not fits:
        raise UserError(f"backend: nccl needs a GPU for each of {local} processes; use gloo or auto")
    return "cpu:gloo,cuda:nccl" if fits and run.backend != "gloo" else "gloo"
