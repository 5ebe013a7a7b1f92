"""Runs whose batches come from a folder of pictures, decoded by processes that the workers start."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.codistill import cli, shared
from repro.codistill.local import launch
from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn
from repro.codistill.rows import Rows
from repro.codistill.shared import GroupFolder
from repro.codistill.task import load_task
from repro.data import folders
from repro.errors import UserError
from tests.codistill.conftest import codistilled, describe_run, dump, recorded_bytes, sync

TASK = "tests.codistill.codistill_tasks:pictures"
PER_CLASS = 12
ROOT = Path(__file__).parents[2]


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
        folder.parent / "run", protocol, task=TASK, task_settings=settings, batch_size=4, **{"updates": 12} | changes
    )


def test_groups_whose_workers_have_loaders_in_processes(folder):
    run = of_pictures(folder, codistilled(), processes=2)
    launch(run, log=folder.parent / "log")
    here = load_task(run.task, run.task_settings | {"processes": 0})
    learned = learn(here, run, recorded_schedule(run))
    assert learned.checked
    assert not learned.mismatches  # the very batches that this process decodes by itself


def spoil(folder: Path, number: int) -> Path:
    path = folder / "train" / "light" / f"{number}.jpeg"
    path.write_bytes(path.read_bytes()[:40])
    return path


@pytest.mark.parametrize("processes", [0, 1])
def test_a_picture_that_cannot_be_read_is_one_line(folder, capsys, processes):
    path = spoil(folder, 3)
    run = of_pictures(folder, sync(), processes)
    with torch.random.fork_rng():
        assert cli.main(["run", str(dump(run, folder.parent / "run.yaml"))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"codistill: {path}: cannot be read as an image (")
    assert lines[0].endswith("); restore or remove it")


def test_a_picture_that_one_worker_cannot_read_ends_all(folder):
    """The second worker meets it alone; the first tells it, though it waits for the second one's gradients."""
    run = of_pictures(folder, sync(2), processes=1)
    rows = Rows(run, 2 * PER_CLASS)
    first = rows(1, 0)[0].item()
    part = folders.read(folder, "made").train
    part.files[first].write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"the run failed \(exit status 2\)"):
        launch(run, log=folder.parent / "log")
    line = f"codistill: rank 1: {part.files[first]}: cannot be read as an image ("
    assert (folder.parent / "log").read_text().startswith(line)
    assert len((folder.parent / "log").read_text().splitlines()) == 1


def test_a_killed_launcher_leaves_nobody_behind(folder, monkeypatch):
    run = of_pictures(folder, sync(), processes=1, updates=10**6)
    program = [sys.executable, "-m", "repro.codistill", "launch", str(dump(run, folder.parent / "run.yaml"))]
    launcher = subprocess.Popen(program, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not recorded_bytes(run, 0) and time.monotonic() < deadline and launcher.poll() is None:
        time.sleep(0.02)
    assert recorded_bytes(run, 0), "it trains"
    assert launcher.poll() is None
    launcher.kill()
    launcher.communicate(timeout=300)  # until nobody has its standard error any more
    monkeypatch.setattr(shared, "LOCK_PATIENCE_S", 0.2)
    group = GroupFolder(run.folder, 0)
    group.open()  # nor the group's lock
    group.close()
