"""Reader of ``simulation/published/scaling.csv``: printed numbers about many workers, checked."""

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulation.errors import UserError

SCALING_CSV = Path(__file__).parent / "published" / "scaling.csv"
COLUMNS = (
    "id",
    "paper",
    "where",
    "system",
    "model",
    "batch_per_worker",
    "data",
    "workers",
    "quantity",
    "value",
    "low",
    "high",
    "unit",
    "confidence",
    "role",
)
CONFIDENCES = ("transcribed", "secondary", "derived", "unverified")
ROLES = ("result", "setting", "derived")


@dataclass(frozen=True)
class Row:
    """One printed number or range; empty cells are ``None``."""

    id: str
    paper: str
    where: str
    system: str
    model: str
    batch_per_worker: float | None
    data: str
    workers: int | None
    quantity: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    confidence: str
    role: str


def _number(text: str, where: str, column: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: {column} {text!r} is not one number: split the row") from None
    if not math.isfinite(value):
        raise UserError(f"{where}: {column} must be finite")
    return value


def _row(cells: dict[str, str], where: str) -> Row:
    value, low, high = (_number(cells[c], where, c) for c in ("value", "low", "high"))
    if (value is None) == (low is None and high is None):
        raise UserError(f"{where}: give one value, or low and high of a range")
    if low is not None and high is not None and low > high:
        raise UserError(f"{where}: low is above high")
    if cells["confidence"] not in CONFIDENCES:
        raise UserError(f"{where}: confidence {cells['confidence']!r} is not one of {', '.join(CONFIDENCES)}")
    if cells["role"] not in ROLES:
        raise UserError(f"{where}: role {cells['role']!r} is not one of {', '.join(ROLES)}")
    workers = _number(cells["workers"], where, "workers")
    batch = _number(cells["batch_per_worker"], where, "batch_per_worker")
    texts = {c: cells[c] for c in ("id", "paper", "where", "system", "model", "data", "quantity", "unit")}
    return Row(
        **texts,
        batch_per_worker=batch,
        workers=None if workers is None else int(workers),
        value=value,
        low=low,
        high=high,
        confidence=cells["confidence"],
        role=cells["role"],
    )


@cache
def published_rows(path: Path = SCALING_CSV) -> dict[str, Row]:
    """All rows by id.

    Raises:
        UserError: other columns, an id given twice, or a cell that is no number, each with file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path}: columns must be {', '.join(COLUMNS)}")
            cells = list(reader)
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    rows: dict[str, Row] = {}
    for number, cell in enumerate(cells, 2):
        where = f"{path}, line {number}"
        if None in cell or None in cell.values():
            raise UserError(f"{where}: must have {len(COLUMNS)} cells")
        row = _row(cell, where)
        if row.id in rows:
            raise UserError(f"{where}: id {row.id} is given twice")
        rows[row.id] = row
    return rows


def value_of(row_id: str) -> float:
    """The printed number of a row."""
    value = published_rows()[row_id].value
    assert value is not None, f"{row_id} is a range"
    return value


def throughputs(paper: str, system: str, model: str = "Inception-V3") -> list[Row]:
    """Synthetic-data throughputs of one paper, a system whose name starts so, and a model."""
    return [
        r
        for r in published_rows().values()
        if r.paper.startswith(paper)
        and r.system.startswith(system)
        and r.model == model
        and r.quantity == "throughput"
        and r.data == "synthetic"
    ]
