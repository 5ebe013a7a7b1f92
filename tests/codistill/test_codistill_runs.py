"""Real processes: what they record replays to every digest; kills change nothing, or are recorded as they happened."""

import pytest
import torch

from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn, lock_step
from repro.codistill.task import load_task
from simulation.digest import digest
from simulation.schedule import Kind
from tests.codistill.conftest import codistilled, digests, ended, sync


def replayed(run):
    """The run repeated in this process from its recording; every snapshot compared."""
    learned = learn(load_task(run.task, run.task_settings), run, recorded_schedule(run))
    assert [f"{digest(p):016x}" for p in learned.parameters] == digests(run) or learned.mismatches
    return learned


LOCAL = {"kind": "LocalSGD", "workers": 2, "interval_steps": 2}
SLOW = {"delay_s": 0.05}


@pytest.mark.parametrize(
    ("protocol", "changes", "snapshots"),
    [
        (sync(2), {"task_settings": {"norm": True, "dropout": 0.3}, "accumulation": 2}, 4),
        (LOCAL | {"momentum": "average"}, {"optimizer": {"kind": "adam", "learning_rate": 0.01}}, 4),
        (codistilled(sync(2), burn_in_steps=6), {"split": "disjoint", "task_settings": {"norm": True}}, 2 * 9),
        (codistilled(LOCAL, groups=3, pickup="latest"), {"task_settings": {"dropout": 0.3}}, 3 * 15),
        (
            codistilled(sync(1), exchange="predictions", interval_steps=2),
            {"task_settings": {"dropout": 0.3, "norm": True}, "accumulation": 2, "split": "disjoint"},
            2 * 4,
        ),
        (
            codistilled(sync(2), exchange="predictions", interval_steps=1),
            {"distillation": {"loss": "squared_logits"}},
            8,
        ),
        (codistilled(sync(1), groups=3, exchange="predictions"), {"task_settings": {"dropout": 0.3}}, 3 * 4),
    ],
    ids=["sync", "local", "wait", "latest", "predictions", "predictions-squared", "predictions-of-three"],
)
def test_a_recording_replays_to_the_digest_of_every_snapshot(play, protocol, changes, snapshots):
    run = play(protocol, **changes)
    learned = replayed(run)
    assert learned.mismatches == []
    assert learned.checked == snapshots
    for group in range(run.protocol.groups):
        last = learned.curves[group][-1]
        assert ended(run, group)["metrics"]["test"]["loss"] == last.value
        assert ended(run, group)["metrics"]["test"]["loss"] < 1.2


def test_waiting_groups_do_what_lock_step_does(play):
    """`pickup: wait` does not depend on who is fast, so a schedule without times leads to the same weights."""
    run = play(codistilled(burn_in_steps=6), optimizer={"learning_rate": 0.1})
    learned = learn(load_task(run.task, run.task_settings), run, lock_step(run))
    assert [f"{digest(p):016x}" for p in learned.parameters] == digests(run)


def test_teachers_teach(play):
    """Without the others' term the weights would be those of groups that never met."""
    taught = play(codistilled(burn_in_steps=12))
    alone = play(sync(1))
    assert digests(taught)[0] != digests(alone)[0]
    schedule = recorded_schedule(taught)
    adopted = schedule.events.of(Kind.ADOPT)
    assert sorted(
        zip(adopted.group.tolist(), adopted.version.tolist(), adopted.peer_version.tolist(), strict=True)
    ) == [(g, v, v - 4) for g in (0, 1) for v in (12, 16, 20)]


@pytest.mark.parametrize(
    ("protocol", "deaths"),
    [
        (sync(1), [(0, 0, 3), (0, 0, 6), (0, 0, 6)]),
        (codistilled(sync(1)), [(0, 0, 6), (1, 0, 9), (0, 0, 6)]),
        (LOCAL, [(0, 1, 9)]),
        (codistilled(sync(1), exchange="predictions"), [(0, 1, 12)]),
    ],
    ids=["single", "wait", "local-worker", "predictions"],
)
def test_killed_runs_end_with_the_same_bits(play, protocol, deaths):
    settings = {"task_settings": SLOW | {"norm": True, "dropout": 0.2}, "checkpoint_updates": 5}
    whole = play(protocol, **settings)
    killed = play(protocol, deaths, **settings)
    assert digests(killed) == digests(whole)
    for group in range(whole.protocol.groups):
        assert ended(killed, group)["curve"] == ended(whole, group)["curve"]
    schedule = recorded_schedule(killed)
    assert schedule.events.of(Kind.FAIL).kind.size == len(deaths) * (2 if killed.exchanges_predictions else 1)
    assert replayed(killed).mismatches == []


def test_what_free_running_groups_did_replays_kills_included(play):
    protocol = codistilled(sync(1), pickup="latest", interval_steps=3)
    slow = {"delay_s": 0.1}  # a starved machine must not see the end of a group before its kill
    run = play(protocol, [(0, 0, 10), (1, 0, 14), (1, 0, 5)], task_settings=slow, checkpoint_updates=2)
    schedule = recorded_schedule(run)
    assert schedule.events.of(Kind.FAIL).kind.size == 3
    learned = replayed(run)
    assert learned.mismatches == []
    assert learned.checked >= 2 * 15
    other = learn(load_task(run.task, {}), run.model_copy(update={"seed": 1}), schedule)
    assert len(other.mismatches) == other.checked  # the digests can tell


def test_three_workers_replay_to_rounding(play):
    run = play(codistilled(sync(3)), updates=16)
    learned = replayed(run)
    from repro.codistill.shared import snapshot_parameters

    for group in range(2):
        recorded = snapshot_parameters(run.folder, group, 16)
        for name, tensor in learned.parameters[group].items():
            torch.testing.assert_close(tensor, recorded[name], rtol=1e-6, atol=1e-6)
