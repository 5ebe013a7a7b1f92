"""Printed numbers: the shipped ones keep the schema, bad ones are named by file, line and column."""

from pathlib import Path

import pytest

from repro import published
from repro.errors import UserError
from repro.published import COLUMNS, stem_of

SHIPPED = sorted(Path(published.__file__).parent.glob("*.csv"))
ROW = {
    "id": "X-1", "paper": "toy", "arxiv": "", "where": "table 1", "experiment": "coin", "quantity": "errors",
    "setting": "a, b", "value": "7", "low": "5", "high": "9", "unit": "", "confidence": "transcribed", "role": "result",
}  # fmt: skip


def write(folder: Path, *rows: dict[str, str], name: str = "toy.csv") -> Path:
    lines = [",".join(f'"{row[column]}"' for column in COLUMNS) for row in rows]
    path = folder / name
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
    return path


def test_a_row_is_read_as_it_is_printed(tmp_path):
    (row,) = published.read(write(tmp_path, ROW | {"low": ""}))
    assert (row.id, row.setting, row.value, row.low, row.high) == ("X-1", "a, b", 7.0, None, 9.0)


def test_shipped_rows_have_ids_of_their_own():
    assert SHIPPED
    found = published.load()
    assert len(found) == sum(len(published.read(path)) for path in SHIPPED)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_speaks_of_its_own_paper(path):
    rows = published.read(path)
    assert {row.paper for row in rows} == {path.stem}
    for row in rows:
        assert row.where, row.id
        assert row.quantity, row.id
        assert row.id == row.id.strip(), row.id
        if row.value is not None:
            assert row.low is None or row.low <= row.value, row.id
            assert row.high is None or row.value <= row.high, row.id


@pytest.mark.parametrize(
    ("column", "cell", "told"),
    [
        ("value", "seven", "value must be a number or empty, not 'seven'"),
        ("low", "5-9", "low must be a number or empty, not '5-9'"),
        ("high", "inf", "high must be finite, not 'inf'"),
        ("value", "nan", "value must be finite, not 'nan'"),
        ("low", "10", "low 10 exceeds high 9"),
        ("confidence", "sure", "confidence must be one of transcribed, secondary, derived, unverified, not 'sure'"),
        ("role", "", "role must be one of result, setting, derived, not ''"),
        ("id", "", "id must not be empty"),
        ("paper", "", "paper must not be empty"),
    ],
)
def test_bad_cells_are_named_by_file_line_and_column(tmp_path, one_line, column, cell, told):
    path = write(tmp_path, ROW, ROW | {"id": "X-2", column: cell})
    with pytest.raises(UserError) as raised:
        published.read(path)
    assert one_line(raised.value) == f"{path}: line 3: {told}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1: the columns must be id,paper"),
        (b"id,paper\n", "line 1: the columns must be id,paper"),
        (",".join(COLUMNS).encode() + b"\na,b\n", "line 2: 2 cells, 13 expected"),
        (",".join(COLUMNS).encode() + b"\n\n", "line 2: 0 cells, 13 expected"),
        (",".join(COLUMNS).encode() + b'\n"a', "cannot be read (unexpected end of data)"),
        (b"\xff", "cannot be read"),
    ],
)
def test_other_files_are_one_line(tmp_path, one_line, content, told):
    path = tmp_path / "toy.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        published.load(tmp_path)
    assert one_line(raised.value).startswith(f"{path}: {told}")


def test_the_line_is_the_files_even_after_a_cell_of_two_lines(tmp_path):
    path = write(tmp_path, ROW | {"setting": "a\nb"}, ROW | {"id": "X-2", "role": "none"})
    with pytest.raises(UserError, match="line 4: role"):
        published.read(path)


def test_an_id_stands_once_over_all_papers(tmp_path, one_line):
    write(tmp_path, ROW)
    other = write(tmp_path, ROW | {"paper": "zoo"}, name="zoo.csv")
    with pytest.raises(UserError) as raised:
        published.load(tmp_path)
    assert one_line(raised.value) == f"{other}: id X-1 stands twice; ids are unique over all papers"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("X-1", "X-1"),
        ("X-1.soft", "X-1"),
        ("X-1.soft.digits", "X-1"),
        ("X-1.raw", "X-1.raw"),
        ("X-1.raw.soft", "X-1.raw"),
        ("X-1.rawer", "X-1"),
        ("X-12", None),
        ("X", None),
        ("", None),
        (".X-1", None),
    ],
)
def test_an_answer_speaks_to_the_longest_id_it_begins_with(tmp_path, name, stem):
    known = {row.id: row for row in published.read(write(tmp_path, ROW, ROW | {"id": "X-1.raw"}))}
    assert stem_of(name, known) == stem
