"""Runs of the toy experiment, and what they put on record."""

import shutil
from pathlib import Path
from types import ModuleType

from repro import config, experiment, runner
from repro.config import Scale

FOLDER = Path("results/quick/toy/coin")
FILES = {"runs.csv", "curves.csv", "timing.csv", "meta.json", "shares.csv"}
EVERYTHING = [f"toss {s}" for s in range(3)] + [f"toss.fair {s}" for s in range(3)] + ["mint 0", "mint 1"]


def coin() -> ModuleType:
    return experiment.module_of("toy", "coin")


def section(scale: Scale) -> config.Section:
    return scale.section("toy.coin")


def execute_all(scale: Scale, **options: bool) -> list[str]:
    """Executes every run; returns what was done for it, in order."""
    coin().DONE.clear()
    for run in scale.runs(section(scale)):
        runner.execute(scale, run, **options)
    return list(coin().DONE)


def record() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def run_of(scale: Scale, arm: str, seed: int) -> experiment.Run:
    (run,) = [r for r in scale.runs(section(scale)) if (r.arm.name, r.seed) == (arm, seed)]
    return run


def drop_cache() -> None:
    shutil.rmtree(runner.cache_folder())
