"""Tables of continuous and nominal attributes: what each column is, stands beside its values.

A table's continuous attributes are float64 columns, its nominal ones codes 0, 1, ... of known categories. How a
table becomes inputs of a net or of a library's models is `coded`; nothing else turns a category into a number.
"""

import csv
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data import fetch, sources
from repro.errors import UserError

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Names of the continuous attributes; names and categories of the nominal ones, in their tables' order."""

    continuous: tuple[str, ...]
    nominal: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        names = [*self.continuous, *self.nominal]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"columns: {twice[0]} is named twice; an attribute is continuous or nominal")

    @property
    def categories(self) -> tuple[int, ...]:
        """Number of categories of each nominal attribute."""
        return tuple(len(values) for values in self.nominal.values())

    @property
    def inputs(self) -> int:
        """Number of inputs after coding: one a continuous attribute, one a category."""
        return len(self.continuous) + sum(self.categories)


@dataclass(frozen=True)
class Table:
    """`continuous` (cases, c) float64 and `nominal` (cases, m) int64 codes of the categories in `columns`.

    Raises:
        UserError: a continuous value that is not finite, or a code that is no category's, with row and column.
        ValueError: shapes that do not belong together.
        TypeError: other types than float64 and int64, as of categories kept as floats.
    """

    columns: Columns
    continuous: NDArray[np.float64]
    nominal: Index

    def __post_init__(self) -> None:
        if self.continuous.dtype != np.float64 or self.nominal.dtype != np.int64:
            raise TypeError(f"{self.continuous.dtype} and {self.nominal.dtype}: float64 and int64 expected")
        shapes = (len(self.nominal), len(self.columns.continuous)), (len(self.continuous), len(self.columns.nominal))
        if (self.continuous.shape, self.nominal.shape) != shapes:
            raise ValueError(f"columns of {shapes}, values of {self.continuous.shape} and {self.nominal.shape}")
        if wrong := _first(~np.isfinite(self.continuous), self.columns.continuous):
            raise UserError(f"table: {wrong} is not finite; leave the case out or mark the attribute as nominal")
        outside = (self.nominal < 0) | (self.nominal >= np.array(self.columns.categories, dtype=np.int64))
        if wrong := _first(outside, tuple(self.columns.nominal)):
            raise UserError(f"table: {wrong} is no category's code; leave the case out or add the category")

    def __len__(self) -> int:
        return len(self.continuous)

    def take(self, index: Index) -> "Table":
        """The cases of `index`, in its order."""
        return Table(self.columns, self.continuous[index], self.nominal[index])

    def coded(self) -> NDArray[np.float32]:
        """(cases, inputs) float32: the continuous attributes, then one 0/1 column for each category."""
        parts = [self.continuous.astype(np.float32)]
        for codes, count in zip(self.nominal.T, self.columns.categories, strict=True):
            parts.append((codes[:, None] == np.arange(count)).astype(np.float32))
        return np.concatenate(parts, axis=1)


def scaled(table: Table, reference: Table) -> Table:
    """`table` with the continuous attributes moved so that those of `reference` run from 0 to 1.

    A constant attribute becomes 0. Cases outside the reference's range fall outside [0, 1].
    """
    low, high = reference.continuous.min(0), reference.continuous.max(0)
    width = np.where(high > low, high - low, 1.0)
    return Table(table.columns, (table.continuous - low) / width, table.nominal)


def demand_unit_range(table: Table, wanted_by: str) -> None:
    """Check that continuous attributes lie in [0, 1], as ``scaled`` makes them.

    Raises:
        UserError: one does not: values that were not scaled, or categories kept as numbers.
    """
    low, high = table.continuous.min(0, initial=np.inf), table.continuous.max(0, initial=-np.inf)
    for name, least, most in zip(table.columns.continuous, low, high, strict=True):
        if least < 0 or most > 1:
            raise UserError(
                f"{wanted_by}: {name} runs from {least:g} to {most:g}; scale continuous attributes to [0, 1], "
                "and mark categories that are kept as numbers as nominal"
            )


def joined(tables: Sequence[Table]) -> Table:
    """The cases of several tables with the same columns, one after another."""
    continuous, nominal = ([getattr(table, kind) for table in tables] for kind in ("continuous", "nominal"))
    return Table(tables[0].columns, np.concatenate(continuous), np.concatenate(nominal))


@dataclass(frozen=True)
class TableSet:
    """A labelled table: complete cases in the publisher's order, labels (cases,) int64.

    `missing` counts, by attribute, the values that the publisher lacks; `incomplete` the cases left out for
    it. `classes[label]` is a label's name; `sha256` maps what was read to its sum.
    """

    name: str
    cases: Table
    labels: Index
    classes: tuple[str, ...]
    missing: Mapping[str, int]
    incomplete: int
    sha256: Mapping[str, str]


def load(name: str) -> TableSet:
    """The table set `name`, downloaded if it is not on this machine: `adult`, or `breast-cancer` in scikit-learn.

    Raises:
        UserError: an unknown name, or data that cannot be had or are not as published.
    """
    if name not in LOADERS:
        raise UserError(f"no table is called {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](name)


def read(path: Path, names: Sequence[str], columns: Columns, *, missing: str, skip: int = 0) -> list[list[str]]:
    """Rows of comma-separated words, checked against the columns.

    Args:
        names: all columns of the file in its order; those that `columns` does not know are passed on unchecked.
        missing: the word for a value that is not there.
        skip: lines before the first row.

    Raises:
        UserError: the file cannot be read, a row has another length, a continuous attribute holds a word that is
            no number, or a nominal one holds an unknown category: with file, line, attribute and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    rows = []
    lines = text.splitlines()
    for number, cells in enumerate(csv.reader(lines[skip:], skipinitialspace=True), start=skip + 1):
        if not cells:
            continue
        if len(cells) != len(names):
            raise UserError(f"{path}: line {number}: {len(cells)} values, {len(names)} expected; fetch the file again")
        for name, cell in zip(names, cells, strict=True):
            if cell == missing:
                continue
            if name in columns.continuous and not _is_number(cell):
                raise UserError(f"{path}: line {number}: {name} is {cell!r}, no number; mark it as nominal")
            if name in columns.nominal and cell not in columns.nominal[name]:
                known = ", ".join(columns.nominal[name][:4])
                raise UserError(f"{path}: line {number}: {name} is {cell!r}, none of its categories ({known}, ...)")
        rows.append(cells)
    return rows


def from_rows(rows: Sequence[Sequence[str]], names: Sequence[str], columns: Columns) -> Table:
    """Complete rows as a table."""
    place = {name: number for number, name in enumerate(names)}
    continuous = [[float(row[place[name]]) for name in columns.continuous] for row in rows]
    codes = [(place[name], {word: code for code, word in enumerate(words)}) for name, words in columns.nominal.items()]
    nominal = [[known[row[number]] for number, known in codes] for row in rows]
    return Table(
        columns,
        np.array(continuous, dtype=np.float64).reshape(len(rows), len(columns.continuous)),
        np.array(nominal, dtype=np.int64).reshape(len(rows), len(columns.nominal)),
    )


ADULT_NAMES = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
# As in adult.names, less Never-worked, whose cases all lack their occupation: 104 inputs, as the paper counts.
ADULT = Columns(
    ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"),
    {
        name: tuple(words.split())
        for name, words in {
            "workclass": "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay",
            "education": "Bachelors Some-college 11th HS-grad Prof-school Assoc-acdm Assoc-voc 9th 7th-8th 12th "
            "Masters 1st-4th 10th Doctorate 5th-6th Preschool",
            "marital-status": "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent "
            "Married-AF-spouse",
            "occupation": "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty "
            "Handlers-cleaners Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv "
            "Protective-serv Armed-Forces",
            "relationship": "Wife Own-child Husband Not-in-family Other-relative Unmarried",
            "race": "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black",
            "sex": "Female Male",
            "native-country": "United-States Cambodia England Puerto-Rico Canada Germany Outlying-US(Guam-USVI-etc) "
            "India Japan Greece South China Cuba Iran Honduras Philippines Italy Poland Jamaica Vietnam Mexico "
            "Portugal Ireland France Dominican-Republic Laos Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua "
            "Scotland Thailand Yugoslavia El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands",
        }.items()
    },
)
_ADULT_CLASSES = ("<=50K", ">50K")


def _load_adult(name: str) -> TableSet:
    """Training and test file pooled; the 3,620 rows that lack a value are left out, as the paper's counts show."""
    folder = fetch.locate(name)
    with_never_worked = Columns(
        ADULT.continuous, dict(ADULT.nominal) | {"workclass": (*ADULT.nominal["workclass"], "Never-worked")}
    )
    rows = [
        cells
        for file, skip in (("adult.data", 0), ("adult.test", 1))
        for cells in read(folder / file, ADULT_NAMES, with_never_worked, missing="?", skip=skip)
    ]
    complete = [cells for cells in rows if "?" not in cells]
    lacking = {column: sum(cells[i] == "?" for cells in rows) for i, column in enumerate(ADULT_NAMES)}
    labels = [cells[-1].removesuffix(".") for cells in complete]
    if unknown := set(labels) - set(_ADULT_CLASSES):
        raise UserError(f"{folder}: income is {unknown.pop()!r}, neither {' nor '.join(_ADULT_CLASSES)}")
    return TableSet(
        name,
        from_rows(complete, ADULT_NAMES, ADULT),
        np.array([_ADULT_CLASSES.index(label) for label in labels], dtype=np.int64),
        _ADULT_CLASSES,
        {column: count for column, count in lacking.items() if count},
        len(rows) - len(complete),
        {file.path: file.sha256 for file in sources.named(name).files},
    )


# Of the values as little-endian float64, then the labels as uint8, in scikit-learn's order.
_BREAST_CANCER_SHA256 = "b8094a88331cff40122d4ad3515ef012f174681f5c20476024ea192f26ddda3c"


def _load_breast_cancer(name: str) -> TableSet:
    """The 569 cases of 30 continuous attributes inside scikit-learn; label 1 is malignant, the rarer class."""
    from sklearn.datasets import load_breast_cancer  # half a second that the other sets need not spend

    bunch = load_breast_cancer()
    values = np.ascontiguousarray(bunch.data, dtype="<f8")
    labels = (1 - bunch.target).astype(np.int64)  # scikit-learn calls benign 1
    digest = hashlib.sha256(values.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if digest != _BREAST_CANCER_SHA256:
        raise UserError(
            f"breast-cancer: scikit-learn's arrays have sha256 {digest}, expected {_BREAST_CANCER_SHA256}: "
            "install the version of scikit-learn that constraints.txt names"
        )
    columns = Columns(tuple(map(str, bunch.feature_names)), {})
    table = Table(columns, values.astype(np.float64), np.empty((len(values), 0), dtype=np.int64))
    sums = {"sklearn.datasets.load_breast_cancer": digest}
    return TableSet(name, table, labels, ("benign", "malignant"), {}, 0, sums)


LOADERS: Mapping[str, Callable[[str], TableSet]] = {
    "adult": _load_adult,
    "breast-cancer": _load_breast_cancer,
}


def _first(wrong: NDArray[np.bool_], names: Sequence[str]) -> str:
    """The first such value as `age in row 3`; empty if there is none."""
    places = np.argwhere(wrong)
    return f"{names[places[0, 1]]} in row {places[0, 0]}" if len(places) else ""


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
