"""Printed numbers, one schema for all papers.

Each ``<paper>.csv`` beside this file holds one number, or one range, a row. ``role`` says what the number is:
a ``result`` of the paper (only these are judged), a ``setting`` it used, or ``derived`` from printed numbers by
arithmetic. ``confidence`` says how well it is known: ``transcribed`` from the paper or its code, ``secondary``
from somebody's notes, ``derived``, or ``unverified`` (shown, marked, never judged). ``low`` and ``high`` are the
printed spread, the printed range, or the 95 % sampling band of a single run.
"""

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path

from repro.errors import UserError

CONFIDENCES = ("transcribed", "secondary", "derived", "unverified")
ROLES = ("result", "setting", "derived")


@dataclass(frozen=True)
class Published:
    """One printed number. ``paper`` is the package's name, ``where`` a section, table or figure."""

    id: str
    paper: str
    arxiv: str
    where: str
    experiment: str
    quantity: str
    setting: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    confidence: str
    role: str


COLUMNS = tuple(field.name for field in fields(Published))
NUMBERS = ("value", "low", "high")


def load(folder: Path | None = None) -> dict[str, Published]:
    """All printed numbers by id.

    Raises:
        UserError: a file breaks the schema, or an id stands twice.
    """
    found: dict[str, Published] = {}
    for path in sorted((folder or Path(__file__).parent).glob("*.csv")):
        for row in read(path):
            if row.id in found:
                raise UserError(f"{path}: id {row.id} stands twice; ids are unique over all papers")
            found[row.id] = row
    return found


def read(path: Path) -> list[Published]:
    """The rows of one file.

    Raises:
        UserError: another header, a cell that is no number, an unknown role or confidence: with line and column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader]  # where a row ends, if a cell has line ends
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not lines or tuple(lines[0][1]) != COLUMNS:
        raise UserError(f"{path}: line 1: the columns must be {','.join(COLUMNS)}")
    return [_row(path, number, cells) for number, cells in lines[1:]]


def stem_of(name: str, published: dict[str, Published]) -> str | None:
    """The printed row an answer speaks to: the longest part of its id, up to a dot, that is a row's id."""
    while name not in published:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


def _row(path: Path, number: int, cells: list[str]) -> Published:
    if len(cells) != len(COLUMNS):
        raise UserError(f"{path}: line {number}: {len(cells)} cells, {len(COLUMNS)} expected")
    row: dict[str, str | float | None] = dict(zip(COLUMNS, cells, strict=True))
    for column in NUMBERS:
        text = str(row[column])
        try:
            row[column] = float(text) if text else None
        except ValueError:
            raise UserError(f"{path}: line {number}: {column} must be a number or empty, not {text!r}") from None
        if isinstance(row[column], float) and not math.isfinite(float(text)):
            raise UserError(f"{path}: line {number}: {column} must be finite, not {text!r}")
    for column, allowed in (("confidence", CONFIDENCES), ("role", ROLES)):
        if row[column] not in allowed:
            raise UserError(f"{path}: line {number}: {column} must be one of {', '.join(allowed)}, not {row[column]!r}")
    for column in ("id", "paper"):
        if not row[column]:
            raise UserError(f"{path}: line {number}: {column} must not be empty")
    low, high = row["low"], row["high"]
    if isinstance(low, float) and isinstance(high, float) and low > high:
        raise UserError(f"{path}: line {number}: low {low:g} exceeds high {high:g}")
    return Published(**row)  # type: ignore[arg-type]
