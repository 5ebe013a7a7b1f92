"""Processes that measure together: where each sits, whether cores are free, and how to start them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.errors import UserError


@dataclass(frozen=True)
class Place:
    """Where this process sits among those that torchrun started."""

    rank: int
    world: int
    local_world: int

    @property
    def nodes(self) -> int:
        """Nodes that take part."""
        return self.world // self.local_world


def place_from_environment() -> Place:
    """This process's place.

    Raises:
        UserError: torchrun did not start it, or there is only one process.
    """
    try:
        rank, world, local = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    except (KeyError, ValueError):
        raise UserError(
            "calibrate measures processes that torchrun started: "
            "torchrun --nproc-per-node 2 -m simulation calibrate --output here.yaml"
        ) from None
    if world < 2:
        raise UserError("one process has nobody to reduce with: start two or more (--nproc-per-node 2)")
    if world % local:
        raise UserError(f"{world} processes do not fill nodes of {local}: start as many on every node")
    return Place(rank, world, local)


def usable_cores() -> float:
    """Cores this process may use: its affinity, or less where a control group sets a quota."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else min(cores, int(quota) / int(period))


def _busy_ticks() -> int:
    """Ticks that all cores have worked, from the kernel's accounts."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return sum(fields) - fields[3] - fields[4]


def free_cores(seconds: float = 0.5) -> float:
    """Cores that nothing uses while this process sleeps; without such accounts, all usable ones."""
    try:
        before = _busy_ticks()
        time.sleep(seconds)
        busy = (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds
    except (OSError, IndexError, ValueError):
        return usable_cores()
    return max(0.0, usable_cores() - busy)


def refuse_oversubscription(processes: int, free: float) -> None:
    """Raise ``UserError`` when processes outnumber free cores: they would time the wait for a core."""
    if processes > round(free):
        raise UserError(
            f"{processes} processes here, but only {free:.1f} of {usable_cores():g} cores are free: "
            "stop other work or start fewer processes; an oversubscribed machine measures its scheduler"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def launch(arguments: Sequence[str], processes: int, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run ``python -m simulation`` with these arguments as ranks 0 to n - 1, as torchrun would, and wait.

    When one fails the others are stopped, lest they wait for it. One thread each, unless OMP_NUM_THREADS says
    otherwise.

    Returns:
        The largest exit status, and with ``capture`` what rank 0 wrote.
    """
    shared = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    command = [sys.executable, "-m", "simulation", *arguments]
    pipe = subprocess.PIPE if capture else None
    started: list[subprocess.Popen[str]] = []
    try:
        for rank in range(processes):
            started.append(
                subprocess.Popen(
                    command,
                    env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdout=pipe if rank == 0 else subprocess.DEVNULL,
                    stderr=pipe if rank == 0 else None,
                    text=True,
                )
            )
        out, err = started[0].communicate()
        for other in started[1:]:
            if started[0].returncode:
                other.terminate()
            other.wait()
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
    # A rank that was stopped because rank 0 failed has a negative status: rank 0's says more.
    status = started[0].returncode or max(abs(p.returncode) for p in started)
    return subprocess.CompletedProcess(command, status, out, err)
