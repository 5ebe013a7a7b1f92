"""What happened, kept and passed on: records, the shared folder, ready tasks, and teams of processes."""

import contextlib
import multiprocessing
import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from repro.codistill import shared
from repro.codistill.flat import FlatModel
from repro.codistill.learner import be_deterministic
from repro.codistill.patience import Patience
from repro.codistill.records import RECORD, UPDATE, Clock, Records, learning_path, origin_now, read_records
from repro.codistill.reducer import Reducer
from repro.codistill.replayed import learn
from repro.codistill.runtime import GroupRun
from repro.codistill.shared import GroupFolder
from repro.codistill.task import load_task
from repro.codistill.team import Job, Team, common_word
from repro.codistill.work import work
from repro.codistill.writer import Writer
from repro.errors import UserError
from simulation.schedule import Kind
from tests.codistill.codistill_tasks import conv_net, net
from tests.codistill.conftest import codistilled, describe_run, sync

CPU = torch.device("cpu")


# -- records --------------------------------------------------------------------------------------------------


def records_of(tmp_path, *rows):
    log = Records(tmp_path / "records", Clock(origin_now()), Patience(1.0))
    for name, *values in rows:
        if name == "update":
            log.update(0, values[0], values[0], 1)
        else:
            log.event(Kind[name], 0, values[0], peer=1, peer_version=values[1] if len(values) > 1 else -1, digest=5)
    log.close()
    return tmp_path / "records"


def test_a_torn_tail_is_dropped_and_a_spoilt_record_ends_the_file(tmp_path):
    path = records_of(tmp_path, ("update", 0), ("update", 1), ("PUBLISH", 2))
    whole = path.read_bytes()
    assert len(whole) == 3 * RECORD.itemsize
    for cut in range(1, RECORD.itemsize, 7):
        path.write_bytes(whole[:-cut])
        assert read_records(path)["kind"].tolist() == [UPDATE, UPDATE]
    path.write_bytes(whole[:-5])
    again = records_of(tmp_path, ("PUBLISH", 2))
    assert read_records(again)["kind"].tolist() == [UPDATE, UPDATE, Kind.PUBLISH]
    assert (np.diff(read_records(again)["time_ns"]) >= 0).all()
    spoilt = bytearray(whole)
    spoilt[RECORD.itemsize + 9] ^= 1
    path.write_bytes(spoilt)
    assert len(read_records(path)) == 1


def test_two_threads_may_record(tmp_path):
    log = Records(tmp_path / "records", Clock(origin_now()), Patience(1.0))
    threads = [threading.Thread(target=lambda: [log.update(0, v, v, 1) for v in range(200)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = read_records(tmp_path / "records")
    assert np.bincount(found["version"]).tolist() == [3] * 200
    assert (np.diff(found["time_ns"]) >= 0).all()


def test_rollbacks_take_back_what_came_after(tmp_path):
    rows = [("PUBLISH", 0), ("ADOPT", 0, 0), *(("update", v) for v in range(4)), ("PUBLISH", 2), ("ADOPT", 3, 2)]
    rows += [
        ("FAIL", 4),
        ("ROLLBACK", 4, 2),
        ("ADOPT", 2, 9),
        ("update", 2),
        ("FAIL", 3),
        ("ADOPT", 3, 5),
        ("update", 3),
    ]
    path = learning_path(read_records(records_of(tmp_path, *rows)))
    assert [int(r["version"]) for r in path.updates] == [0, 1, 2, 3]
    adopted = [(int(e["version"]), int(e["second"])) for e in path.events if e["kind"] == Kind.ADOPT]
    assert adopted == [(0, 0), (2, 9), (3, 5)]
    assert path.lost == 2
    with pytest.raises(UserError, match="group 0 skips from version 1"):
        learning_path(read_records(records_of(tmp_path, ("ROLLBACK", 4, 1), ("update", 3))))


def test_a_clock_from_elsewhere_counts_from_the_origin_too():
    origin = origin_now()
    here, there = Clock(origin), Clock(origin | {"boot": "another", "monotonic_ns": 5})
    assert here.same_host
    assert not there.same_host
    assert abs(here() - there()) < 50_000_000


# -- the shared folder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("all_later", "kept"), [(True, [8, 12, 16, 20]), (False, [8, 16, 20])])
def test_snapshots_stay_while_somebody_may_read_them(tmp_path, all_later, kept):
    layout = FlatModel(net(0, 12, 0.0, False), CPU).layout
    mine, other = GroupFolder(tmp_path, 0), GroupFolder(tmp_path, 1)
    for folder in (mine, other):
        folder.open()
    for version in range(4, 24, 4):
        mine.publish(version, layout, torch.zeros(layout.size), 1, "m")
    mine.retain([other], all_later)
    assert mine.snapshots() == [4, 8, 12, 16, 20]  # the other has not begun
    other.write_needs({0: [8]})
    mine.retain([other], all_later)
    assert mine.snapshots() == kept
    other.write_needs({0: [2**31 - 1]})
    mine.retain([other], all_later)
    assert mine.snapshots() == [16, 20]
    for folder in (mine, other):
        folder.close()


def test_a_forked_process_does_not_hold_the_lock(tmp_path, monkeypatch):
    first = GroupFolder(tmp_path, 0)
    first.open()
    helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
    helper.start()
    monkeypatch.setattr(shared, "LOCK_PATIENCE_S", 0.1)
    with pytest.raises(UserError, match="group 0 runs already"):  # its owner still does
        GroupFolder(tmp_path, 0).open()
    first.close()
    monkeypatch.setattr(shared, "LOCK_PATIENCE_S", 30.0)
    second = GroupFolder(tmp_path, 0)
    second.open()
    second.close()
    assert helper.is_alive()
    helper.kill()
    helper.join()


def test_the_writer_writes_in_order_and_stops_at_a_failure():
    written = []
    writer = Writer()
    for i in range(4):
        writer.submit(lambda i=i: written.append(i))
    writer.submit(lambda: (_ for _ in ()).throw(UserError("no")))
    with contextlib.suppress(UserError):
        writer.submit(lambda: written.append("after"))
    writer.close()
    with pytest.raises(UserError, match="no"):
        writer.submit(lambda: written.append("after"))
    assert written == [0, 1, 2, 3]


# -- ready tasks ----------------------------------------------------------------------------------------------


def test_ready_tasks_learn(tmp_path):
    """Digits: both nets learn, and are less sure than untaught ones, since teachers are younger than who they teach."""
    task = load_task("repro.codistill.tasks:digits", {"hidden": [32], "dropout": 0.1})
    images, model = task.batch(torch.arange(200), 0)[0], task.model(0).eval()
    sure = {}
    for weight in (1.0, 1e-9):
        protocol = codistilled(sync(1), interval_steps=10, burn_in_steps=20)
        run = describe_run(tmp_path, protocol, updates=120, batch_size=16, distillation={"weight": weight})
        learned = learn(task, run.model_copy(update={"evaluate_updates": None}))
        for curve in learned.curves:
            assert next(p.value for p in curve if p.metric == "errors") < 72  # of 360
        outputs = [functional_call(model, dict(p), images).softmax(1) for p in learned.parameters]
        sure[weight] = [float(each.max(1).values.mean()) for each in outputs]
    assert max(sure[1.0]) < min(sure[1e-9])
    assert len(load_task("repro.codistill.tasks:noise", {"examples": 9}).batch(torch.arange(4), 0)[0]) == 4


# -- the order of a step --------------------------------------------------------------------------------------


class Noting(Team):
    """One worker whose gradients travel nowhere; notes when they leave and when they are waited for."""

    def __init__(self, notes):
        super().__init__(1, 0)
        self.notes = notes

    def start_sum(self, tensor):
        self.notes.append("sent")
        return SimpleNamespace(wait=lambda: self.notes.append("arrived"))


def test_the_next_batch_is_taught_while_gradients_travel(tmp_path, monkeypatch):
    """But where other teachers come in between; and an update never uses outputs of teachers that are gone."""
    run = describe_run(tmp_path / "run", codistilled(pickup="latest"), patience_s=0.01)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    notes, steps = [], []
    with torch.random.fork_rng():
        assert work(run, 0) == 0
        job = Job(1, 0, CPU, Noting(notes), Team(1, 0), Team(1, 0))
        training = GroupRun(run, load_task(run.task, run.task_settings), job)
        told = training.learner.told
        monkeypatch.setattr(training.learner, "told", lambda *said: notes.append("told") or told(*said))
        training.begin()
        for _ in range(9):
            training.advance()
            steps.append(" ".join(notes))
            notes.clear()
        training.close()
    untaught, ahead = "sent arrived", "sent told arrived"
    assert steps == [*[untaught] * 4, "told sent told arrived", *[ahead] * 2, untaught, "told sent told arrived"]


# -- GPUs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(None, ":4096:8"), (":16:8", ":16:8")])
def test_deterministic_products_find_their_workspace(monkeypatch, before, after):
    """What cuBLAS asks for, unless the user has said it already."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before or "")
    if before is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    asked = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    be_deterministic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == after
    assert asked == [True]
    assert not torch.backends.cudnn.benchmark


# -- teams ----------------------------------------------------------------------------------------------------


class Doubling(Team):
    """Stands for two workers that have the same numbers: a sum is twice as much. Notes what was sent."""

    def __init__(self):
        super().__init__(2, 0)
        self.sent = []

    def start_sum(self, tensor):
        self.sent.append(tensor)
        tensor.mul_(2)


def test_gradients_leave_in_pieces_in_one_order():
    plain, flat = conv_net(), FlatModel(conv_net(), CPU)
    team = Doubling()
    reducer = Reducer(flat, team, bucket_bytes=200)
    x, y = torch.randn(7, 3, 6, 6), torch.randint(5, (7,))
    F.cross_entropy(plain(x), y).backward()
    for _ in range(2):  # only the second backward pass is the last
        flat.gradient.zero_()
        team.sent.clear()
        F.cross_entropy(flat.model(x), y).backward()
        assert team.sent == []
        flat.gradient.zero_()
        reducer.arm()
        F.cross_entropy(flat.model(x), y).backward()
        sent_before_the_end = len(team.sent)
        flat.collect()
        reducer.start()
        reducer.finish()
    assert sent_before_the_end == 2 < len(team.sent)
    assert [t.storage_offset() for t in team.sent[:2]] == [flat.trained - 325, 0]
    assert sum(t.numel() for t in team.sent) == flat.size + 1
    gradient = flat.layout.one(flat.gradient[: flat.size])
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad)


class Store:
    """A store that remembers an earlier attempt."""

    def __init__(self):
        self.lock = threading.Lock()
        self.values = {"hello/1": b"dead1", "hello/2": b"dead2"}

    def set(self, key, value):
        with self.lock:
            self.values[key] = value.encode()

    def check(self, keys):
        return all(key in self.values for key in keys)

    def get(self, key):
        while key not in self.values:
            threading.Event().wait(0.001)
        return self.values[key]

    def add(self, key, amount):
        with self.lock:
            self.values[key] = str(int(self.values.get(key, b"0")) + amount).encode()
            return int(self.values[key])


def test_processes_find_a_word_that_the_dead_did_not_know():
    store, words = Store(), {}

    def meet(rank):
        words[rank] = common_word(store, rank, 3)

    for _ in range(3):  # attempt after attempt on one store
        threads = [threading.Thread(target=meet, args=(rank,)) for rank in (0, 2, 1)]
        before = dict(words)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(set(words.values())) == 1
        assert words != before
