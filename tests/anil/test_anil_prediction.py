"""Prediction against measurement: the predictor in closed form, the pace of a schedule, and real processes."""

import dataclasses
import socket

import numpy as np
import pytest

from repro.codistill.traffic import sent_bytes
from repro.compare import judge
from repro.errors import UserError
from repro.experiment import Arm
from repro.papers.anil2018 import prediction_against_measurement as experiment
from repro.papers.anil2018._machine import Parts, averaged
from repro.papers.anil2018._pace import pace_s, stretches
from repro.papers.anil2018._predicted import exchanges, predict
from repro.published import load
from simulation.protocols import Codistillation, SyncSGD
from tests.recorded import run_whole

SIZE = 1000
PARTS = Parts(
    steps_s=(0.010,) * 5,
    forward_s=0.0028,
    taught_s=0.0002,
    reduce_bytes=(2000.0, 4000.0),
    reduce_s=(0.001, 0.002),
    gather_bytes=(800.0, 1600.0),
    gather_s=(0.0005, 0.0008),
    publish_s=0.02,
    parameters=SIZE,
    prediction_bytes=1600,
)


def pair(**changes):
    return Codistillation(2, SyncSGD(changes.pop("workers", 1)), **({"interval_steps": 10} | changes))


# The predictor


@pytest.mark.parametrize(
    ("protocol", "step_s", "total_bytes", "age"),
    [
        (SyncSGD(1), 0.010, 0, None),
        (SyncSGD(2), 0.012, 2 * 4 * SIZE * 100, None),
        # Nine exchanges among 100 updates, each group taking in the other's weights.
        (pair(), 0.013, 2 * 4 * SIZE * 9, 10),
        # Inside a group of two the weights are handed on in two messages, once an interval.
        (pair(workers=2), 0.010 + 0.003 + 0.002 + 0.002 / 10, 2 * 2 * 4 * SIZE * 100 + 2 * 2 * 4 * SIZE * 9, 10),
        (pair(exchange="predictions"), 0.010 + 0.0010 / 10, 2 * 1600 * 9, 0),
        (pair(exchange="predictions", interval_steps=1), 0.0110, 2 * 1600 * 99, 0),
    ],
    ids=["alone", "sync", "checkpoints", "checkpoints-of-two", "predictions", "predictions-every-step"],
)
def test_a_machine_of_known_parts_is_predicted_in_closed_form(protocol, step_s, total_bytes, age):
    predicted = predict(PARTS, protocol, 16, 100, seed=0)
    assert pace_s(predicted.schedule) == pytest.approx(step_s, rel=1e-3)
    assert predicted.total_bytes == pytest.approx(total_bytes)
    from simulation.statistics import statistics

    assert statistics(predicted.schedule).teacher_age_mean == age
    if age is None:
        assert exchanges(predicted.schedule) == 0


def test_unequal_steps_make_the_group_wait_for_the_slower():
    parts = dataclasses.replace(PARTS, steps_s=(0.010, 0.020), reduce_s=(1e-9, 1e-9))
    mean_of_two = 0.25 * 0.010 + 0.75 * 0.020
    assert pace_s(predict(parts, SyncSGD(2), 16, 2000, seed=0).schedule) == pytest.approx(mean_of_two, rel=0.05)


def test_two_measurements_are_averaged_and_their_steps_pooled():
    other = dataclasses.replace(PARTS, steps_s=(0.030,), reduce_s=(0.003, 0.004), publish_s=0.04)
    found = averaged(PARTS, other)
    assert found.reduce_s == (0.002, 0.003)
    assert found.publish_s == pytest.approx(0.03)
    assert len(found.steps_s) == 6
    assert (found.step_s, found.parameters, found.prediction_bytes) == (0.010, SIZE, 1600)


# The pace


@pytest.mark.parametrize(
    ("protocol", "first", "length"),
    [(SyncSGD(1), 10, 10), (pair(interval_steps=4), 12, 12), (pair(interval_steps=25, burn_in_steps=60), 75, 25)],
)
def test_stretches_are_whole_intervals_after_the_first_teachers(protocol, first, length):
    found = stretches(protocol, 200)
    assert found[0] == (first, first + length)
    assert all(end - begin == length for begin, end in found)
    assert found[-1][1] < 200
    assert stretches(protocol, first) == []


def test_the_pace_counts_what_an_exchange_costs_and_not_a_rare_pause():
    schedule = predict(PARTS, pair(interval_steps=10), 16, 200, seed=0).schedule
    times = schedule.updates.time_ns.copy()
    plain = pace_s(schedule)
    times[50:200] += 10**12  # a group stops for a quarter of an hour
    paused = dataclasses.replace(schedule, updates=dataclasses.replace(schedule.updates, time_ns=times))
    assert pace_s(paused) == pytest.approx(plain)
    slow_exchanges = times + 10**7 * (np.arange(len(times)) % 200 // 10)  # 10 ms at every boundary
    slower = dataclasses.replace(schedule, updates=dataclasses.replace(schedule.updates, time_ns=slow_exchanges))
    assert pace_s(slower) == pytest.approx(plain + 1e-3)


# What is sent


def test_what_a_process_sends_is_counted_by_the_kernel():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        with other:
            before = sent_bytes()
            if before is None:
                pytest.skip("this system does not tell")
            one.sendall(bytes(1000))
            other.sendall(bytes(500))
            assert sent_bytes() - before == 1500


# The experiment

SETTINGS = """
scale: cluster
device: cuda     # which the machine need not have: these arms say cpu
anil2018:
  prediction_against_measurement:
    seeds: 1
    rounds: 1
    problems:
      pictures:
        data: digits
        task: pictures
        settings: {net: {kind: mlp, hidden: [200]}}
        batch_size: 256
        optimizer: {kind: sgd, learning_rate: 0.1}
        updates: 31
    protocols:
      sync2: {kind: SyncSGD, workers: 2}
      checkpoints: &pair {kind: Codistillation, groups: 2, within: {kind: SyncSGD, workers: 1}, interval_steps: 5}
      predictions: {<<: *pair, exchange: predictions}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("measured")
        patch.chdir(place)
        return run_whole(place, "anil2018.prediction_against_measurement", SETTINGS)


def test_bytes_ages_and_replay_of_real_processes_are_as_predicted(measured):
    rows = {row["arm"]: row for row in measured.rows}
    assert {row["hardware_class"] for row in measured.rows} == {"cpu"}
    for row in rows.values():
        assert row["digests"] > 0
        assert row["digests_missed"] == row["weights_apart"] == 0
        assert row["step_ms"] > 0
        assert row["step_ms_predicted"] > 0
    # 64 inputs, 200 hidden units, 10 classes; two processes send everything once a step.
    parameters = 64 * 200 + 200 + 200 * 10 + 10
    assert rows["pictures.sync2"]["bytes_a_step_predicted"] == pytest.approx(2 * 4 * parameters)
    for name, age in (("checkpoints", 5), ("predictions", 0)):
        row = rows[f"pictures.{name}"]
        assert row["teacher_age"] == row["teacher_age_predicted"] == age
    for row in rows.values():
        if "bytes_a_step" in row:
            assert row["bytes_a_step"] == pytest.approx(row["bytes_a_step_predicted"], rel=experiment.BYTES_TOLERANCE)


def test_the_figure_shows_every_run(measured):
    drawn = experiment.figure(measured)
    shown = {(row["quantity"], row["protocol"]) for row in drawn.data}
    assert {("step_ms", name) for name in ("sync2", "checkpoints", "predictions")} <= shown
    assert ("teacher_age", "sync2") not in shown


class Told:
    """Results as claims see them, with the values they are given."""

    def __init__(self, config, **rows):
        self.config, self._rows = config, rows

    def values(self, arm, metric):
        return {seed: row[metric] for seed, row in enumerate(self._rows[arm.split(".")[1]]) if metric in row}


def row(measured, predicted, quiet=1, **more):
    return {"step_ms": measured, "step_ms_predicted": predicted, "quiet": quiet, "digests_missed": 0} | more


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([row(10.0, 10.5), row(10.0, 10.8), row(10.0, 9.4)], "holds"),
        ([row(10.0, 15.0), row(10.0, 15.5), row(10.0, 15.2)], "fails"),
        ([row(10.0, 10.5), row(10.0, 10.8), row(10.0, 9.4, quiet=0)], "undecided"),
        ([row(10.0, 10.5)], "undecided"),
    ],
    ids=["near", "far", "busy", "one"],
)
def test_step_times_are_judged_only_where_no_process_waited(measured, rows, verdict):
    config = dict(measured.config) | {"protocols": {"sync1": {"kind": "SyncSGD", "workers": 1}}}
    answers = {answer.id: judge(answer, load()) for answer in experiment.claims(Told(config, sync1=rows))}
    found = answers["CO-33.step.sync1"]
    assert found.verdict == verdict
    assert ("waited for cores in 1 of 3" in found.departures) == (verdict == "undecided" and len(rows) == 3)


def test_claims_cover_every_quantity(measured):
    answers = {answer.id for answer in experiment.claims(measured)}
    steps = {f"CO-33.step.{name}" for name in ("sync2", "checkpoints", "predictions")}
    fewer = {f"CO-33.fewer_bytes.{name}" for name in ("checkpoints", "predictions")}
    assert answers == steps | fewer | {"CO-33.bytes", "CO-33.age", "CO-33.replay"}


def test_runs_that_cannot_be_told_are_refused(measured):
    config = dict(measured.config)
    with pytest.raises(ValueError, match="checkpoints: 5 updates are too few"):
        experiment.Config.model_validate(
            config | {"problems": {"p": dict(config["problems"]["pictures"]) | {"updates": 5}}}
        )
    for protocol in (
        {"kind": "LocalSGD", "workers": 2, "interval_steps": 2},
        {"kind": "SyncSGD", "workers": 2, "aggregation": "parameter_servers"},
    ):
        with pytest.raises(ValueError, match="local: only SyncSGD by all-reduce"):
            experiment.Config.model_validate(config | {"protocols": {"local": protocol}})


def test_an_arm_has_at_least_one_process():
    with pytest.raises(UserError, match="processes must be at least 1, not 0"):
        Arm("a", {}, 1, processes=0)
