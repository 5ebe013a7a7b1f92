"""Runs that are killed end with the same bits as runs that are not; checkpoints are whole or absent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from repro.errors import UserError
from repro.models.mlp import mlp
from repro.training import checkpoint
from repro.training.checkpoint import State, write_tensors
from repro.training.curves import Point
from repro.training.inputs import inputs_for
from repro.training.loop import train
from repro.training.settings import Training

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ends() -> dict[str, dict[str, Any]]:
    """What every scenario of ``killed_runs.py`` ended with."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_runs.py"))],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return {line["scenario"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_killed_and_resumed_runs_end_with_the_same_bits(ends: dict[str, dict[str, Any]]) -> None:
    unkilled = ends["unkilled"]
    assert len(unkilled["curves"]) == 5 + 2 * 3
    assert len(ends) > 15
    for name, end in ends.items():
        assert end["killed"] == end["deaths"], name  # or nothing was tried
        assert end["weights"] == unkilled["weights"], name
        assert end["curves"] == unkilled["curves"], name


def test_a_run_goes_on_where_its_last_checkpoint_was(ends: dict[str, dict[str, Any]]) -> None:
    # 5 epochs of 4 steps; the last process takes up the epoch in which the one before it was killed.
    expected = {"unkilled": 20, "step 3": 20, "step 4": 20, "step 5": 16, "step 11": 12, "step 20": 4}
    expected |= {"each epoch twice": 4, "evaluation 1": 16, "evaluation 3": 4}
    expected |= {"write 1": 20, "rename 1": 20, "write 3": 12, "rename 3": 12}
    expected |= {"torn": 20, "empty": 20, "garbage": 20}
    assert {name: ends[name]["steps"] for name in expected} == expected


def test_a_killed_write_leaves_nothing_to_be_seen(ends: dict[str, dict[str, Any]]) -> None:
    assert ends["write 1"]["visible"] == ends["rename 1"]["visible"] == []
    for end in ends.values():
        assert set(end["visible"]) <= {"checkpoint"}, end["scenario"]
    assert ends["rename 3"]["visible"] == ["checkpoint"]


def a_state() -> State:
    points = [Point(1, 9, "train", "loss", 0.1 + 0.2), Point(1, 9, "test", "errors", 17.0)]
    return State(3, {"model.w": torch.randn(4, 3).t(), "momentum.w": torch.randn(3, 4)}, points)


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    state = a_state()
    checkpoint.save(tmp_path / "new" / "c", state)
    back = checkpoint.load(tmp_path / "new" / "c", CPU)
    assert back is not None
    assert (back.epoch, back.points) == (state.epoch, state.points)
    assert back.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(back.tensors[name], tensor) for name, tensor in state.tensors.items())
    assert os.listdir(tmp_path / "new") == ["c"]


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 500, b"{}" * 200, "torn", "long"])
def test_what_is_no_checkpoint_is_none(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "c"
    assert checkpoint.load(path, CPU) is None
    checkpoint.save(path, a_state())
    whole = path.read_bytes()
    path.write_bytes({"torn": whole[:-3], "long": whole + b"x"}.get(content, content))  # type: ignore[arg-type]
    assert checkpoint.load(path, CPU) is None


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"epoch": "3"}, {"points": "[]"}, {"epoch": "x", "points": "[]"}, {"epoch": "3", "points": "[[1]]"}],
)
def test_tensors_without_a_state_are_no_checkpoint(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"model.w": torch.ones(2)}, tmp_path / "c", metadata)
    assert checkpoint.load(tmp_path / "c", CPU) is None


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    write_tensors(path, {"w": torch.ones(3)})

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError) as raised:
            write_tensors(path, {"w": torch.zeros(3)})
    assert str(raised.value) == f"{path}: cannot be written (No space left on device); nothing was changed"
    assert os.listdir(tmp_path) == ["weights"]
    assert torch.equal(load_file(path)["w"], torch.ones(3))


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_tensors(tmp_path / "file" / "weights", {"w": torch.ones(3)})


def test_files_have_the_permissions_of_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_tensors(tmp_path / "weights", {"w": torch.ones(3)})
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_no_checkpoint_before_its_time_nor_after_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.zeros(20, 3, 3, dtype=torch.uint8)
    saved: list[int] = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda path, state: (saved.append(state.epoch), save(path, state)))

    def run(interval_s: float) -> list[int]:
        saved.clear()
        (tmp_path / "c").unlink(missing_ok=True)
        settings = Training(epochs=4, batch_size=8, precision="float32")

        def objective(logits: Tensor, index: Tensor) -> Tensor:
            return logits.square().mean()

        model = mlp((9, 4, 2), seed=0)
        train(
            model,
            inputs_for(images, 0),
            objective,
            20,
            settings,
            seed=0,
            name="net",
            checkpoint=tmp_path / "c",
            checkpoint_interval_s=interval_s,
        )
        return list(saved)

    assert run(0.0) == [1, 2, 3]
    assert run(3600.0) == []
    assert not (tmp_path / "c").exists()
