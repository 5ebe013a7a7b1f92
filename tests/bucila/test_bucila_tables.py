"""Tables and their reader: Adult as published, and what a wrong column is answered with."""

import os
from pathlib import Path

import numpy as np
import pytest

from repro.data import tables
from repro.data.sums import sums
from repro.data.tables import Columns, Table
from repro.errors import UserError

GIVEN_DATA = os.environ.get("REPRO_DATA")
COLUMNS = Columns(("age",), {"work": ("Private", "State-gov")})
NAMES = ("age", "work", "income")


def written(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.skipif(not GIVEN_DATA or not Path(GIVEN_DATA, "adult").is_dir(), reason="adult is not in REPRO_DATA")
def test_adult_is_as_the_paper_counts_it():
    adult = tables.load("adult")
    assert len(adult.cases) == len(adult.labels) == 45_222
    assert adult.incomplete == 3_620
    assert adult.missing == {"workclass": 2_799, "occupation": 2_809, "native-country": 857}
    assert (len(adult.cases.columns.continuous), len(adult.cases.columns.nominal)) == (6, 8)
    assert adult.cases.columns.inputs == 104  # the paper's count after coding
    assert round(adult.labels.mean(), 2) == 0.25
    assert set(adult.sha256) == {"adult.data", "adult.test"} == set(sums("adult"))
    first = dict(zip(adult.cases.columns.continuous, adult.cases.continuous[0], strict=True))
    assert first["age"] == 39
    assert first["capital-gain"] == 2174
    codes = zip(adult.cases.columns.nominal.items(), adult.cases.nominal[0], strict=True)
    words = {name: values[code] for (name, values), code in codes}
    assert words["workclass"] == "State-gov"
    assert words["native-country"] == "United-States"
    assert all(len(np.unique(column)) == count for column, count in zip(
        adult.cases.nominal.T, adult.cases.columns.categories, strict=True
    ))  # fmt: skip


def test_breast_cancer_is_scikit_learns_with_the_rarer_class_as_1():
    table = tables.load("breast-cancer")
    assert table.cases.continuous.shape == (569, 30)
    assert table.labels.sum() == 212
    assert table.classes == ("benign", "malignant")


def test_an_unknown_table_lists_the_names():
    with pytest.raises(UserError, match="'adlut': choose one of adult, breast-cancer"):
        tables.load("adlut")


def test_rows_become_values_and_codes(tmp_path):
    rows = tables.read(written(tmp_path, "# head\n39, State-gov, no\n17.5, Private, yes\n\n"), NAMES, COLUMNS,
                       missing="?", skip=1)  # fmt: skip
    table = tables.from_rows(rows, NAMES, COLUMNS)
    assert table.continuous.tolist() == [[39.0], [17.5]]
    assert table.nominal.tolist() == [[1], [0]]
    assert table.coded().tolist() == [[39, 0, 1], [17.5, 1, 0]]


def test_a_nominal_column_marked_as_a_number_is_refused(tmp_path):
    marked = Columns(("age", "work"), {})
    with pytest.raises(UserError, match=r"rows.csv: line 1: work is 'State-gov', no number; mark it as nominal"):
        tables.read(written(tmp_path, "39, State-gov, no\n"), NAMES, marked, missing="?")


def test_an_unknown_category_and_a_short_row_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"line 2: work is 'Self', none of its categories \(Private, State-gov"):
        tables.read(written(tmp_path, "39, Private, no\n40, Self, no\n"), NAMES, COLUMNS, missing="?")
    with pytest.raises(UserError, match="line 1: 2 values, 3 expected"):
        tables.read(written(tmp_path, "39, Private\n"), NAMES, COLUMNS, missing="?")
    with pytest.raises(UserError, match="cannot be read"):
        tables.read(tmp_path / "absent", NAMES, COLUMNS, missing="?")


@pytest.mark.parametrize(
    ("continuous", "nominal", "said"),
    [([[np.nan]], [[0]], "age in row 0 is not finite"), ([[1.0]], [[2]], "work in row 0 is no category's code")],
)
def test_values_that_cannot_be_are_refused(continuous, nominal, said):
    with pytest.raises(UserError, match=said):
        Table(COLUMNS, np.array(continuous), np.array(nominal, dtype=np.int64))


def test_categories_as_floats_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="float64 and int64 expected"):
        Table(COLUMNS, np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="columns of"):
        Table(COLUMNS, np.zeros((2, 1)), np.zeros((3, 1), dtype=np.int64))
    with pytest.raises(UserError, match="age is named twice"):
        Columns(("age",), {"age": ("a",)})


def test_scaling_is_by_the_reference():
    reference = Table(COLUMNS, np.array([[10.0], [30.0]]), np.zeros((2, 1), dtype=np.int64))
    other = Table(COLUMNS, np.array([[20.0], [50.0]]), np.zeros((2, 1), dtype=np.int64))
    assert tables.scaled(other, reference).continuous.tolist() == [[0.5], [2.0]]
    constant = reference.take(np.array([0, 0]))
    assert tables.scaled(constant, constant).continuous.tolist() == [[0.0], [0.0]]
    assert len(tables.joined([reference, other])) == 4
