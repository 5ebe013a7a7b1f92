"""Traces follow the Trace Event Format, and their slices tile each worker's time."""

import copy
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from simulation.cli import main
from simulation.distributions import LogNormal, ShiftedExponential
from simulation.engines import run
from simulation.errors import UserError
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    StaleSynchronous,
    SyncSGD,
)
from simulation.timing import Timing
from simulation.trace import write_trace

FORMAT = jsonschema.Draft202012Validator(
    json.loads(Path(__file__).with_name("trace_event_format.schema.json").read_text(encoding="utf-8"))
)
SKEWED = ShiftedExponential(8e5, 2e5)
CASES = [
    (SyncSGD(6), Timing(SKEWED, allreduce_ns=1234)),
    (SyncSGD(6, "parameter_servers"), Timing(SKEWED, push_ns=5, pull_ns=6, server_service_ns=99_999)),
    (BackupWorkers(4, 2), Timing(SKEWED)),
    (BackupWorkers(4, 2, "finish"), Timing(SKEWED)),
    (LocalSGD(4, 3), Timing(SKEWED, averaging_ns=77)),
    (AsyncSGD(20), Timing(LogNormal(1e6, 0.5), pull_ns=1000, push_ns=2000, server_service_ns=30_000)),
    (StaleSynchronous(5, 1), Timing(SKEWED, slowdown_sigma=0.4)),
    (Codistillation(2, SyncSGD(2), 10), Timing(SKEWED, publish_ns=10, adopt_ns=5000, teacher_forward_ns=9)),
    (Codistillation(2, AsyncSGD(3), 10), Timing(SKEWED, publish_ns=10, adopt_ns=5000, teacher_forward_ns=9)),
    (SyncSGD(2), Timing(SKEWED, failures_per_hour=1e5, restart_ns=10**6)),
]


@pytest.mark.parametrize(("protocol", "timing"), CASES, ids=lambda x: type(x).__name__)
def test_schema_and_tiling(tmp_path, protocol, timing):
    schedule = run(protocol, timing, 60, seed=1)
    path = tmp_path / "trace.json"
    count = write_trace(schedule, timing, path, workers=4)
    trace = json.loads(path.read_text())
    assert set(trace) == {"displayTimeUnit", "traceEvents"}
    slices = {}
    for event in trace["traceEvents"]:
        assert event["ph"] in "MXCi"
        assert isinstance(event["name"], str)
        assert event["pid"] in range(protocol.groups)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] > 0
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["dur"], event["name"]))
        if event["ph"] == "C":
            assert list(event["args"]) == [event["name"]]
        if event["ph"] == "i":
            assert event["s"] in "pt"
    assert count == sum(map(len, slices.values()))
    named = {(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert set(slices) <= named
    assert len(named) == protocol.groups * min(4, protocol.total_workers // protocol.groups)
    for of_worker in slices.values():
        of_worker.sort()
        begin = np.array([round(1000 * s[0]) for s in of_worker])
        end = begin + np.array([round(1000 * s[1]) for s in of_worker])
        assert (begin[1:] >= end[:-1]).all()
        if not timing.failures_per_hour:
            # No gaps: a worker is always doing or waiting for something.
            assert begin[0] == 0
            assert (begin[1:] == end[:-1]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]


def test_compute_slices_are_the_draws(tmp_path):
    timing = Timing(SKEWED, push_ns=10)
    schedule = run(AsyncSGD(3), timing, 30)
    write_trace(schedule, timing, tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    total = sum(round(1000 * e["dur"]) for e in events if e["name"] == "compute")
    from simulation.cycles import free_cycles

    assert total == free_cycles(schedule, timing, 0).compute_ns.sum()


def test_closed_form_has_no_workers_to_show(tmp_path):
    timing = Timing(SKEWED)
    with pytest.raises(UserError, match="run engine window or heap"):
        write_trace(run(SyncSGD(4), timing, 5, engine="closed_form"), timing, tmp_path / "t.json")
    assert not list(tmp_path.iterdir())


QUESTIONS = [
    ["--cluster", "p100-ethernet", "--workload", "resnet-50", "--workers", "16"],
    ["--cluster", "cloud-k80", "--workload", "inception-v3", "--protocol", "AsyncSGD", "--workers", "8"],
    ["--cluster", "p100-ethernet", "--workload", "resnet-50", "--protocol", "Codistillation", "--groups", "2",
     "--workers", "16", "--interval-steps", "5"],
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[5])
def test_what_the_command_writes_keeps_to_the_trace_event_format(tmp_path, question):
    path = tmp_path / "trace.json"
    assert main(["trace", *question, "--updates", "40", "--output", str(path)]) == 0
    trace = json.loads(path.read_text(encoding="utf-8"))
    FORMAT.validate(trace)
    assert {"X", "C", "M"} <= {event["ph"] for event in trace["traceEvents"]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event.pop("dur"),
        lambda event: event.update(ts=-1),
        lambda event: event.update(ph="Z"),
        lambda event: event.update(tid="worker"),
    ],
)
def test_the_schema_refuses_a_spoilt_slice(tmp_path, spoil):
    timing = Timing(SKEWED)
    write_trace(run(SyncSGD(2), timing, 3), timing, tmp_path / "t.json")
    good = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    bad = copy.deepcopy(good)
    spoil(next(event for event in bad["traceEvents"] if event["ph"] == "X"))
    assert FORMAT.is_valid(good)
    assert not FORMAT.is_valid(bad)
