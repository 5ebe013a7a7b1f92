"""Predictions beside printed rows: units, the declared rule, and what is not judged."""

from dataclasses import replace

import pytest

from repro.compare import Model, judge
from repro.papers.scaling import validation
from repro.published import load
from simulation.predictions import SERVERS_CARRIED, SERVERS_FITTED, SPECIFICATIONS, Prediction

PRINTED = load()
STEP = Prediction(SERVERS_CARRIED, "EC2", "SC001", "out", "64 workers", "step time", "s", 2.0, 2.5)


def test_a_step_time_is_told_as_the_throughput_it_means():
    row = replace(PRINTED["SC001"], value=100.0, unit="images/s")
    assert validation.in_printed_unit(STEP, row) == pytest.approx(80.0)  # a quarter longer: a fifth less
    assert validation.in_printed_unit(STEP, replace(row, unit="s")) == pytest.approx(125.0)
    assert validation.in_printed_unit(replace(STEP, quantity="efficiency"), row) == pytest.approx(125.0)
    with pytest.raises(ValueError, match="range"):
        validation.in_printed_unit(STEP, replace(row, value=None, low=1.0))


@pytest.mark.parametrize(
    ("check", "sample", "tolerance"),
    [
        (SERVERS_CARRIED, "out", 0.08),
        (SPECIFICATIONS, "out", 0.10),
        (SERVERS_FITTED, "out", None),
        (SERVERS_CARRIED, "in", None),
    ],
)
def test_only_rows_that_did_not_help_are_held_against_the_target(check, sample, tolerance):
    answer = validation._answer(replace(STEP, check=check, sample=sample), PRINTED["SC001"], several=False)
    assert answer.tolerance == tolerance
    assert bool(answer.departures) == (sample == "in")


@pytest.mark.parametrize(
    ("ours", "tolerance", "verdict"),
    [(0.98, 0.1, "within"), (0.98, 0.05, "outside"), (0.98, None, "undecided"), (0.82, 0.1, "within")],
)
def test_a_declared_tolerance_judges_where_no_band_is_printed(ours, tolerance, verdict):
    row = judge(Model("SC001", (ours,), tolerance=tolerance), PRINTED)
    assert (row.verdict, row.published_low, row.published_high) == (verdict, None, None)
    assert ("declared: within" in row.setting) == (tolerance is not None)


def test_a_printed_band_goes_before_a_declared_one():
    banded = {"SC001": replace(PRINTED["SC001"], low=0.89, high=0.91)}
    assert judge(Model("SC001", (0.98,), tolerance=0.5), banded).verdict == "outside"
    with pytest.raises(ValueError, match="above 0"):
        Model("SC001", (1.0,), tolerance=0.0)
