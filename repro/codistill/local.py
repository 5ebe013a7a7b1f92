"""All groups of a run on this machine: what torchrun does for one job, for several small ones, in milliseconds.

Processes are forked from a server that has imported torch once. For tests, first runs and studies; torchrun is the way
on GPUs and on several machines.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from repro.codistill.board import USER_ERROR
from repro.codistill.settings import RunFile
from repro.codistill.work import LOST
from repro.codistill.work import work as train
from repro.errors import UserError

STOP_S = 10.0
SLOW_TO_IMPORT = ["repro.codistill.work", "repro.codistill.runtime"]
"""Imported once, by the server from which processes are forked."""
Work = Callable[[RunFile, int | None, str], int]
"""What each process does, given the run, its job's group and where the job meets; returns its exit status."""


@dataclass
class LocalJob:
    """One job: the processes of a group, or of all groups when these exchange predictions."""

    run: RunFile
    group: int | None
    restarts: int
    log: Path | None = None
    work: Work = train
    processes: list[ForkServerProcess] = field(default_factory=list)
    meeting: tempfile.TemporaryDirectory[str] | None = None

    @property
    def world(self) -> int:
        """How many processes it has."""
        return self.run.workers if self.group is not None else self.run.protocol.total_workers

    def start(self) -> None:
        """Start all processes."""
        context = _server()
        self.meeting = tempfile.TemporaryDirectory(prefix="codistill-")
        method = f"file://{self.meeting.name}/store"
        for rank in range(self.world):
            # The server they are forked from has the environment of its own start, maybe long ago.
            place = os.environ | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.world)}
            place["LOCAL_WORLD_SIZE"] = str(self.world)
            # No daemon: those may not have processes of their own, which loaders of pictures start.
            process = context.Process(target=_live, args=(self.work, self.run, self.group, place, method, self.log))
            process.start()
            self.processes.append(process)

    def stop(self) -> None:
        """End all processes that still run."""
        for process in self.processes:
            if process.is_alive():
                process.kill()
        for process in self.processes:
            process.join(STOP_S)
        self.processes = []
        if self.meeting is not None:
            self.meeting.cleanup()

    def settle(self) -> bool:
        """Whether the job has come to its end; starts it again where a process is gone.

        Raises:
            UserError: it failed once more than it may be restarted, or by a mistake that a restart cannot mend.
        """
        status = [process.exitcode for process in self.processes]
        failed = [code for code in status if code not in (None, 0)]
        if failed:
            self.stop()
            name = "the run" if self.group is None else f"group {self.group}"
            if not self.restarts or USER_ERROR in failed:
                raise UserError(f"{name} failed (exit status {failed[0]}); its own line above says why")
            self.restarts -= 1
            self.start()
            return False
        return all(code == 0 for code in status)


def launch(
    run: RunFile,
    restarts: int = 0,
    groups: list[int] | None = None,
    watch: Callable[[list[LocalJob]], None] | None = None,
    log: Path | None = None,
    work: Work = train,
) -> None:
    """Run all groups (or some) to their end as processes of this machine.

    Args:
        restarts: how often each job may be started again after losing a process. watch: called now and then with the
            jobs, such as by a test that kills some. log: where messages go; default: standard error. work: what each
            process does instead of training.

    Raises:
        UserError: a job failed; all others are stopped.
    """
    numbers: list[int | None] = [None]
    if run.protocol.groups > 1 and not run.exchanges_predictions:
        numbers = list(range(run.protocol.groups)) if groups is None else list(groups)
    jobs = [LocalJob(run, number, restarts, log, work) for number in numbers]
    try:
        for job in jobs:
            job.start()
        waiting = list(jobs)
        while waiting:
            wait_for([p.sentinel for job in waiting for p in job.processes], timeout=0.05 if watch else 1.0)
            if watch is not None:
                watch(waiting)
            waiting = [job for job in waiting if not job.settle()]
            if waiting:
                time.sleep(0.01)
    finally:
        for job in jobs:
            job.stop()


def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW_TO_IMPORT)
    return context


def _live(
    work: Work,
    run: RunFile,
    group: int | None,
    place: dict[str, str],
    method: str,
    log: Path | None,
) -> None:
    """A process's life; it ends at once, so that no thread or connection can hold it, and with the launcher's."""
    from tqdm import tqdm

    threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # not one shared between processes
    os.environ.update(place)
    if log is not None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), sys.stderr.fileno())
    status = 1
    try:
        status = work(run, group, method)
    except Exception:
        traceback.print_exc()  # nobody else would: the process ends below
    finally:
        os._exit(status)


def _end_with_the_launcher() -> None:
    """Wait until the launcher is gone, killed maybe; then nobody wants this process's work."""
    launcher = multiprocessing.parent_process()
    if launcher is not None:
        launcher.join()
        os._exit(LOST)
