"""The verdict rules."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from repro import compare
from repro.compare import Claim, Model, NotRun, Value, judge, t_interval
from repro.errors import UserError
from tests.house.printed import BANDED, PUBLISHED

finite = st.floats(-1e6, 1e6, allow_nan=False)
several = st.lists(finite, min_size=1, max_size=6).map(tuple)


def verdict(answer: compare.Answer) -> str:
    return judge(answer, PUBLISHED).verdict


# --- intervals


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-6))
def test_interval_is_that_of_scipy(values: list[float]) -> None:
    mean, low, high = t_interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected), rel=1e-9, abs=1e-9)


def test_interval_by_hand() -> None:
    mean, low, high = t_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high == pytest.approx(2 + 4.302652729749462 / math.sqrt(3))
    assert low == pytest.approx(2 - 4.302652729749462 / math.sqrt(3))


@settings(deadline=None)
@given(finite, st.integers(2, 9))
def test_interval_of_equal_values_is_that_value(value: float, n: int) -> None:
    assert t_interval([value] * n) == (value, value, value)


def test_interval_by_factors_is_that_of_the_logarithms_and_never_below_zero() -> None:
    sizes = [0.5, 4.0, 27.0]
    mean, low, high = compare.factor_interval(sizes)
    logs = np.log(sizes)
    expected = np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert mean == pytest.approx(stats.gmean(sizes))
    assert (low, high) == pytest.approx(tuple(expected))
    assert t_interval(sizes)[1] < 0 < low
    assert compare.factor_interval([3.0]) == (pytest.approx(3.0), None, None)
    with pytest.raises(ValueError, match="domain"):
        compare.factor_interval([1.0, 0.0])


def test_interval_of_one_and_of_none() -> None:
    assert t_interval([3.0]) == (3.0, None, None)
    with pytest.raises(ValueError, match="at least one"):
        t_interval([])


def test_interval_survives_diverged_losses() -> None:
    assert all(end is not None and math.isfinite(end) for end in t_interval([1e200, 2e200]))


# --- values


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((60.0, 70.0, 80.0), "reproduced"),
        ((51.0, 51.0, 51.0), "reproduced"),  # the band includes its ends
        ((60.0, 70.0), "undecided"),  # too few
        ((70.0,), "undecided"),
        ((90.0, 91.0, 92.0), "differs"),
        ((40.0, 41.0, 42.0), "differs"),
        ((200.0, 201.0), "differs"),  # two seeds give an interval
        ((84.0, 90.0, 96.0), "undecided"),  # outside, but the interval reaches in
        ((200.0,), "undecided"),  # no interval
        ((60.0, math.nan, 70.0), "undecided"),
        ((60.0, math.inf, 70.0), "undecided"),
        ((), "not_run"),
    ],
)
def test_value_verdicts(ours: tuple[float, ...], expected: str) -> None:
    row = judge(Value("P-1", ours), PUBLISHED)
    assert row.verdict == expected
    assert row.kind == ("value" if ours else "not_run")
    assert row.ours_n == len(ours)


def test_value_row_carries_both_sides() -> None:
    answer = Value("P-1.soft", (60.0, 70.0, 80.0), setting="soft", departures="shorter", unit="errors")
    row = judge(answer, PUBLISHED, command="c", hardware="h", commit="abc")
    assert (row.id, row.paper, row.where, row.quantity) == ("P-1.soft", "p1", "sec 3", "test errors")
    assert (row.published, row.published_low, row.published_high) == (67.0, 51.0, 83.0)
    assert (row.ours, row.ours_low, row.ours_high) == t_interval(answer.ours)
    assert (row.setting, row.unit, row.departures) == ("soft", "errors", "shorter")
    assert (row.command, row.hardware, row.commit) == ("c", "h", "abc")
    assert judge(replace(answer, setting="", quantity="errors"), PUBLISHED).setting == "T=20"


@pytest.mark.parametrize(
    ("name", "expected", "reason"),
    [
        ("P-2", "undecided", "no band is printed"),
        ("P-3", "not_judged", "unverified"),
        ("P-5", "not_judged", "role setting"),
    ],
)
def test_what_cannot_be_judged_says_why(name: str, expected: str, reason: str) -> None:
    for answer in (
        Value(name, (60.0, 70.0, 80.0), departures="shorter"),
        Model(name, (70.0,), departures="shorter"),
    ):
        row = judge(answer, PUBLISHED)
        assert row.verdict == expected
        assert row.departures.startswith("shorter; ")
        assert reason in row.departures
        assert row.published == 67.0
        assert row.ours == 70.0


def test_a_printed_threshold_is_an_open_band() -> None:
    assert verdict(Value("P-4", (9.0, 90.0, 900.0))) == "reproduced"
    assert verdict(Value("P-4", (1.0, 1.1, 1.2))) == "differs"


def test_other_data_makes_a_value_an_unjudged_claim() -> None:
    row = judge(Value("P-1", (60.0, 70.0, 80.0)), PUBLISHED, same_data=False, data="digits", suffix="digits")
    assert (row.id, row.kind, row.verdict) == ("P-1.digits", "claim", "not_judged")
    assert "on digits" in row.setting
    assert "own data" in row.departures
    claim = judge(Claim("P-1.a", "d", (1.0, 1.1, 1.2)), PUBLISHED, same_data=False, data="digits")
    assert (claim.kind, claim.verdict) == ("claim", "holds")
    assert "on digits" in claim.setting


def test_unknown_ids_and_units_are_refused() -> None:
    with pytest.raises(UserError, match="P-9: no printed row has this id"):
        judge(NotRun("P-9", "no data"), PUBLISHED)
    with pytest.raises(UserError, match="printed in errors, ours in %"):
        judge(Value("P-1", (1.0,), unit="%"), PUBLISHED)


@settings(deadline=None)
@given(several, finite, finite, st.floats(0, 1e6), st.floats(0, 1e6))
def test_widening_the_band_never_turns_reproduced_into_differs(
    ours: tuple[float, ...], one: float, other: float, down: float, up: float
) -> None:
    low, high = min(one, other), max(one, other)
    narrow = {"P-1": replace(BANDED, value=None, low=low, high=high)}
    wide = {"P-1": replace(BANDED, value=None, low=low - down, high=high + up)}
    before, after = (judge(Value("P-1", ours), band).verdict for band in (narrow, wide))
    order = ("differs", "undecided", "reproduced")
    assert order.index(after) >= order.index(before)
    model_before, model_after = (judge(Model("P-1", ours), band).verdict for band in (narrow, wide))
    order = ("outside", "undecided", "within")
    assert order.index(model_after) >= order.index(model_before)


@settings(deadline=None)
@given(several, finite, finite)
def test_value_verdicts_follow_the_rule(ours: tuple[float, ...], one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    row = judge(Value("P-1", ours), {"P-1": replace(BANDED, value=None, low=low, high=high)})
    assert row.ours is not None
    inside = low <= row.ours <= high
    apart = row.ours_low is not None and row.ours_high is not None and (row.ours_high < low or row.ours_low > high)
    assert row.verdict == ("reproduced" if inside and len(ours) >= 3 else "differs" if apart else "undecided")


# --- claims


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((1.0, 2.0, 3.0), "undecided"),  # -0.48 to 4.48
        ((1.0, 1.5, 2.0), "holds"),
        ((-1.0, -1.5, -2.0), "fails"),
        ((5.0,), "undecided"),  # one seed shows no spread
        ((5.0, math.inf), "undecided"),
        ((0.0, 0.0, 0.0), "undecided"),  # the null itself is on neither side
        ((1.0, 1.0), "holds"),
        ((), "not_run"),
    ],
)
def test_claim_verdicts(differences: tuple[float, ...], expected: str) -> None:
    assert verdict(Claim("P-1.c", "gain", differences)) == expected


def test_ratios_that_vary_by_factors_are_judged_by_their_logarithms() -> None:
    ratios = (2.0, 40.0, 8.0)
    assert verdict(Claim("P-1", "a ratio", ratios, null=0.1)) == "undecided"
    row = judge(Claim("P-1", "a ratio", ratios, null=0.1, by_factors=True), PUBLISHED)
    assert (row.verdict, row.ours) == ("holds", pytest.approx(stats.gmean(ratios)))
    assert "geometric mean" in row.setting


def test_claim_row_is_about_our_quantity() -> None:
    row = judge(Claim("P-1.c", "ratio", (0.5, 0.6), null=1.0, direction="less", unit="ratio"), PUBLISHED)
    assert (row.quantity, row.unit, row.published, row.kind) == ("ratio", "ratio", None, "claim")
    assert row.setting == "claimed < 1"
    made = judge(Claim("P-1.c", "gain", (1.0, 1.1), published=72.0), PUBLISHED)
    assert (made.published, made.published_low, made.published_high) == (72.0, None, None)
    row = PUBLISHED["P-1"]
    shown = judge(Claim("P-1.c", "gain", (1.0, 1.1), shows_printed=True), PUBLISHED)
    assert (shown.published, shown.published_low, shown.published_high) == (row.value, row.low, row.high)


def test_claims_on_unverified_numbers_are_not_judged() -> None:
    assert verdict(Claim("P-3", "gain", (1.0, 1.1, 1.2))) == "not_judged"
    assert verdict(Claim("P-5", "gain", (1.0, 1.1, 1.2))) == "holds"  # a claim brings its own null


def test_a_direction_is_greater_or_less() -> None:
    with pytest.raises(ValueError, match="greater or less"):
        Claim("P-1", "gain", (1.0,), direction="up")  # type: ignore[arg-type]


@settings(deadline=None)
@given(several, finite)
def test_claims_are_mirror_symmetric(differences: tuple[float, ...], null: float) -> None:
    mirrored = tuple(-d for d in differences)
    assert verdict(Claim("P-1", "d", differences, null=null, direction="greater")) == verdict(
        Claim("P-1", "d", mirrored, null=-null, direction="less")
    )
    opposite = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
    greater, less = (verdict(Claim("P-1", "d", differences, null=null, direction=d)) for d in ("greater", "less"))  # type: ignore[arg-type]
    assert opposite[greater] == less


# --- models and what was not run


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((70.0,), "within"),
        ((90.0,), "outside"),  # deterministic: its number is all there is
        ((84.0, 90.0, 96.0), "undecided"),
        ((90.0, 91.0, 92.0), "outside"),
        ((), "not_run"),
    ],
)
def test_model_verdicts(ours: tuple[float, ...], expected: str) -> None:
    row = judge(Model("P-1", ours), PUBLISHED)
    assert row.verdict == expected
    assert row.kind == ("model" if ours else "not_run")


def test_not_run_says_why() -> None:
    row = judge(NotRun("P-1", "needs 128 GPUs"), PUBLISHED)
    assert (row.kind, row.verdict, row.departures, row.ours, row.ours_n) == (
        "not_run",
        "not_run",
        "needs 128 GPUs",
        None,
        0,
    )


def test_complete_adds_the_results_nobody_spoke_to() -> None:
    rows = [judge(Value("P-1.soft", (60.0,)), PUBLISHED), judge(NotRun("P-2", "x"), PUBLISHED)]
    added = compare.complete(rows, PUBLISHED, {"p1": []}, {})
    assert [row.id for row in added] == ["P-3", "P-4", "P-1.part"]  # no setting, no other paper
    assert {(row.kind, row.verdict) for row in added} == {("not_run", "not_run")}
    assert {row.departures for row in added} == {"no experiment of this scale speaks to it"}
    assert compare.complete(rows + added, PUBLISHED, {"p1": []}, {}) == []
    assert compare.complete([], PUBLISHED, {}, {}) == []
    later = compare.complete(rows, PUBLISHED, {"p1": ["churn", "tails"]}, {})
    assert {row.departures for row in later} == {"no experiment on record speaks to it; not run yet: churn, tails"}


def test_a_paper_says_why_results_are_left_to_nobody() -> None:
    reasons = ((r"^P-3\b", "private data"), ("^P-", "a rival's number"))
    added = compare.complete([], PUBLISHED, {"p1": ["churn"]}, {"p1": reasons})
    why = {row.id: row.departures for row in added}
    assert why["P-3"] == "private data"  # the first that fits, whatever may still be run
    assert {why[name] for name in why if name != "P-3"} == {"a rival's number"}
    (printed,) = (row for row in PUBLISHED.values() if row.id == "P-3")
    assert compare.reason_beyond(printed, ((printed.quantity, "its quantity"),)) == "its quantity"
    assert compare.reason_beyond(printed, (("no such words", "x"),)) is None
