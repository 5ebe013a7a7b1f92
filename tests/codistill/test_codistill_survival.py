"""What a run lives through: lost groups, late ones, torn files, a full disk, a worker that torchrun starts again."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from repro.codistill import records, runtime, shared
from repro.codistill.local import launch
from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn
from repro.codistill.shared import GroupFolder
from repro.codistill.task import load_task
from repro.codistill.work import work
from repro.errors import UserError
from simulation.schedule import Kind
from tests.codistill.conftest import Killer, codistilled, describe_run, digests, dump, ended, recorded_bytes, sync

SLOW = {"delay_s": 0.02}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone(monkeypatch):
    """Runs of one process may happen in this one."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with torch.random.fork_rng():
        yield


def exact(run):
    learned = learn(load_task(run.task, run.task_settings), run, recorded_schedule(run))
    return learned.checked > 0 and not learned.mismatches


def adoptions(run, group):
    found = recorded_schedule(run).events.of(Kind.ADOPT)
    mine = found.group == group
    return list(zip(found.version[mine].tolist(), found.peer_version[mine].tolist(), strict=True))


def test_a_group_that_is_killed_for_good_teaches_on(tmp_path):
    log = tmp_path / "log"
    run = describe_run(tmp_path / "run", codistilled(), task_settings=SLOW, patience_s=3.0, updates=40)
    killer = Killer(run, [(1, 0, 22)])

    def lives_and_dies():
        with pytest.raises(UserError, match="group 1 failed"):
            launch(run, groups=[1], watch=killer)

    other = threading.Thread(target=lives_and_dies)
    other.start()
    launch(run, groups=[0], log=log)
    other.join()
    assert killer.killed == 1
    assert "nothing new from group 1 for 3 s; going on with its snapshot of step" in log.read_text()
    taught = adoptions(run, 0)
    assert 0 < len(taught) < 9  # no news after the kill
    assert ended(run)["updates"] == 40
    assert exact(run)
    launch(run, groups=[1], log=log)  # it comes back, and finds its old teachers
    assert [v for v, _ in adoptions(run, 1)] == [4 * k for k in range(1, 10)]
    assert "group 1 goes on from step" in log.read_text()
    assert exact(run)


def test_a_group_that_starts_late_learns_from_one_that_is_ahead(tmp_path, capfd, alone):
    run = describe_run(tmp_path / "run", codistilled(pickup="latest", burn_in_steps=8), patience_s=0.001)
    assert work(run, 0) == 0
    assert "going on with labels alone, as it has published none" in capfd.readouterr().err
    assert work(run, 1) == 0
    assert adoptions(run, 0) == []
    assert adoptions(run, 1) == [(8, 24)]  # a teacher from the future, and nothing newer ever after
    assert exact(run)


def test_torn_and_missing_snapshots_are_done_without(tmp_path, capfd, alone):
    run = describe_run(tmp_path / "run", codistilled(pickup="latest"), patience_s=0.01)
    assert work(run, 0) == 0
    folder = GroupFolder(run.folder, 0)
    torn, flipped, whole = (folder._file("snapshot", v) for v in folder.snapshots()[:-4:-1])
    torn.write_bytes(torn.read_bytes()[:-9])
    content = bytearray(flipped.read_bytes())
    content[-3] ^= 4
    flipped.write_bytes(content)
    assert work(run, 1) == 0
    error = capfd.readouterr().err
    assert "snapshot of version 24 is torn or gone; doing without it" in error
    assert "snapshot of version 20 is torn or gone; doing without it" in error
    assert adoptions(run, 1) == [(4, 16)]
    assert int(whole.stem.split("-")[1]) == 16
    assert exact(run)


def test_a_torn_checkpoint_costs_the_steps_since_the_one_before(tmp_path, capfd, alone, monkeypatch):
    whole = describe_run(tmp_path / "whole", sync())
    assert work(whole, None) == 0
    run = describe_run(tmp_path / "run", sync())
    with monkeypatch.context() as patched:
        patched.setattr(runtime.GroupRun, "_finish", lambda self: (_ for _ in ()).throw(UserError("stop")))
        assert work(run, None) == 2
    folder = GroupFolder(run.folder, 0)
    assert folder.checkpoints() == [7, 14, 21]
    path = folder._file("checkpoint", 21)
    path.write_bytes(path.read_bytes()[:200])
    with (run.folder / "group-0" / "records").open("ab") as file:
        file.write(b"\x01half a record")
    assert work(run, None) == 0
    assert "the checkpoint of step 21 is torn" in capfd.readouterr().err
    assert digests(run) == digests(whole)
    assert ended(run)["curve"] == ended(whole)["curve"]
    rolled_back = recorded_schedule(run).events.of(Kind.ROLLBACK)
    assert (rolled_back.version.tolist(), rolled_back.peer_version.tolist()) == ([24], [14])
    assert recorded_schedule(run).meta["lost_updates"] == [10]
    assert exact(run)


def test_a_recording_tells_whether_all_times_are_of_one_clock(tmp_path, alone, monkeypatch):
    run = describe_run(tmp_path / "run", sync())
    assert work(run, None) == 0
    assert recorded_schedule(run).meta["clock"] == "monotonic"
    monkeypatch.setattr(records, "boot_id", lambda: "another")  # restarted on another machine, exported on the first
    assert work(run, None) == 0
    monkeypatch.undo()
    assert recorded_schedule(run).meta["clock"] == "monotonic, offset by wall clocks at the start"


def test_a_full_disk_is_waited_for_and_then_told(tmp_path, capfd, alone, monkeypatch):
    whole = describe_run(tmp_path / "whole", sync())
    assert work(whole, None) == 0

    def full(path, tensors, metadata=None):
        raise UserError(f"{path}: cannot be written (No space left on device); nothing was changed")

    run = describe_run(tmp_path / "run", sync(), patience_s=0.6)
    write = shared.write_tensors
    calls = []

    def full_from_the_second(path, tensors, metadata=None):
        calls.append(path)
        (full if len(calls) > 1 else write)(path, tensors, metadata)

    with monkeypatch.context() as patched:
        patched.setattr(shared, "write_tensors", full_from_the_second)
        assert work(run, None) == 2
    error = capfd.readouterr().err
    assert "No space left on device); nothing was changed; trying again for 0.6 s" in error
    assert "make room and start again: the run goes on from its last checkpoint" in error
    assert GroupFolder(run.folder, 0).checkpoints() == [7]
    calls.clear()

    def full_once(path, tensors, metadata=None):
        calls.append(path)
        (full if len(calls) == 1 else write)(path, tensors, metadata)

    with monkeypatch.context() as patched:
        patched.setattr(shared, "write_tensors", full_once)
        assert work(run, None) == 0
    assert "written at last" in capfd.readouterr().err
    assert digests(run) == digests(whole)
    assert exact(run)


@pytest.mark.parametrize("last", ["write_needs", "write_ended"])
def test_a_disk_that_is_full_at_the_very_end_is_waited_for(tmp_path, capfd, alone, monkeypatch, last):
    """With nothing left but the note that the group has ended."""
    run = describe_run(tmp_path / "run", sync())
    write, calls = getattr(GroupFolder, last), []

    def full_once(folder, content):
        calls.append(content)
        if len(calls) == 1:
            raise UserError(f"{folder.path}: cannot be written (No space left on device)")
        write(folder, content)

    monkeypatch.setattr(GroupFolder, last, full_once)
    monkeypatch.setattr("repro.codistill.patience.RETRY_S", 0.0)
    assert work(run, None) == 0
    assert len(calls) == 2
    assert calls[0] == calls[1]
    assert "No space left on device); trying again for 60 s" in capfd.readouterr().err
    assert ended(run)["updates"] == 24


def test_records_that_find_no_room_are_neither_lost_nor_torn(tmp_path, alone, monkeypatch):
    run = describe_run(tmp_path / "run", sync(), updates=5)
    pwrite, calls = os.pwrite, []

    def short(file, content, offset):
        calls.append(offset)
        return pwrite(file, content[: 7 if len(calls) == 3 else None], offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", short)
        patched.setattr("repro.codistill.patience.RETRY_S", 0.0)
        assert work(run, None) == 0
    assert len(calls) == 5 + 1 + 1  # updates, the end's digest, and one again
    assert exact(run)


def test_torchrun_starts_a_group_again_that_lost_a_worker(tmp_path):
    whole = describe_run(tmp_path / "whole", sync(2), task_settings=SLOW, updates=40)
    launch(whole)
    run = whole.model_copy(update={"folder": tmp_path / "run"})
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program += ["--max-restarts", "1", "-m", "repro.codistill", "run", str(dump(run, tmp_path / "run.yaml"))]
    with subprocess.Popen(program, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE) as job:
        deadline = time.monotonic() + 300
        while recorded_bytes(run, 0) < 600 and time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.02)
        worker = _second_worker(job.pid)
        os.kill(worker, 9)
        error = job.communicate(timeout=300)[1].decode()
    assert job.returncode == 0, error
    assert "goes on from step" in error
    assert digests(run) == digests(whole)
    assert exact(run)


def _second_worker(parent):
    """The process of rank 1 that torchrun started."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("no worker of rank 1")


def unforeseen(run, group, method):
    raise ZeroDivisionError("nobody thought of this")


def test_an_unforeseen_error_leaves_its_traceback(tmp_path):
    run = describe_run(tmp_path / "run", sync())
    with pytest.raises(UserError, match=r"the run failed \(exit status 1\)"):
        launch(run, log=tmp_path / "log", work=unforeseen)
    log = (tmp_path / "log").read_text()
    assert log.startswith("Traceback")
    assert log.endswith("ZeroDivisionError: nobody thought of this\n")


def whose_environment(run, group, method):
    Path(run.folder).with_suffix(".txt").write_text(os.environ["TOLD"])
    return 0


@pytest.mark.parametrize("told", ["once", "twice"])
def test_what_is_launched_has_the_environment_of_its_launch(tmp_path, monkeypatch, told):
    monkeypatch.setenv("TOLD", told)  # the server that processes are forked from may be as old as the first launch
    launch(describe_run(tmp_path / "run", sync()), work=whose_environment)
    assert (tmp_path / "run.txt").read_text() == told
