"""What one process of a run does from its start to its end, whoever started it, and the status that it ends with."""

from __future__ import annotations

import time

from repro.codistill.patience import say
from repro.codistill.place import check_place, environment, threads_of_a_process
from repro.codistill.settings import RunFile
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError

USER_ERROR, LOST = 2, 1
LET_SPEAK_S = 10.0


def work(run: RunFile, group: int | None, init_method: str | None = None) -> int:
    """Be one process of a run, to its end; returns the exit status. Mistakes are told once, not by every process.

    ``group`` is this job's group, None where all groups are one job; ``init_method`` says where the job's processes
    meet, if not as torchrun arranged it.
    """
    rank, world, _ = environment()
    try:
        check_place(run, group, world)
    except UserError as error:
        return told(error, first=rank == 0)

    import torch

    from repro.codistill.runtime import GroupRun
    from repro.codistill.task import load_task
    from repro.codistill.team import LostWorkerError, joined

    torch.set_num_threads(threads_of_a_process())
    told_by_all = True
    try:
        with joined(run, group, init_method) as job:
            task = job.everyone.together(lambda: load_task(run.task, run.task_settings))
            training = job.everyone.together(lambda: GroupRun(run, task, job))
            told_by_all = False
            training.play()
    except (UserError, SimulatorError) as error:
        if told_by_all or rank == 0:
            return told(error, first=rank == 0)
        say(f"rank {rank}: {error}")
        return USER_ERROR
    except LostWorkerError as error:
        say(f"rank {rank}: lost contact with another process of this job ({error})")
        return LOST
    return 0


def told(error: Exception, *, first: bool) -> int:
    """The status of a mistake that every process found; the first one tells it.

    The others let it speak: torchrun ends all of them as soon as one has ended.
    """
    if first:
        say(str(error))
    else:
        time.sleep(LET_SPEAK_S)
    return USER_ERROR
