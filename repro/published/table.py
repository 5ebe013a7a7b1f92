"""CSV tables with a fixed header: written whole or not at all, read strictly; complaints name the line."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from repro.errors import UserError
from repro.files import write_text

# Python's float() also takes "1_000", "nan" and blanks around a number; a table of numbers must not.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def read_table(path: Path, columns: Sequence[str], remedy: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of each row below the header.

    Args:
        columns: the header, exactly.
        remedy: what the user can do about a damaged file; ends every message.

    Raises:
        UserError: the file cannot be read, has another header, is cut off, or has a row of another length.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; {remedy}") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(path, next(lines, []), columns, remedy)
        if not text.endswith("\n"):
            raise UserError(f"{path}: the last line is cut off; {remedy}")
        for cells in lines:
            if len(cells) != len(columns):
                first = f", {columns[len(cells)]} is missing" if len(cells) < len(columns) else ""
                count = f"{len(cells)} cells where the header has {len(columns)}"
                raise UserError(f"{path}: line {lines.line_num}: {count}{first}; {remedy}")
            yield lines.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}: {error}; {remedy}") from None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write header and rows, ``\\n`` ended, whole or not at all.

    Raises:
        UserError: the file cannot be written; an older one stands untouched.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def number(path: Path, line: int, column: str, cell: str, remedy: str) -> float | None:
    """The number in a cell, None for an empty one.

    Raises:
        UserError: the cell holds anything but a finite decimal number.
    """
    if not cell:
        return None
    if not _NUMBER.fullmatch(cell) or not math.isfinite(value := float(cell)):
        raise UserError(f"{path}: line {line}: {column} must be a number or empty, not {cell!r}; {remedy}")
    return value


def one_of(path: Path, line: int, column: str, cell: str, allowed: Sequence[str], remedy: str) -> None:
    """Check a word against a vocabulary.

    Raises:
        UserError: the word is not in it.
    """
    if cell not in allowed:
        raise UserError(f"{path}: line {line}: {column} must be one of {', '.join(allowed)}, not {cell!r}; {remedy}")


def _check_header(path: Path, header: list[str], columns: Sequence[str], remedy: str) -> None:
    if header == list(columns):
        return
    if absent := [column for column in columns if column not in header]:
        wrong = f"column {absent[0]!r} is missing"
    elif unknown := [column for column in header if column not in columns]:
        wrong = f"column {unknown[0]!r} is unknown"
    else:
        wrong = f"the columns must be {','.join(columns)}, in this order and once each"
    raise UserError(f"{path}: line 1: {wrong}; {remedy}")
