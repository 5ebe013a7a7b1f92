"""``python -m repro.codistill``: run a group, all groups on this machine, or work with what a run recorded.

torchrun --nproc-per-node 2 -m repro.codistill run run.yaml --group 0
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from repro.codistill.settings import RunFile, load_run
from repro.codistill.work import told, work
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; users' mistakes end as one line and status 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except (UserError, SimulatorError) as error:
        rank = os.environ.get("RANK", "0")
        return told(error, int(rank) if rank.isdecimal() else 0)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro.codistill",
        description="Codistillation of groups of synchronous workers; repro/codistill/README.md tells more.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("run", type=Path, metavar="RUN.yaml")
        return sub

    one = add("run", _run, "Be one process of a group, or of the whole run; torchrun starts as many as are needed.")
    one.add_argument("--group", type=int, help="this job's group, where each is a job of its own")
    everyone = add("launch", _launch, "Start all groups on this machine and wait for their end.")
    everyone.add_argument("--restarts", type=int, default=3, help="of each job that loses a process (%(default)s)")
    recorded = add("schedule", _schedule, "Write what the groups recorded as one schedule file.")
    recorded.add_argument("--output", type=Path, help="default: schedule.safetensors in the run's folder")
    add("replay", _replay, "Repeat a recorded run in this process and compare the digests of its snapshots.")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    run = load_run(arguments.run)
    status = work(run, arguments.group)
    if not status and os.environ.get("RANK", "0") == "0":
        _tell(run, [arguments.group] if arguments.group is not None else range(run.protocol.groups))
    return status


def _launch(arguments: argparse.Namespace) -> int:
    from repro.codistill.local import launch

    run = load_run(arguments.run)
    launch(run, arguments.restarts)
    _tell(run, range(run.protocol.groups))
    return 0


def _tell(run: RunFile, groups: Iterable[int]) -> None:
    """A line a group that has ended: what it learnt. The same stands in its folder, with the curves."""
    from repro.codistill.shared import GroupFolder

    for group in groups:
        ended = GroupFolder(run.folder, group).ended()
        if ended is not None:
            print(json.dumps({"group": group, "updates": ended["updates"], "metrics": ended["metrics"]}))


def _schedule(arguments: argparse.Namespace) -> int:
    from repro.codistill.recorded import recorded_schedule

    run = load_run(arguments.run)
    path = arguments.output or run.folder / "schedule.safetensors"
    schedule = recorded_schedule(run)
    schedule.save(path)
    lost = sum(schedule.meta["lost_updates"])
    print(f"{path}: {len(schedule.updates)} updates, {len(schedule.events)} events, {lost} updates lost to failures")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from repro.codistill.recorded import recorded_schedule
    from repro.codistill.replayed import learn
    from repro.codistill.task import load_task

    run = load_run(arguments.run)
    learned = learn(load_task(run.task, run.task_settings), run, recorded_schedule(run))
    print(f"{learned.checked} snapshots compared, {len(learned.mismatches)} differ")
    if learned.mismatches:
        group, version = min(learned.mismatches, key=lambda pair: pair[1])
        print(f"the first: group {group}, version {version}")
        return 1
    return 0
