"""Runs whose batches come from a folder of pictures, decoded by processes that the workers start."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.codistill.local import launch
from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn
from repro.codistill.task import load_task
from tests.codistill.conftest import codistilled, describe_run

TASK = "tests.codistill.codistill_tasks:pictures"
PER_CLASS = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of small JPEGs of noise, one darker than the other."""
    draw = np.random.default_rng(0)
    for part in ("train", "val"):
        for label, name in enumerate(("dark", "light")):
            place = tmp_path / "set" / part / name
            place.mkdir(parents=True)
            for number in range(PER_CLASS):
                pixels = draw.integers(128 * label, 128 * (label + 1), (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.jpeg")
    return tmp_path / "set"


def of_pictures(folder: Path, protocol, processes: int, **changes):
    settings = {"folder": str(folder), "processes": processes}
    return describe_run(
        folder.parent / "run", protocol, task=TASK, task_settings=settings, updates=12, batch_size=4, **changes
    )


def test_groups_whose_workers_have_loaders_in_processes(folder):
    run = of_pictures(folder, codistilled(), processes=2)
    launch(run, log=folder.parent / "log")
    here = load_task(run.task, run.task_settings | {"processes": 0})
    learned = learn(here, run, recorded_schedule(run))
    assert learned.checked
    assert not learned.mismatches  # the very batches that this process decodes by itself
