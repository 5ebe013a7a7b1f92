"""Verdicts: every rule at its boundaries, intervals against scipy, and a table that survives reading and writing."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from repro import compare
from repro.compare import Claim, Model, NotRun, Value, judge, t_interval
from repro.errors import UserError
from repro.published import Published

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
several = st.lists(numbers, min_size=2, max_size=8)
bounds = st.none() | numbers


def printed(low: float | None = 10.0, high: float | None = 20.0, **changes: Any) -> Published:
    plain = Published(
        "X-1", "toy", "", "table 1", "coin", "errors", "as printed", 15.0, low, high, "errors", "transcribed", "result"
    )
    return replace(plain, **changes)


def value(ours: list[float], row: Published | None = None, **options: Any) -> str:
    return judge(Value("X-1", tuple(ours)), {"X-1": row or printed()}, **options).verdict


def claim(differences: list[float], direction: str = "less", null: float = 0.0, **options: Any) -> compare.Row:
    answer = Claim("X-1.ours", "difference", tuple(differences), direction, null, unit="errors")
    return judge(answer, {"X-1": printed()}, **options)


@settings(deadline=None)
@given(several)
def test_the_interval_is_scipys(values):
    mean, low, high = t_interval(values)
    assert low is not None
    assert high is not None
    error = scipy.stats.sem(values)
    expected = scipy.stats.t.interval(0.95, len(values) - 1, loc=math.fsum(values) / len(values), scale=error or 1e-300)
    scale = max(abs(v) for v in values) or 1.0
    assert mean == pytest.approx(sum(values) / len(values), rel=1e-9, abs=1e-9 * scale)
    assert (low, high) == pytest.approx(tuple(map(float, expected)), rel=1e-6, abs=1e-8 * scale)
    assert low <= mean <= high


def test_one_value_has_no_interval_and_none_is_an_error():
    assert t_interval([3]) == (3.0, None, None)
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([])


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([15, 15, 15], "reproduced"),
        ([10, 10, 10], "reproduced"),  # on the edge of the band
        ([20, 20, 20], "reproduced"),
        ([0, 15, 30], "reproduced"),  # the mean counts, whatever the spread
        ([15, 15], "undecided"),  # fewer than three seeds
        ([15], "undecided"),
        ([30, 30], "differs"),  # two seeds have an interval
        ([5, 5, 5.5], "differs"),
        ([30], "undecided"),  # one has none
        ([5, 9.9, 12], "undecided"),  # mean outside, interval not wholly
        ([21, 21, 21], "differs"),
    ],
)
def test_values(ours, verdict):
    assert value(ours) == verdict


@pytest.mark.parametrize(
    ("low", "high", "ours", "verdict"),
    [
        (10, None, [1e9] * 3, "reproduced"),
        (10, None, [9.0] * 3, "differs"),
        (None, 20, [-1e9] * 3, "reproduced"),
        (None, 20, [20.5] * 3, "differs"),
        (None, 20, [20.0] * 3, "reproduced"),
        (None, None, [15.0] * 3, "undecided"),
    ],
)
def test_bands_open_on_one_side(low, high, ours, verdict):
    assert value(ours, printed(low, high)) == verdict


@pytest.mark.parametrize("ours", [[15.0] * 3, [99.0] * 3])
def test_what_is_shown_and_not_judged(ours):
    assert value(ours, printed(confidence="unverified")) == "not_judged"
    assert value(ours, printed(role="setting")) == "not_judged"
    assert value(ours, printed(role="derived")) == "not_judged"
    row = judge(Value("X-1", tuple(ours)), {"X-1": printed()}, same_data=False, data="digits")
    assert (row.kind, row.verdict) == ("claim", "not_judged")
    assert row.setting == "as printed; on digits"
    assert (row.published, row.published_low, row.published_high) == (15.0, 10.0, 20.0)
    model = Model("X-1", tuple(ours))
    assert judge(model, {"X-1": printed(confidence="unverified")}).verdict == "not_judged"
    assert judge(model, {"X-1": printed(role="derived")}).verdict == "not_judged"


@pytest.mark.parametrize(
    ("differences", "direction", "null", "verdict"),
    [
        ([-1, -2, -1.5], "less", 0, "holds"),
        ([1, 2, 1.5], "less", 0, "fails"),
        ([1, 2, 1.5], "greater", 0, "holds"),
        ([-1, -2, -1.5], "greater", 0, "fails"),
        ([-1, 1, 0.1], "less", 0, "undecided"),
        ([-5], "less", 0, "undecided"),  # one seed decides nothing
        ([0, 0, 0], "less", 0, "undecided"),  # the null itself is no side
        ([0, 0, 0], "greater", 0, "undecided"),
        ([-1, -1], "less", 0, "holds"),
        ([0.5, 0.6, 0.4], "less", 1, "holds"),  # a ratio
        ([math.nan, -1, -1], "less", 0, "undecided"),
        ([math.inf, 1, 1], "greater", 0, "undecided"),
    ],
)
def test_claims(differences, direction, null, verdict):
    row = claim(differences, direction, null)
    assert (row.kind, row.verdict) == ("claim", verdict)
    assert row.published is None, "a printed number of another quantity is not set beside a difference"
    assert (row.quantity, row.unit, row.ours_n) == ("difference", "errors", len(differences))


def test_claims_hold_on_other_data_too_and_say_so():
    row = claim([-1, -2, -1.5], same_data=False, data="digits", suffix="digits")
    assert (row.verdict, row.setting, row.id) == ("holds", "on digits", "X-1.ours.digits")


def test_a_direction_is_one_of_two():
    with pytest.raises(ValueError, match="less or greater, not 'smaller'"):
        Claim("X-1", "q", (1.0,), "smaller")


@pytest.mark.parametrize(
    ("ours", "low", "high", "verdict"),
    [
        ([15], 10, 20, "within"),
        ([10], 10, 20, "within"),
        ([21], 10, 20, "outside"),
        ([15], None, 20, "undecided"),
        ([15], None, None, "undecided"),
    ],
)
def test_models(ours, low, high, verdict):
    row = judge(Model("X-1", tuple(ours)), {"X-1": printed(low, high)}, same_data=False)
    assert (row.kind, row.verdict) == ("model", verdict)


@pytest.mark.parametrize(
    "answer",
    [Value("X-1.a", ()), Model("X-1.a", ()), Claim("X-1.a", "q", (), "less"), NotRun("X-1.a", "too large")],
)
def test_what_was_not_run_says_so(answer):
    row = judge(answer, {"X-1": printed()}, command="c", hardware="h", commit="d")
    assert (row.kind, row.verdict, row.ours, row.ours_n) == ("not_run", "not_run", None, 0)
    assert row.departures == ("too large" if isinstance(answer, NotRun) else "no rows on record")
    assert (row.command, row.hardware, row.commit) == ("", "", "")


def test_an_answer_to_nothing_printed_is_refused(one_line):
    with pytest.raises(UserError) as raised:
        judge(Value("Y-1", (1.0,)), {"X-1": printed()})
    assert one_line(raised.value).startswith("Y-1: no printed row has this id")


def test_a_row_carries_where_it_comes_from():
    row = judge(
        Value("X-1", (14, 15, 16), setting="ours", departures="shorter"), {"X-1": printed()},
        command="python", hardware="a machine", commit="abc",
    )  # fmt: skip
    assert (row.command, row.hardware, row.commit, row.departures) == ("python", "a machine", "abc", "shorter")
    assert (row.paper, row.where, row.setting, row.unit, row.ours, row.ours_n) == (
        "toy", "table 1", "ours", "errors", 15.0, 3,
    )  # fmt: skip


@settings(deadline=None)
@given(several, bounds, bounds, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_wider_band_never_takes_a_reproduction_away_nor_makes_a_difference(ours, low, high, down, up):
    assume(low is None or high is None or low <= high)
    before = value(ours, printed(low, high))
    wider = printed(None if low is None else low - down, None if high is None else high + up)
    after = value(ours, wider)
    if before == "reproduced":
        assert after == "reproduced"
    if after == "differs":
        assert before == "differs"


@settings(deadline=None)
@given(several, bounds, bounds)
def test_values_are_judged_alike_in_a_mirror(ours, low, high):
    assume(low is None or high is None or low <= high)
    mirrored = printed(None if high is None else -high, None if low is None else -low)
    assert value(ours, printed(low, high)) == value([-x for x in ours], mirrored)


@settings(deadline=None)
@given(several, st.sampled_from(["less", "greater"]), st.integers(-3, 3))
def test_claims_are_judged_alike_in_a_mirror(differences, direction, null):
    other = {"less": "greater", "greater": "less"}[direction]
    verdict = claim(differences, direction, null).verdict
    assert verdict == claim([-x for x in differences], other, -null).verdict
    swapped = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
    assert claim(differences, other, null).verdict == swapped[verdict]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)
rows = st.builds(
    compare.Row,
    *[texts] * 6, *[st.none() | numbers] * 3, texts, *[st.none() | numbers] * 3, st.integers(0, 9),
    st.sampled_from(compare.KINDS), st.sampled_from(compare.VERDICTS), *[texts] * 4,
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(rows, max_size=4))
def test_the_table_survives_reading_and_writing(written):
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
        path = Path(folder, "comparison.csv")
        compare.write(path, written)
        first = path.read_bytes()
        back = compare.read(path)
        compare.write(path, back)
        assert path.read_bytes() == first
    expected = sorted(written, key=lambda row: (row.paper, row.id))
    for mine, theirs in zip(expected, back, strict=True):
        assert (mine.id, mine.setting, mine.ours_n, mine.verdict) == (
            theirs.id, theirs.setting, theirs.ours_n, theirs.verdict,
        )  # fmt: skip
        assert (theirs.ours is None) == (mine.ours is None)
        if mine.ours is not None:
            assert theirs.ours == pytest.approx(mine.ours, rel=1e-5)


def damaged(folder: Path, old: str, new: str) -> Path:
    path = folder / "comparison.csv"
    compare.write(path, [judge(Value("X-1", (14, 15, 16)), {"X-1": printed()})])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",where,", ",place,", "made by another version (place is not where it should be)"),
        (",commit\n", "\n", "line 2 has 20 cells, the header 19"),
        ("reproduced", "splendid", "line 2: unknown kind 'value' or verdict 'splendid'"),
        (",value,", ",worth,", "unknown kind 'worth'"),
        (",15,10,", ",15,ten,", "line 2: published_low must be a number, not 'ten'"),
        (",3,value", ",three,value", "line 2: ours_n must be a number, not 'three'"),
    ],
)
def test_other_versions_and_damage_are_one_line(tmp_path, one_line, old, new, told):
    path = damaged(tmp_path, old, new)
    with pytest.raises(UserError) as raised:
        compare.read(path)
    assert one_line(raised.value).startswith(f"{path}: ")
    assert told in str(raised.value)


def test_a_table_with_a_column_less_is_of_another_version(tmp_path, one_line):
    path = tmp_path / "comparison.csv"
    path.write_text(",".join(compare.COLUMNS[:-1]) + "\n")
    with pytest.raises(UserError) as raised:
        compare.read(path)
    assert "another version (the number of columns" in one_line(raised.value)


def test_complete_lists_every_result_that_nobody_spoke_to():
    known = {
        "X-1": printed(),
        "X-1.a": printed(id="X-1.a"),
        "X-2": printed(id="X-2"),
        "X-3": printed(id="X-3", role="setting"),
        "X-4": printed(id="X-4", role="derived"),
        "Y-1": printed(id="Y-1", paper="other"),
        "Z-1": printed(id="Z-1", paper="unasked"),
    }
    spoken = [judge(Value("X-1.a.ours", (1.0,)), known)]
    added = compare.complete(spoken, known, ["toy", "other"])
    assert [row.id for row in added] == ["X-1", "X-2", "Y-1"]
    assert {(row.kind, row.verdict) for row in added} == {("not_run", "not_run")}
    assert all(row.published == 15.0 and row.departures for row in added)
    assert compare.complete([*spoken, *added], known, ["toy", "other"]) == []


def test_counts():
    rows = [claim([-1, -1]), claim([1, 1]), replace(claim([-1, -1]), paper="other"), claim([-3, -3])]
    assert compare.counts(rows) == {"toy": {"holds": 2, "fails": 1}, "other": {"holds": 1}}
