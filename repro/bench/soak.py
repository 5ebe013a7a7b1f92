"""``soak.*``: the workflow at scale quick, killed by SIGKILL at random moments and started again, ends the same.

Some papers' worth of experiments are run once in peace, then in a second copy of the repository that is killed, all
processes of it at once, 50 times; whenever it gets to its end before that it begins anew. Every number on record is
then compared byte for byte. Papers whose rows hold measured seconds have no place here.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from repro.bench import Measurement
from repro.bench.workflow import fresh_copy, own_environment

TARGETS = ("hinton2015", "scaling", "werfel2005", "dettmers2017")
KILLS = 50
LIFE_S = (1.0, 40.0)
SEED = 0


def _start(copy: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "snakemake", *TARGETS]
    return subprocess.Popen(
        words, cwd=copy, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _unlock(copy: Path, environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "snakemake", "--unlock", *TARGETS]
    subprocess.run(words, cwd=copy, env=environment, check=True, capture_output=True)


def _to_the_end(copy: Path, environment: dict[str, str]) -> None:
    if _start(copy, environment).wait():
        raise RuntimeError(f"the workflow in {copy} failed; run it there to see why")


def _numbers(copy: Path) -> dict[str, bytes]:
    """What is on record, but for how long it took and on what."""
    found = sorted((copy / "results" / "quick").glob("*/*/*.csv"))
    return {str(path.relative_to(copy)): path.read_bytes() for path in found if path.name != "timing.csv"}


def killed_often(folder: Path, kills: int = KILLS) -> tuple[Path, int, int]:
    """A copy whose workflow was killed so often and then ended; how often it died, and got to its end before."""
    draw, ends, deaths = random.Random(SEED), 0, 0
    copy, environment = fresh_copy(folder / "killed"), own_environment(folder / "killed-cache")
    while kills:
        process = _start(copy, environment)
        try:
            if process.wait(timeout=draw.uniform(*LIFE_S)):
                raise RuntimeError(f"the workflow in {copy} failed; run it there to see why")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                continue  # it had just come to its end
            kills -= 1
            deaths += 1
            _unlock(copy, environment)
            print(f"soak: {kills} kills left, {len(_numbers(copy))} files on record", flush=True)
        else:
            ends += 1
            for left in (copy / "results" / "quick", folder / "killed-cache"):
                shutil.rmtree(left)
    _to_the_end(copy, environment)
    return copy, deaths, ends


def measure() -> list[Measurement]:
    """All rows of ``soak.*``."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        calm = fresh_copy(folder / "calm")
        _to_the_end(calm, own_environment(folder / "calm-cache"))
        killed, deaths, ends = killed_often(folder)
        wanted, found = _numbers(calm), _numbers(killed)
        same = sum(found.get(name) == content for name, content in wanted.items())
    return [
        Measurement("soak.workflow", "kills survived", deaths, "kills", f">= {KILLS}"),
        Measurement("soak.workflow", "workflows that ended", ends + 1, "workflows"),
        Measurement("soak.workflow", "files on record, byte for byte the same", same, "files", f">= {len(wanted)}"),
    ]
