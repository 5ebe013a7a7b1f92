"""``workflow.*``: what a user waits for. Wall seconds on this machine, in a fresh copy of the repository."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repro import config
from repro.bench import Measurement
from repro.experiment import module_of
from repro.files import read_csv
from repro.machine import ROOT

FOUNDATION = "hinton2015"
SIDE_BY_SIDE = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "worksteal")
"""How `make test` runs them."""


def fresh_copy(folder: Path) -> Path:
    """The repository's files in ``folder``, without anything of scale quick."""
    left_out = (".git", ".venv", ".snakemake", "quick", "logs", "__pycache__", ".*_cache", ".hypothesis")
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*left_out)))


def own_environment(cache: Path) -> dict[str, str]:
    """This interpreter, one thread, a cache of its own."""
    environment = os.environ | {
        "REPRO_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("PYTHONPATH", None)
    return environment


def _seconds(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout[-3000:])
        done.check_returncode()
    return time.perf_counter() - start


def _foundation() -> list[str]:
    """The workflow's targets of the first study: what its paper printed on the very data that scale paper uses."""
    names = []
    for section in config.load(ROOT / "config" / "quick.yaml").papers[FOUNDATION].values():
        module = module_of(section.paper, section.experiment)
        if module.DATA["paper"] == module.PRINTED_DATA:
            names.append(f"{section.paper}_{section.experiment}")
    return names


def _computing(results: Path) -> float:
    """Seconds that the recorded runs below a folder took, each by itself."""
    return sum(float(row["seconds"]) for path in results.rglob("timing.csv") for row in read_csv(path)[1])


def measure() -> list[Measurement]:
    """All rows of ``workflow.*``."""
    python = sys.executable
    snakemake = [python, "-m", "snakemake"]
    with tempfile.TemporaryDirectory() as temporary:
        copy = fresh_copy(Path(temporary, "copy"))
        environment = own_environment(Path(temporary, "cache"))
        first = _seconds([*snakemake, *_foundation()], copy, environment)
        whole = first + _seconds(snakemake, copy, environment)
        computing = _computing(copy / "results" / "quick")
        noop = min(_seconds(snakemake, copy, environment) for _ in range(3))
        empty = Path(temporary, "empty")
        empty.mkdir()
        Path(empty, "Snakefile").write_text("rule all:\n", encoding="utf-8")
        alone = min(_seconds([*snakemake, "--cores", "1"], empty, environment) for _ in range(3))
        helps = {
            name: min(_seconds([python, "-m", name, "--help"], copy, environment) for _ in range(3))
            for name in ("repro", "simulation")
        }
        _seconds([python, "-m", "repro", "readme"], copy, environment)  # a test wants it to have today's measurements
        tests = _seconds([python, "-m", "pytest", *SIDE_BY_SIDE], copy, environment)
    return [
        Measurement("workflow.quick", "snakemake at scale quick, from nothing", whole, "s", "<= 300"),
        Measurement("workflow.quick", "of this, section 3 of Hinton et al. 2015", first, "s", "<= 60"),
        Measurement("workflow.quick", "its runs, one after another, less the start of their programs", computing, "s"),
        Measurement("workflow.noop", "snakemake with nothing to do", noop, "s", "<= 3"),
        Measurement("workflow.noop", "snakemake with a workflow of one empty rule", alone, "s"),
        *(
            Measurement("workflow.help", f"python -m {name} --help", value, "s", "<= 0.5")
            for name, value in helps.items()
        ),
        Measurement("workflow.test", "all tests, side by side", tests, "s", "<= 480"),
    ]
