"""What recorded runs would cost elsewhere: against hand-made records, closed forms, and a naive schedule."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import UserError
from repro.files import csv_text
from repro.papers.dettmers2017 import suite_runs
from repro.papers.dettmers2017.suite_runs import makespan, recorded_runs
from repro.results import TIMING_HEAD
from tests.recorded import shipped

DURATIONS = st.lists(st.integers(1, 50), min_size=1, max_size=12)


def put(root: Path, study: str, seconds: list[object], hardware_class: str = "cpu") -> Path:
    row = dict.fromkeys(TIMING_HEAD, "x") | {"hardware_class": hardware_class, "finished": "2026-07-02T00:00:00+00:00"}
    path = root / study / "timing.csv"
    path.parent.mkdir(parents=True)
    path.write_text(csv_text(TIMING_HEAD, [row | {"seed": i, "seconds": s} for i, s in enumerate(seconds)]))
    return path


@given(durations=DURATIONS, machines=st.integers(1, 5))
def test_a_schedule_lies_between_its_bounds(durations, machines):
    found = makespan(durations, machines)
    least = max(max(durations), sum(durations) / machines)
    assert least <= found
    assert found <= sum(durations) / machines + max(durations)
    assert makespan(durations, 1) == sum(durations)
    assert makespan(durations, len(durations)) == max(durations)


@given(durations=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_longest_first_is_within_a_sixth_of_the_best_on_two_machines(durations):
    """Graham 1969: 4/3 - 1/(3m) of the optimum, here by trying every assignment."""
    best = min(
        max(sum(d for d, m in zip(durations, chosen, strict=True) if m == machine) for machine in (0, 1))
        for chosen in itertools.product((0, 1), repeat=len(durations))
    )
    assert best <= makespan(durations, 2) <= best * 7 / 6


def test_the_record_is_priced_by_the_shelf(record, tmp_path):
    put(tmp_path / "results/paper", "some/study", [3600, 1800])
    put(tmp_path / "results/paper", "other/study", [1800])
    put(tmp_path / "results/paper", "other/on_gpu", [99999], "cuda")
    put(tmp_path / "results/paper", "dettmers2017/suite_runs", [99999])
    found = record("dettmers2017.suite_runs", shipped("dettmers2017.suite_runs"))
    core = next(row for row in found.rows if row["arm"] == suite_runs.CORE)
    assert (core["runs"], core["core_hours"], core["longest_run_hours"]) == (3, 2, 1)
    assert core["made_year"] == pytest.approx(2026.5, abs=0.01)
    by_span = {(row["span"], row["doubling_years"]): row["year"] for row in found.table("years")}
    assert by_span["an hour", 2] == pytest.approx(core["made_year"] + 2)  # one doubling
    k80 = next(row for row in found.rows if row["arm"] == "cloud-k80")
    # 95 GFLOP/s at 0.8, half of it; 1 TFLOP/s for nets so small, below the 1.09 of a K80.
    assert k80["device_seconds_per_core_second"] == pytest.approx(0.038)
    assert k80["usd"] == pytest.approx(2 * 0.038 * 0.90)
    hours = {row["devices"]: row["hours"] for row in found.table("hours") if row["arm"] == "cloud-k80"}
    assert hours == pytest.approx({1: 2 * 0.038, 8: 1 * 0.038})
    drawing = suite_runs.figure(found)
    assert {row["panel"] for row in drawing.data} == {"clusters", "one core"}
    assert suite_runs.claims(found) == []


def test_nothing_on_record_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing is on record; run the suite at that scale first"):
        recorded_runs(tmp_path)


def test_a_damaged_record_is_told(tmp_path):
    path = put(tmp_path, "some/study", [1, "soon"])
    with pytest.raises(UserError, match=r"timing\.csv: is no table of recorded seconds"):
        recorded_runs(tmp_path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"timing\.csv: is no table of recorded seconds"):
        recorded_runs(tmp_path)
