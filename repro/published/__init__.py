"""Printed numbers, one schema for all papers.

``<paper>.csv`` beside this file holds one number, or one range, a row; ``reruns.csv`` what others got who ran
a paper again (``experiment`` says which). The columns:

``id``
    unique over all files. A printed cell of several numbers is split: ``KD-M17.raw``, ``KD-M17.corrected``.
``paper``, ``arxiv``, ``where``
    the paper's package, its arXiv number if it has one, and the section, table or figure.
``experiment``, ``quantity``, ``setting``, ``unit``
    what was measured, and under which conditions.
``value``, ``low``, ``high``
    numbers or empty. With a value, low and high are its band: the printed spread (s.d.), else the 95 %
    sampling band of a single run on the test set's n cases, +-1.96 sqrt(errors (1 - errors/n)), else the
    rounding of a printed year or count. Without a value, they are the printed range or threshold ('2.5-4',
    '>8').
    A row without any number is a printed finding or formula in words.
``confidence``
    ``transcribed`` from the paper or its code, ``secondary`` from somebody's notes, ``derived`` by
    arithmetic, ``unverified``: recollected, to be shown and marked but never judged.
``role``
    ``result`` (only these are judged), ``setting``, or ``derived`` from printed numbers.

What others printed about training on many workers belongs to the simulator (``simulation/published``), which
needs nothing of this suite; ``load`` brings it in under the paper's name ``scaling``.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from repro.errors import UserError
from repro.published.table import number, one_of, read_table
from simulation.published_rows import SCALING_CSV, published_rows
from simulation.published_rows import Row as ScalingRow

CONFIDENCES = ("transcribed", "secondary", "derived", "unverified")
ROLES = ("result", "setting", "derived")
_REMEDY = "mend the cell or restore the file from version control"


@dataclass(frozen=True)
class Published:
    """One printed number or range; the module's docstring says what each field holds."""

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

    @property
    def number(self) -> float:
        """The value, where others are made of it.

        Raises:
            UserError: the row has none.
        """
        if self.value is None:
            raise UserError(f"{self.id}: the printed row has no value; {_REMEDY}")
        return self.value


COLUMNS = tuple(field.name for field in fields(Published))


def load(folder: Path | None = None) -> dict[str, Published]:
    """All printed numbers by id: of ``folder`` if given, else of this package and of the simulator.

    Raises:
        UserError: a file breaks the schema, or an id stands twice.
    """
    found: dict[str, Published] = {}
    origin: dict[str, str] = {}
    for path in sorted((folder or Path(__file__).parent).glob("*.csv")):
        for line, row in _rows(path):
            if row.id in found:
                raise UserError(
                    f"{path}: line {line}: id {row.id!r} already stands in {origin[row.id]}; "
                    "rename one of the two, ids are unique over all papers"
                )
            found[row.id], origin[row.id] = row, f"{path}: line {line}"
    if folder is None:
        for scaling in published_rows().values():
            if scaling.id in found:
                raise UserError(f"{SCALING_CSV}: id {scaling.id!r} already stands in {origin[scaling.id]}; rename one")
            found[scaling.id] = _of_scaling(scaling)
    return found


def _of_scaling(row: ScalingRow) -> Published:
    """A row of the simulator's schema in this one: the source goes to ``where``, what ran on what to the rest."""
    arxiv = re.search(r"\(arXiv (\d{4}\.\d{4,5})\)", row.paper)
    setting = [row.model, row.data]
    setting += [f"{row.workers} workers"] if row.workers is not None else []
    setting += [f"batch {row.batch_per_worker:g} a worker"] if row.batch_per_worker is not None else []
    return Published(
        row.id, "scaling", arxiv[1] if arxiv else "", f"{row.paper}, {row.where}", row.system, row.quantity,
        ", ".join(filter(None, setting)), row.value, row.low, row.high, row.unit, row.confidence, row.role,
    )  # fmt: skip


def read(path: Path) -> list[Published]:
    """The rows of one file, in its order.

    Raises:
        UserError: the file breaks the schema: with line, column and remedy.
    """
    lines: dict[str, int] = {}
    rows = []
    for line, row in _rows(path):
        if row.id in lines:
            raise UserError(f"{path}: line {line}: id {row.id!r} already stands in line {lines[row.id]}; rename one")
        lines[row.id] = line
        rows.append(row)
    return rows


def stem_of(name: str, published: Container[str]) -> str | None:
    """The id of the printed row that ``name`` speaks to: its longest part up to a dot that is an id.

    Our several answers to one row are ``<id>.<which>``, and ids may hold dots themselves.
    """
    while name not in published:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


def _rows(path: Path) -> Iterator[tuple[int, Published]]:
    for line, cells in read_table(path, COLUMNS, _REMEDY):
        text = dict(zip(COLUMNS, cells, strict=True))
        value, low, high = (number(path, line, column, text[column], _REMEDY) for column in ("value", "low", "high"))
        one_of(path, line, "confidence", text["confidence"], CONFIDENCES, _REMEDY)
        one_of(path, line, "role", text["role"], ROLES, _REMEDY)
        if not text["id"] or any(letter.isspace() for letter in text["id"]):
            raise UserError(f"{path}: line {line}: id must be one word, not {text['id']!r}; {_REMEDY}")
        if text["paper"] != path.stem:
            raise UserError(f"{path}: line {line}: paper must be {path.stem!r} as the file; move the row or mend it")
        ends = [end for end in (low, value, high) if end is not None]
        if ends != sorted(ends):
            raise UserError(f"{path}: line {line}: low, value and high must not fall; {_REMEDY}")
        numbers = {"value": value, "low": low, "high": high}
        yield line, Published(**(text | numbers))  # type: ignore[arg-type]
