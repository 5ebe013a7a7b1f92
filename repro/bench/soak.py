"""``soak.*``: the workflow at scale quick, killed by SIGKILL at random moments and started again, ends the same.

All experiments whose rows hold no measured seconds are run once in peace, then in a second copy of the repository that
is killed, all processes of it at once, 50 times; whenever it gets to its end before that it begins anew. Every number
on record and the comparison are then held against each other byte for byte.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import config
from repro.bench import Measurement
from repro.bench.workflow import fresh_copy, own_environment
from repro.machine import ROOT

TIMED = {
    "anil2018.prediction_against_measurement",
    "bucila2006.adult",
    "bucila2006.adult_mimics",
    "bucila2006.letters",
    "bucila2006.letters_mimics",
    "ren2022.cost",
    "zhang2017.cpu_time",
}
"""Experiments that measure seconds: no two runs of them are alike."""
KILLS = 50
LIFE_S = (1.0, 40.0)
SEED = 0


@dataclass
class Count:
    """What befell the workflow that was killed."""

    kills: int = 0  # that ended a workflow under way
    amid_jobs: int = 0  # of these, while some job was making its files
    ends: int = 0  # workflows that got to their end


def targets() -> list[str]:
    """Every experiment of scale quick but the timed ones, as the workflow names them."""
    sections = config.load(ROOT / "config" / "quick.yaml").sections()
    return [f"{section.paper}_{section.experiment}" for section in sections if section.name not in TIMED]


@dataclass(frozen=True)
class Copy:
    """A copy of the repository with a cache of its own, and what its workflow is asked for."""

    folder: Path
    cache: Path
    targets: Sequence[str]

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A program in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder, env=own_environment(self.cache), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def workflow(self, *options: str) -> subprocess.Popen[bytes]:
        return self.start("snakemake", *options, *self.targets)

    def done(self, process: subprocess.Popen[bytes], timeout_s: float | None = None) -> None:
        """Wait for a program's end.

        Raises:
            RuntimeError: it failed.
            subprocess.TimeoutExpired: it has not ended in time.
        """
        if process.wait(timeout_s):
            raise RuntimeError(f"{' '.join(map(str, process.args[1:]))} failed in {self.folder}")  # type: ignore[index]

    def numbers(self) -> dict[str, bytes]:
        """What is on record, but for how long it took and on what; and, once made, the comparison."""
        results = self.folder / "results" / "quick"
        found = [*results.glob("*/*/*.csv"), *results.glob("comparison.csv")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found if path.name != "timing.csv"}

    def finish(self) -> dict[str, bytes]:
        """Run the workflow to its end and compare; the numbers then."""
        self.done(self.workflow())
        self.done(self.start("repro", "compare"))
        return self.numbers()


def killed_often(copy: Copy, kills: int, life_s: tuple[float, float]) -> Count:
    """Start the workflow again and again, and kill it so often after a time drawn from ``life_s``."""
    draw, count = random.Random(SEED), Count()
    for left in reversed(range(kills)):
        while True:
            process = copy.workflow()
            try:
                copy.done(process, draw.uniform(*life_s))
            except subprocess.TimeoutExpired:
                break
            count.ends += 1
            for made in (copy.folder / "results" / "quick", copy.cache):
                shutil.rmtree(made)
        amid = any((copy.folder / ".snakemake" / "incomplete").glob("*"))  # Snakemake's own marks
        os.killpg(process.pid, signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        count.kills += killed
        count.amid_jobs += killed and amid
        copy.done(copy.workflow("--unlock"))
        print(f"soak: {left} kills left, {len(copy.numbers())} files on record", flush=True)
    return count


def rows(targets: Sequence[str], kills: int = KILLS, life_s: tuple[float, float] = LIFE_S) -> list[Measurement]:
    """The rows for these targets of the workflow.

    Raises:
        RuntimeError: a workflow failed that nobody had killed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        calm, killed = (
            Copy(fresh_copy(Path(temporary, name)), Path(temporary, f"{name}-cache"), targets)
            for name in ("calm", "killed")
        )
        wanted = calm.finish()
        count = killed_often(killed, kills, life_s)
        found = killed.finish()
    same = sum(found.get(name) == content for name, content in wanted.items())
    return [
        Measurement("soak.workflow", "kills of a workflow under way", count.kills, "kills", f">= {kills}"),
        Measurement("soak.workflow", "of these, amid a job", count.amid_jobs, "kills"),
        Measurement("soak.workflow", "workflows that ended", count.ends + 1, "workflows"),
        Measurement(
            "soak.workflow", "files byte for byte the same, comparison included", same, "files", f">= {len(wanted)}"
        ),
    ]


def measure() -> list[Measurement]:
    """All rows of ``soak.*``."""
    return rows(targets())
