"""Calibration: what it refuses, what it computes, and two real processes end to end."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import collectives
from simulation.calibrate import as_ring, spread_sigma
from simulation.description import load_cluster
from simulation.errors import UserError
from simulation.links import AlphaBeta
from simulation.processes import free_cores, refuse_oversubscription, usable_cores


def test_more_processes_than_free_cores_are_refused() -> None:
    refuse_oversubscription(2, 1.6)
    with pytest.raises(UserError, match=r"3 processes here, but only 2\.4"):
        refuse_oversubscription(3, 2.4)


def test_free_cores_lie_within_the_machine() -> None:
    assert 0 <= free_cores(0.02) <= usable_cores() <= (os.cpu_count() or 1)


def test_a_fitted_line_becomes_the_ring_that_takes_as_long() -> None:
    line = AlphaBeta(1e-4, 1e9)
    link = as_ring(line, 4)
    ring = collectives.ring_all_reduce(4, 5e6)
    assert collectives.seconds(ring, [link]) == pytest.approx(line.seconds(5e6))


def test_spread_ignores_a_rare_pause() -> None:
    import numpy as np

    times = np.exp(0.1 * np.random.default_rng(0).normal(size=2000)).tolist()
    assert spread_sigma([*times, 1e3]) == pytest.approx(0.1, rel=0.1)


def _processes(code: str, output: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Two processes with torchrun's environment, without its launcher."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(output), *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    done = []
    for process in started:
        out, err = process.communicate(timeout=120)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done


# The machine that runs tests is seldom idle: what is free is stated, and after the real all-reduces their
# times are replaced by planted ones, 100 us and 1 GB/s.
CALIBRATE = """
import sys, pathlib
import simulation.calibrate as c
c.ROUNDS, c.CACHE_BYTES = 3, 4096
c.free_cores = lambda: float(sys.argv[2])
measured = c.measure_all_reduce
def planted(*given):
    table = measured(*given)
    return c.Table(table.bytes, tuple(1e-4 + b / 1e9 for b in table.bytes))
c.measure_all_reduce = planted
from simulation.cli import main
sys.exit(main(["calibrate", "--output", sys.argv[1], "--largest-mb", "0.5", "--json", *sys.argv[3:]]))
"""


def test_two_processes_write_a_cluster_that_runs(tmp_path: Path) -> None:
    output = tmp_path / "here.yaml"
    first, second = _processes(CALIBRATE, output, "2")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    report = json.loads(first.stdout)
    assert second.stdout == ""
    assert report["alpha_beta_worst_error"] < 1e-9
    assert 0 < report["table_held_out_mean_error"] <= report["table_held_out_worst_error"] < 0.1
    cluster = load_cluster(str(output))
    assert cluster.devices == 2
    assert cluster.links[0].latency_s == pytest.approx(5e-5)  # two messages of B/2 each
    assert cluster.links[0].bandwidth_bytes_per_s == pytest.approx(1e9)
    assert cluster.measured_collectives[0].workers == 2
    assert cluster.confidence == "measured"
    assert list(tmp_path.iterdir()) == [output]


def test_a_passed_limit_writes_nothing_and_is_said_once(tmp_path: Path) -> None:
    first, second = _processes(CALIBRATE, tmp_path / "here.yaml", "2", "--limit-s=0.000001")
    assert (first.returncode, second.returncode) == (2, 2), first.stderr
    errors = [line for line in (first.stderr + second.stderr).splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "raise --limit-s" in errors[0]
    assert list(tmp_path.iterdir()) == []
