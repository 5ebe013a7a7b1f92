"""The printed numbers parse, keep their schema, and are the ones the papers print."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from repro import published
from repro.errors import UserError
from repro.machine import ROOT
from repro.published import COLUMNS, Published, load, read, stem_of
from simulation.published_rows import published_rows

SHIPPED = sorted(Path(published.__file__).parent.glob("*.csv"))
PRINTED = load()
HEADER = ",".join(COLUMNS)
GOOD = "A-1,some2001,1234.5678,sec 1,exp,errors,,67,51,83,errors,transcribed,result"


def table(folder: Path, *lines: str, name: str = "some2001.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# Formulas, clusters and findings without a number: claims alone are held against them.
IN_WORDS = {"KD-E01", *(f"KD-J{k}" for k in (21, 22, 23, 25, 26, 27, 28))}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_shipped_file_keeps_the_schema(path: Path) -> None:
    rows = read(path)
    assert rows
    for row in rows:
        assert PRINTED[row.id] == row
        if row.role == "result" and row.id not in IN_WORDS:
            assert any(number is not None for number in (row.value, row.low, row.high)), row.id
        if row.confidence == "derived":
            assert row.role == "derived", row.id


def test_ids_are_unique_over_all_files() -> None:
    assert len(PRINTED) == sum(len(read(path)) for path in SHIPPED) + len(published_rows())


def test_the_simulators_rows_come_in_under_a_name_of_their_own() -> None:
    row = PRINTED["SC001"]
    assert (row.paper, row.arxiv, row.value, row.unit) == ("scaling", "1706.02677", 0.9, "fraction")
    assert row.where == "Goyal et al. 2017 (arXiv 1706.02677), Fig. 8 caption"
    assert row.setting == "ResNet-50, 352 workers, batch 32 a worker"
    assert {row.id for row in PRINTED.values() if row.paper == "scaling"} == set(published_rows())
    assert PRINTED["SC067"].role == published_rows()["SC067"].role


@pytest.mark.parametrize(
    ("name", "value", "low", "high"),
    [
        ("KD-M01", 67, 51, 83),
        ("KD-M02", 146, 122, 170),
        ("KD-M03", 74, 57, 91),
        ("KD-M05", None, 8, None),
        ("KD-M06", None, 2.5, 4),
        ("KD-M07", 206, 178, 234),
        ("KD-M08", 133, 112, 154),
        ("KD-M09", 3.5, None, None),
        ("KD-M10", 109, 89, 129),
        ("KD-M14", 7.6, None, None),
        ("KD-M17.corrected", 95, None, None),
        ("MC-T2-adult.mimic", 0.325, None, None),
        ("MC-T2-letter.p1.ratio", 1.01, None, None),
        ("GO-F3-8k", 23.74, 23.65, 23.83),
        ("PS161", 1, None, None),
        ("PS276.weeks2", 2035, 2034.5, 2035.5),
    ],
)
def test_known_numbers(name: str, value: float | None, low: float | None, high: float | None) -> None:
    row = PRINTED[name]
    assert (row.value, row.low, row.high) == (value, low, high)


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [("KD-J21", "Tea party", 5), ("KD-J22", "Bridge", 5), ("KD-J23", "Toyota Corolla E100", 4)],
)
def test_the_clusters_of_table_2_keep_their_ids(name: str, first: str, count: int) -> None:
    assert PRINTED[name].where == "Table 2"
    classes = PRINTED[name].setting.split("; ")
    assert (classes[0], len(classes)) == (first, count)


@pytest.mark.parametrize("name", [f"KD-M{k:02d}" for k in (1, 2, 3, 7, 8, 10, 11, 12, 13, 15)])
def test_bands_are_the_sampling_bands_of_one_run(name: str) -> None:
    row = PRINTED[name]
    assert row.value is not None
    assert row.low is not None
    assert row.high is not None
    cases = 1010 if "3s" in row.quantity else 10_000
    scale = 1 if row.unit == "errors" else 100 / cases
    errors = row.value / scale
    half = 1.96 * math.sqrt(errors * (1 - errors / cases)) * scale
    step = 1.0 if row.unit == "errors" else 0.1 if cases == 1010 else 0.01  # to which the ends are rounded
    assert row.low == pytest.approx(row.value - half, abs=0.51 * step)
    assert row.high == pytest.approx(row.value + half, abs=0.51 * step)


def test_the_band_rows_agree_with_the_derived_ones() -> None:
    derived = [row for row in PRINTED.values() if row.id.startswith("KD-M18.")]
    assert len(derived) == 5
    for row in derived:
        judged = PRINTED[row.setting]
        assert (row.value, row.low, row.high) == (judged.value, judged.low, judged.high)


def test_table_4_adds_up_as_derived() -> None:
    for column, total in (("n", "KD-J20.examples"), ("d", "KD-J20.delta")):
        cells = [PRINTED[f"KD-J4-{covering}-{column}"].value or 0.0 for covering in [*range(10), "10+"]]
        assert sum(cells) == PRINTED[total].value


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("KD-M03", "KD-M03"),
        ("KD-M03.soft_hard", "KD-M03"),
        ("KD-M03.soft.fashion-mnist", "KD-M03"),
        ("MC-T2-adult.mimic", "MC-T2-adult.mimic"),
        ("MC-T2-letter.p1.mimic.digits", "MC-T2-letter.p1.mimic"),
        ("MC-T2-adult", None),  # only its parts are printed rows
        ("KD-M0", None),
        ("KD-M033", None),
        ("", None),
    ],
)
def test_stem_is_the_longest_known_part_up_to_a_dot(name: str, stem: str | None) -> None:
    assert stem_of(name, PRINTED) == stem


def test_a_good_row_reads_whole(tmp_path: Path) -> None:
    assert read(table(tmp_path, GOOD)) == [
        Published(
            id="A-1",
            paper="some2001",
            arxiv="1234.5678",
            where="sec 1",
            experiment="exp",
            quantity="errors",
            setting="",
            value=67.0,
            low=51.0,
            high=83.0,
            unit="errors",
            confidence="transcribed",
            role="result",
        )
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (GOOD.replace("67", "about 67"), "line 2: value must be a number or empty, not 'about 67'"),
        (GOOD.replace("51", "nan"), "line 2: low must be a number"),
        (GOOD.replace("83", "8_3"), "line 2: high must be a number"),
        (GOOD.replace("83", "1e999"), "line 2: high must be a number"),
        (GOOD.replace("51", "99"), "line 2: low, value and high must not fall"),
        (GOOD.replace("transcribed", "sure"), "line 2: confidence must be one of transcribed"),
        (GOOD.replace("result", "outcome"), "line 2: role must be one of result"),
        (GOOD.replace("A-1", ""), "line 2: id must be one word"),
        (GOOD.replace("A-1", "A 1"), "line 2: id must be one word"),
        (GOOD.replace("some2001", "other1999"), "line 2: paper must be 'some2001'"),
        (GOOD + ",more", "line 2: 14 cells where the header has 13"),
        (GOOD.removesuffix(",result"), "line 2: 12 cells where the header has 13, role is missing"),
        (GOOD.replace("sec 1", '"sec 1'), "line 2: unexpected end of data"),
    ],
)
def test_a_bad_cell_is_named_with_line_column_and_remedy(tmp_path: Path, line: str, told: str) -> None:
    message = complaint(table(tmp_path, line))
    assert told in message
    assert any(remedy in message for remedy in ("mend", "move"))


def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD.replace("sec 1", '"sec\n1"'), GOOD.replace("A-1", "A-2").replace("67", "x"))
    assert "line 4: value" in complaint(path)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (HEADER.replace("confidence,", ""), "column 'confidence' is missing"),
        (HEADER + ",note", "column 'note' is unknown"),
        (HEADER.replace("low,high", "high,low"), "in this order"),
        ("", "column 'id' is missing"),
    ],
)
def test_another_header_is_named(tmp_path: Path, header: str, told: str) -> None:
    assert told in complaint(table(tmp_path, GOOD, header=header))


def test_a_twice_used_id_is_named_with_both_places(tmp_path: Path) -> None:
    assert "line 3: id 'A-1' already stands in line 2" in complaint(table(tmp_path, GOOD, GOOD))
    table(tmp_path, GOOD)
    other = table(tmp_path, GOOD.replace("some2001", "other1999"), name="other1999.csv")
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert f"{tmp_path / 'some2001.csv'}: line 2: id 'A-1' already stands in {other}: line 2" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in complaint(tmp_path / "absent.csv")
    path = tmp_path / "some2001.csv"
    path.write_bytes(HEADER.encode() + b"\n\xff\n")
    assert "is not UTF-8" in complaint(path)
    path.write_text(HEADER + "\n" + GOOD)
    assert "cut off" in complaint(path)
    path.write_text("")
    assert "column 'id' is missing" in complaint(path)


def test_neither_torch_nor_pandas_nor_scipy_is_imported() -> None:
    code = "import sys, repro.compare; print({'torch', 'pandas', 'scipy', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_other_numbers_are_made_of_rows_with_a_value_alone():
    assert PRINTED["PS334.delta"].number == PRINTED["PS334.delta"].value
    without = next(row for row in PRINTED.values() if row.value is None)
    with pytest.raises(UserError, match=f"{without.id}: the printed row has no value"):
        print(without.number)
