"""comparison.csv as a table: written, read back, refused where it is broken, counted."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import compare
from repro.compare import COLUMNS, NotRun, Row, Value, judge
from repro.errors import UserError
from tests.house.printed import PUBLISHED

finite = st.floats(-1e6, 1e6, allow_nan=False)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
numbers = st.none() | finite
special = {
    "id": st.from_regex(r"[A-Z0-9.+-]{1,8}", fullmatch=True),
    "ours_n": st.integers(0, 99),
    "kind": st.sampled_from(compare.KINDS),
    "verdict": st.sampled_from(compare.VERDICTS),
}
columns = {name: numbers if name.startswith(("published", "ours")) else words for name in COLUMNS}
table_rows = st.lists(st.builds(Row, **(columns | special)), unique_by=lambda row: row.id, max_size=4)


@settings(max_examples=30, deadline=None)  # each one is synced to disk twice
@given(rows=table_rows)
def test_written_tables_read_back_and_write_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    path = tmp_path_factory.getbasetemp() / "comparison.csv"
    compare.write(path, rows)
    first = path.read_bytes()
    back = compare.read(path)
    assert [row.id for row in back] == sorted(row.id for row in rows)
    compare.write(path, back[::-1])
    assert path.read_bytes() == first
    for row, was in zip(back, sorted(rows, key=lambda row: row.id), strict=True):
        assert (row.kind, row.verdict, row.ours_n) == (was.kind, was.verdict, was.ours_n)
        assert row.departures.split() == was.departures.split()
        for ours, theirs, digits in ((row.published, was.published, 14), (row.ours, was.ours, 7)):
            assert (ours is None) == (theirs is None)
            assert ours is None or theirs is None or math.isclose(ours, theirs, rel_tol=10**-digits)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "results" / "comparison.csv"
    answers = (
        Value("P-1.b", (60.0, 70.0, 80.0)),
        Value("P-1.a", (1 / 3, -1 / 3)),
        NotRun("P-2", "no\nGPU, none"),
    )
    compare.write(path, [judge(answer, PUBLISHED) for answer in answers])
    return path


def test_table_bytes(written: Path) -> None:
    header, first, *_ = written.read_text().split("\n")
    assert header == ",".join(COLUMNS)
    assert first == (
        "P-1.a,p1,sec 3,test errors,T=20,errors,67,51,83,transcribed,0,-4.2354016,4.2354016,2,value,differs,,,,"
    )
    assert list(written.parent.iterdir()) == [written]


def test_two_rows_of_one_id_are_refused_and_nothing_is_written(written: Path) -> None:
    before = written.read_bytes()
    row = judge(NotRun("P-1", "x"), PUBLISHED)
    with pytest.raises(UserError, match="two answers are called P-1"):
        compare.write(written, [row, row])
    assert written.read_bytes() == before


def test_a_table_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        compare.write(tmp_path / "results" / "comparison.csv", [])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("departures,", "", "line 1: column 'departures' is missing"),
        ("commit\n", "commit,notes\n", "line 1: column 'notes' is unknown"),
        ("differs", "nearly", "line 2: verdict must be one of reproduced"),
        ("value,", "valued,", "line 2: kind must be one of value"),
        ("4.2354016,2,", "4.2354016,2.5,", "line 2: ours_n must be a whole number"),
        ("4.2354016,2,", "4.2354016,,", "line 2: ours_n must be a whole number"),
        (",67,", ",sixty,", "line 2: published must be a number or empty, not 'sixty'"),
        ("errors,67", "errors", "line 2: 19 cells where the header has 20, commit is missing"),
    ],
)
def test_a_table_of_another_version_or_garbled(written: Path, old: str, new: str, told: str) -> None:
    text = written.read_text()
    assert old in text
    written.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        compare.read(written)
    message = str(caught.value)
    assert message.startswith(f"{written}: {told}")
    assert message.endswith("make it anew with python -m repro compare")


def test_every_cut_that_leaves_a_broken_line_is_noticed(written: Path) -> None:
    content = written.read_bytes()
    whole = {index + 1 for index, byte in enumerate(content) if byte == ord("\n")}
    for length in [*range(0, min(whole), 16), *range(min(whole), len(content), 3), *whole - {len(content)}]:
        written.write_bytes(content[:length])
        if length in whole:
            compare.read(written)  # a whole table of fewer rows
        else:
            with pytest.raises(UserError):
                compare.read(written)


# --- counts


def test_counts_by_paper_and_verdict() -> None:
    answers = (NotRun("Q-1", "x"), NotRun("P-2", "x"), NotRun("P-3", "x"), Value("P-1", (60.0, 70.0, 80.0)))
    found = compare.counts(judge(answer, PUBLISHED) for answer in answers)
    assert found == {"p1": {"reproduced": 1, "not_run": 2}, "q2": {"not_run": 1}}
    assert list(found["p1"]) == ["reproduced", "not_run"]
