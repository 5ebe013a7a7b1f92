"""Protocols against the clock: what is run, how far, and which rate speaks for a protocol."""

import pytest
from pydantic import ValidationError

from repro.papers.scaling import protocols
from repro.papers.scaling.protocols import Config, Way, arms, chosen_rate, updates_within
from simulation.protocols import AsyncSGD, BackupWorkers, LocalSGD, StaleSynchronous, SyncSGD

SYNC = {"name": "sync", "protocol": {"kind": "SyncSGD", "workers": 4}, "learning_rates": (0.1, 0.2)}
ASYNC = {"name": "async", "protocol": {"kind": "AsyncSGD", "workers": 4}, "learning_rates": (0.1,)}


@pytest.mark.parametrize(
    ("protocol", "updates"),
    [
        (SyncSGD(4), 50),
        (BackupWorkers(3, 1), 50),
        (AsyncSGD(4), 200),
        (StaleSynchronous(4, 1), 200),
        (LocalSGD(4, 5), 10),
    ],
)
def test_updates_within_a_time(protocol, updates):
    assert updates_within(protocol, step_s=2.0, simulated_s=100.0) == updates


def test_the_rate_of_the_lowest_mean_loss_speaks():
    assert chosen_rate({0.1: [1.0, 3.0], 0.2: [1.5, 1.6], 0.4: []}) == 0.2
    assert chosen_rate({0.4: [1.0], 0.1: [1.0]}) == 0.1


def test_every_rate_is_an_arm():
    config = Config(simulated_s=10, ways=(Way(**SYNC), Way(**ASYNC)))
    assert [arm.name for arm in arms(config)] == ["sync.rate0.1", "sync.rate0.2", "async.rate0.1"]
    assert arms(config)[0].settings["protocol"] == SYNC["protocol"]


def test_a_protocol_that_cannot_be_is_refused_with_the_config():
    with pytest.raises(ValidationError, match=r"SyncSGD\.workers"):
        Way(name="sync", protocol={"kind": "SyncSGD", "workers": 0}, learning_rates=(0.1,))


def test_nothing_recorded_lies_beyond_the_end(record):
    ways = ", ".join(
        f"{{name: {name}, protocol: {{kind: {kind}, workers: 4{more}}}, learning_rates: [0.1]}}"
        for name, kind, more in (("sync", "SyncSGD", ", aggregation: parameter_servers"), ("async", "AsyncSGD", ""))
    )
    results = record("scaling.protocols", f"simulated_s: 30, points: 2, seeds: 1, hidden: [4], ways: [{ways}]")
    clock = results.table("clock")
    assert max(row["seconds"] for row in clock) <= 30
    assert {row["arm"] for row in clock} == {"sync.rate0.1", "async.rate0.1"}
    drawn = protocols.figure(results).data
    assert {row["way"] for row in drawn} == {"sync", "async"}
    assert protocols.claims(results) == []
