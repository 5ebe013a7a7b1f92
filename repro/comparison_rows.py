"""``comparison.csv``: one row an answer, written and read whole; counts of its verdicts.

Which verdict a row bears is decided in ``repro.compare`` alone.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.published.table import number, one_of, read_table, write_table

KINDS = ("value", "claim", "model", "not_run")
VERDICTS = (
    "reproduced", "differs", "holds", "fails", "within", "outside", "undecided", "not_judged", "not_run",
)  # fmt: skip
_REMEDY = "make it anew with python -m repro compare"


@dataclass(frozen=True)
class Row:
    """One row of ``comparison.csv``, in the order of its columns."""

    id: str
    paper: str
    where: str
    quantity: str
    setting: str
    unit: str
    published: float | None
    published_low: float | None
    published_high: float | None
    confidence: str
    ours: float | None
    ours_low: float | None
    ours_high: float | None
    ours_n: int
    kind: str
    verdict: str
    departures: str
    command: str
    hardware: str
    commit: str


COLUMNS = tuple(field.name for field in fields(Row))
# Printed numbers keep every printed digit; ours are never known to more than eight.
_FORMATS = {
    "published": ".15g", "published_low": ".15g", "published_high": ".15g",
    "ours": ".8g", "ours_low": ".8g", "ours_high": ".8g", "ours_n": "d",
}  # fmt: skip


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write ``comparison.csv``, sorted by id, whole or not at all.

    Raises:
        UserError: two rows of one id, or the file cannot be written.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    for one, other in itertools.pairwise(ordered):
        if one.id == other.id:
            raise UserError(f"{path}: two answers are called {one.id}; name them {one.id}.<which>; nothing was changed")
    cells = ([_cell(column, getattr(row, column)) for column in COLUMNS] for row in ordered)
    write_table(path, COLUMNS, cells)


def read(path: Path) -> list[Row]:
    """Read ``comparison.csv``.

    Raises:
        UserError: it is not there, is damaged, or has the columns of another version.
    """
    return [_parsed(path, line, cells) for line, cells in read_table(path, COLUMNS, _REMEDY)]


def counts(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Number of rows by paper and verdict, papers by name, verdicts in the order of ``VERDICTS``."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        of_paper = found.setdefault(row.paper, {})
        of_paper[row.verdict] = of_paper.get(row.verdict, 0) + 1
    return {paper: {v: found[paper][v] for v in VERDICTS if v in found[paper]} for paper in sorted(found)}


def _cell(column: str, value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())  # one line a row: for diffs, and for csv.writer, which leaves \r unquoted
    return format(value if column == "ours_n" else value + 0.0, _FORMATS[column])  # + 0.0: floats, no "-0"


def _parsed(path: Path, line: int, cells: list[str]) -> Row:
    row: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
    for column in _FORMATS:
        row[column] = number(path, line, column, row[column], _REMEDY)
    if row["ours_n"] is None or row["ours_n"] < 0 or row["ours_n"] % 1:
        raise UserError(f"{path}: line {line}: ours_n must be a whole number; {_REMEDY}")
    row["ours_n"] = int(row["ours_n"])
    one_of(path, line, "kind", row["kind"], KINDS, _REMEDY)
    one_of(path, line, "verdict", row["verdict"], VERDICTS, _REMEDY)
    return Row(**row)
