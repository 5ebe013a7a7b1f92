"""What one process of a run does from its start to its end, whoever started it, and the status that it ends with."""

from __future__ import annotations

import time

from repro.codistill.board import USER_ERROR
from repro.codistill.patience import say
from repro.codistill.place import check_place, environment, threads_of_a_process
from repro.codistill.settings import RunFile
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError

LOST = 1
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
        return told(error, rank)

    import torch

    from repro.codistill.runtime import GroupRun
    from repro.codistill.task import load_task
    from repro.codistill.team import LostWorkerError, joined

    torch.set_num_threads(threads_of_a_process())
    try:
        with joined(run, group, init_method) as job:
            task = job.everyone.together(lambda: load_task(run.task, run.task_settings))
            training = job.everyone.together(lambda: GroupRun(run, task, job))
            with job.board.telling():
                training.play()
    except (UserError, SimulatorError) as error:
        return told(error, rank)
    except LostWorkerError as error:
        say(f"rank {rank}: lost contact with another process of this job ({error})")
        return LOST
    return 0


def told(error: Exception, rank: int) -> int:
    """The status of a mistake; the first process tells it, at once.

    The others let it speak: whoever started them ends all as soon as one has ended. Who still lives after that was the
    only one to find it, as on a machine without the GPU that the others have, and speaks for itself.
    """
    if rank:
        time.sleep(LET_SPEAK_S)
    say(f"rank {rank}: {error}" if rank else str(error))
    return USER_ERROR
