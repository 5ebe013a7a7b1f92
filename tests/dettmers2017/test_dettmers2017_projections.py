"""Projected years against the printed ones, the formula's closed forms, and settings that cannot be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from repro.compare import judge
from repro.papers.dettmers2017 import projections
from repro.papers.dettmers2017._growth import (
    DAYS_PER_MONTH,
    Assumed,
    doubling_years_for,
    gap_doubling_years,
    over,
    years_until,
)
from repro.published import load
from tests.recorded import shipped

PRINTED = load()
START = 2017.67
SPANS = {"2 months": 2.0, "2 weeks": 14 / DAYS_PER_MONTH, "1 week": 7 / DAYS_PER_MONTH}
POSITIVE = st.floats(0.01, 1000)


@pytest.mark.parametrize("name", [n for n, row in PRINTED.items() if row.quantity == "year" and "D=" in row.setting])
def test_the_formula_gives_every_recomputed_year(name):
    row = PRINTED[name]
    gpus, span, doubling = row.setting.split(", ")
    at_hand = int(gpus.split()[0]) * SPANS[span]
    found = START + years_until(50 * 2, at_hand, float(doubling.removeprefix("D=")))
    assert row.low is not None
    assert row.high is not None
    assert row.low <= found <= row.high


@pytest.mark.parametrize("name", ["PS294.D15", "PS294.D12"])
def test_the_lag_is_the_recomputed_one(name):
    row = PRINTED[name]
    assert years_until(1, 0.01, float(row.setting.removeprefix("D="))) == pytest.approx(row.value, abs=0.005)


def test_data_against_compute_opens_in_6_and_4_years():
    assert gap_doubling_years(2, 3) == pytest.approx(6)
    assert gap_doubling_years(2, 4) == pytest.approx(4)
    assert gap_doubling_years(2, 2) == math.inf
    assert gap_doubling_years(2, 1.5) == pytest.approx(-6)  # it halves in 6 years


@given(wanted=POSITIVE, at_hand=POSITIVE, doubling=st.floats(0.1, 10))
def test_growing_for_so_many_years_reaches_what_is_wanted(wanted, at_hand, doubling):
    years = years_until(wanted, at_hand, doubling)
    assert at_hand * 2 ** (years / doubling) == pytest.approx(wanted)
    if wanted != at_hand:
        assert doubling_years_for(years, wanted, at_hand) == pytest.approx(doubling)


@given(a=st.tuples(POSITIVE, POSITIVE, POSITIVE), b=st.tuples(POSITIVE, POSITIVE, POSITIVE), share=st.floats(0, 1))
def test_a_band_holds_everything_between_the_corners(a, b, share):
    def of(a: float, b: float) -> float:
        return a / b

    first, second = (dict(zip(("low", "value", "high"), sorted(x), strict=True)) for x in (a, b))
    value, low, high = over({"a": Assumed(**first), "b": Assumed(**second)}, of)
    assert low <= value <= high
    inside = of(*(x["low"] + share * (x["high"] - x["low"]) for x in (first, second)))
    assert low * (1 - 1e-9) <= inside <= high * (1 + 1e-9)


def test_six_printed_years_are_within_and_the_formula_does_not_give_the_others(record):
    found = record("dettmers2017.projections", shipped("dettmers2017.projections"))
    answers = {answer.id: answer for answer in projections.claims(found)}
    verdicts = {name: judge(answer, PRINTED).verdict for name, answer in answers.items()}
    ours = {name for name, verdict in verdicts.items() if verdict == "within"}
    assert ours == set(projections.PRINTED.values()) - {"PS276.weeks2", "PS277.weeks2"}
    assert {n for n, v in verdicts.items() if v == "outside"} == {
        "PS276.weeks2", "PS277.weeks2", "PS286.lag", "PS286.year",
    }  # fmt: skip
    assert judge(answers["PS276.weeks2"], PRINTED).departures == "1 week in place of 2 weeks: 2035.2"
    assert not judge(answers["PS274.weeks2"], PRINTED).departures
    results_of_the_paper = {r.id for r in PRINTED.values() if r.paper == "dettmers2017" and r.role == "result"}
    assert results_of_the_paper == set(answers)
    assert any(row["panel"] == "uploads" for row in projections.figure(found).data)


def test_bands_contain_their_years(record):
    for row in record("dettmers2017.projections", shipped("dettmers2017.projections")).table("years"):
        assert row["year_low"] <= row["year"] <= row["year_high"]


@pytest.mark.parametrize(
    ("ends", "told"),
    [((1, 2, 3), "must not fall"), ((0, 0, 1), "greater than 0"), ((3, 1, 2), "must not fall")],
)
def test_an_assumption_outside_of_its_range_is_refused(ends, told):
    value, low, high = ends
    with pytest.raises(ValidationError, match=told):
        Assumed(value=value, low=low, high=high)
