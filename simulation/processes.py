"""Start several copies of a command on this machine as torchrun would, without its tracebacks."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def launch(
    arguments: Sequence[str], processes: int, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m simulation`` with these arguments as ranks 0 to n - 1 and wait for all of them.

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
