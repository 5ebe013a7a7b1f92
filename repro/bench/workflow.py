"""``workflow.*``: what a user waits for. Wall seconds on this machine, in a fresh copy of the repository."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repro.bench import Measurement
from repro.machine import ROOT


def _seconds(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def measure() -> list[Measurement]:
    """All rows of ``workflow.*``."""
    python = sys.executable
    snakemake = [python, "-m", "snakemake"]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "copy")
        ignored = shutil.ignore_patterns(".git", ".venv", ".snakemake", "quick", "__pycache__", ".*_cache", ".work")
        shutil.copytree(ROOT, copy, ignore=ignored)
        environment = os.environ | {
            "REPRO_CACHE": str(Path(temporary, "cache")),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
        }
        environment.pop("PYTHONPATH", None)
        whole = _seconds(snakemake, copy, environment)
        noop = min(_seconds(snakemake, copy, environment) for _ in range(3))
        helped = min(_seconds([python, "-m", "repro", "--help"], copy, environment) for _ in range(3))
        tests = _seconds([python, "-m", "pytest"], copy, environment)
    return [
        Measurement("workflow.quick", "snakemake at scale quick, from nothing", whole, "s", "<= 60"),
        Measurement("workflow.noop", "snakemake with nothing to do", noop, "s", "<= 3"),
        Measurement("workflow.help", "python -m repro --help", helped, "s", "<= 0.5"),
        Measurement("workflow.test", "pytest", tests, "s", "<= 120"),
    ]
