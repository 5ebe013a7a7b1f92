"""Bad input: one clear line, every process ends with a status, nobody hangs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.codistill import cli
from repro.codistill import work as work_module
from repro.codistill.learner import Learner
from repro.codistill.local import launch
from repro.codistill.rows import Rows
from repro.codistill.settings import load_run
from repro.codistill.shared import GroupFolder, agree_on_run, snapshot_parameters
from repro.codistill.task import Task, load_task
from repro.codistill.work import work
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError
from tests.codistill.conftest import codistilled, describe_run, dump, sync

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with torch.random.fork_rng():
        yield


def told(capsys):
    """The one line."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("protocol", "group", "world", "line"),
    [
        (sync(2), None, 3, "3 processes do not divide into 1 group(s) of 2: start torchrun with 2 in all"),
        (codistilled(sync(2), exchange="predictions"), None, 3, "3 processes do not divide into 2 group(s) of 2"),
        (codistilled(sync(2)), 0, 4, "4 processes do not divide into group 0: start torchrun with 2 in all"),
        (codistilled(), None, 1, "--group: each of the 2 groups is a job of its own; give its number, 0 to 1"),
        (codistilled(), 2, 1, "--group 2: there are groups 0 to 1"),
        (sync(), 0, 1, "--group: all groups of this protocol are one job; leave it out"),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_do_not_fit_the_protocol(tmp_path, capsys, monkeypatch, protocol, group, world, line, rank):
    run = describe_run(tmp_path / "run", protocol)
    monkeypatch.setenv("WORLD_SIZE", str(world))
    monkeypatch.setattr(work_module, "LET_SPEAK_S", 0.0)
    monkeypatch.setenv("RANK", str(rank))
    assert work(run, group) == 2
    assert told(capsys).startswith(f"codistill: rank {rank}: {line}" if rank else f"codistill: {line}")
    assert not run.folder.exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"protocol": {"kind": "AsyncSGD", "workers": 2}}, "AsyncSGD is timed and replayed by the simulator; real"),
        ({"protocol": codistilled({"kind": "BackupWorkers", "workers": 2, "backups": 1})}, "BackupWorkers is timed"),
        ({"protocol": sync() | {"aggregation": "parameter_servers"}}, "parameter_servers are for the simulator"),
        ({"protocol": codistilled(interval_steps=24)}, "the first teachers come at update 24, the run ends at 24"),
        ({"protocol": {"kind": "SyncSDG", "workers": 1}}, "unknown 'SyncSDG'"),
        ({"updatse": 3}, "updatse: unknown key, did you mean updates?"),
        ({"accumulation": 3}, "accumulation: 3 equal parts of batch_size 8 are none"),
        ({"optimizer": {"kind": "adam", "learning_rate": 0.1, "momentum": 0.9}}, "momentum has no effect on adam"),
        ({"optimizer": {"learning_rate": 0.1, "milestone_factor": 0.5}}, "milestone_factor has no effect without mil"),
        (
            {"optimizer": {"learning_rate": 0.1, "decay_norms": False}},
            "decay_norms: false has no effect without weight",
        ),
        (
            {"optimizer": {"learning_rate": 0.1, "decay_norms": False, "weight_decay_steps": [[5, 0]]}},
            "decay_norms: false has no effect without weight",
        ),
        ({"distillation": {"loss": "kl"}}, "nobody teaches without protocol: Codistillation"),
        ({"split": "disjoint"}, "a single group has all the data"),
        ({"optimizer": {"learning_rate": 0}}, "greater than 0"),
        (
            {"device": "cuda:1"},
            "device: cuda:1 names one GPU, and each process takes that of its local rank",
        ),
        ({"backend": "nccl"}, "backend: nccl has no effect on a job of one process; leave it out"),
        ({"backend": "gloo", "protocol": codistilled()}, "backend: gloo has no effect on a job of one process"),
        (
            {
                "protocol": {"kind": "LocalSGD", "workers": 2, "interval_steps": 2, "momentum": "reset"},
                "optimizer": {"learning_rate": 0.1},
            },
            "momentum: reset has no effect on sgd without momentum; give optimizer.momentum or leave it out",
        ),
    ],
)
def test_files_that_describe_no_run(tmp_path, capsys, alone, change, line):
    plain = json.loads(dump(describe_run(tmp_path / "run", sync()), tmp_path / "run.yaml").read_text())
    (tmp_path / "run.yaml").write_text(json.dumps(plain | change))
    assert cli.main(["run", str(tmp_path / "run.yaml")]) == 2
    error = told(capsys)
    assert line in error
    assert "run.yaml" in error or "protocol: " in error


def test_options_that_have_an_effect_are_taken(tmp_path):
    local = {"kind": "LocalSGD", "workers": 2, "interval_steps": 2, "momentum": "average"}
    for protocol, size in ((local, 2), (codistilled(exchange="predictions"), 2), (codistilled(sync(3)), 3)):
        run = describe_run(tmp_path, protocol, backend="gloo", device="cuda")
        assert run.job_size == size
    assert describe_run(tmp_path, local, optimizer={"kind": "adam", "learning_rate": 0.1}).workers == 2


def test_a_run_file_says_what_it_means(tmp_path):
    run = describe_run(tmp_path / "run", codistilled(burn_in_steps=5), seed=3)
    assert load_run(dump(run, tmp_path / "run.yaml")) == run


def test_two_groups_of_one_name(tmp_path, capsys, alone, monkeypatch):
    monkeypatch.setattr("repro.codistill.shared.LOCK_PATIENCE_S", 0.2)
    run = describe_run(tmp_path / "run", codistilled())
    first = GroupFolder(run.folder, 1)
    first.open()
    assert work(run, 1) == 2
    assert f"group 1 runs already ({os.uname().nodename}, process {os.getpid()})" in told(capsys)
    first.close()


def test_another_run_in_the_folder(tmp_path, capsys, alone):
    run = describe_run(tmp_path / "run", sync(), updates=3)
    assert work(run, None) == 0
    assert work(run.model_copy(update={"batch_size": 4}), None) == 2
    assert "is of another run: batch_size is 8 there and 4 here" in told(capsys)
    assert work(run.model_copy(update={"task_settings": {"features": 9}}), None) == 2
    assert "holds snapshots of another model (0.weight:16x12 there, 0.weight:16x9 here)" in told(capsys)
    assert work(run.model_copy(update={"patience_s": 1.0}), None) == 0  # not a thing of the run itself


def test_a_snapshot_of_another_model(tmp_path, capsys, alone):
    run = describe_run(tmp_path / "run", codistilled(pickup="latest"), patience_s=0.01)
    assert work(run, 0) == 0
    path = GroupFolder(run.folder, 0)._file("snapshot", 24)
    other = describe_run(
        tmp_path / "other", codistilled(pickup="latest"), patience_s=0.01, task_settings={"norm": True}
    )
    assert work(other, 0) == 0
    path.write_bytes(GroupFolder(other.folder, 0)._file("snapshot", 24).read_bytes())
    capsys.readouterr()
    assert work(run, 1) == 2
    assert "snapshot-00000024.safetensors: is of another model (0.weight:12 there, 0.weight:16x12 here)" in told(capsys)


def test_a_gpu_that_is_not_there_and_options_for_one(tmp_path, capsys, alone):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    run = describe_run(tmp_path / "run", sync())
    assert work(run.model_copy(update={"device": "cuda"}), None) == 2
    assert "device: cuda was asked for and there is none here" in told(capsys)
    for option in ("channels_last", "compile", "deterministic"):
        assert work(run.model_copy(update={option: True}), None) == 2
        assert f"{option}: is for GPUs and this runs on the cpu" in told(capsys)


def test_a_loss_that_is_no_number_is_not_published(tmp_path, capsys, alone):
    run = describe_run(tmp_path / "run", sync(), optimizer={"learning_rate": 1e20})
    assert work(run, None) == 2
    assert "the loss is nan by step" in told(capsys)
    assert not list(run.folder.glob("group-0/*.safetensors"))


@pytest.mark.parametrize(("workers", "odd"), [(1, 1), (2, 3)])
def test_predictions_on_batches_that_differ(tmp_path, workers, odd):
    """With two workers a group, those of seat 0 have the same batches: the first process hears it from another."""
    run = describe_run(
        tmp_path / "run", codistilled(sync(workers), exchange="predictions"), task_settings={"differ": odd}
    )
    with pytest.raises(UserError, match=r"the run failed \(exit status 2\)"):
        launch(run, restarts=2, log=tmp_path / "log")  # a restart would not mend it: none is tried
    told = [line for line in (tmp_path / "log").read_text().splitlines() if "lost contact" not in line]
    assert len(told) == 1
    assert "predictions of step 4 were made on batches that differ between groups" in told[0]


def test_torchrun_ends_with_a_line_and_a_status(tmp_path):
    run = describe_run(tmp_path / "run", sync(3))
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    program += ["repro.codistill", "run", str(dump(run, tmp_path / "run.yaml"))]
    done = subprocess.run(
        program, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert done.stderr.count("codistill: 2 processes do not divide into 1 group(s) of 3") == 1


def test_tasks_that_are_none():
    with pytest.raises(UserError, match="cannot be loaded"):
        load_task("repro.codistill.nowhere:task", {})
    with pytest.raises(UserError, match="makes a Linear, not a Task"):
        load_task("torch.nn:Linear", {"in_features": 1, "out_features": 1})
    with pytest.raises(UserError, match=r"task_settings: .*unexpected keyword argument 'colour'"):
        load_task("repro.codistill.tasks:noise", {"colour": 1})


def test_models_that_cannot_be_laid_flat(tmp_path):
    run = describe_run(tmp_path, sync())

    def task(model):
        return Task(lambda seed: model, 100, lambda rows, key: (rows, rows))

    with pytest.raises(UserError, match=r"weight is torch\.float64; keep weights in float32"):
        Learner(task(torch.nn.Linear(2, 2).double()), run)
    with pytest.raises(UserError, match="give its momentum"):
        Learner(task(torch.nn.BatchNorm1d(3, momentum=None)), run)


def test_too_few_examples_and_nothing_recorded(tmp_path, capsys, alone):
    with pytest.raises(UserError, match="3 workers x 8 examples a step, and a group has only 20 examples"):
        Rows(describe_run(tmp_path, sync(3)), 20)
    run = describe_run(tmp_path / "run", codistilled())
    path = str(dump(run, tmp_path / "run.yaml"))
    assert cli.main(["schedule", path]) == 2
    assert "no run was recorded here" in told(capsys)
    agree_on_run(run.folder, {})
    assert cli.main(["replay", path]) == 2
    assert "group 0 has recorded no update yet" in told(capsys)
    with pytest.raises(UserError, match="no whole snapshot of version 8"):
        snapshot_parameters(run.folder, 0, 8)


def test_settings_refuse_what_protocols_refuse(tmp_path):
    with pytest.raises((ValueError, SimulatorError), match="predictions teach single steps"):
        describe_run(
            tmp_path, codistilled({"kind": "LocalSGD", "workers": 2, "interval_steps": 2}, exchange="predictions")
        )
