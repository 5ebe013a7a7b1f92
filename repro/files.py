"""Small file habits: write aside and rename, lock while writing, plain CSV."""

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the folder cannot be written to (read-only, disk full).
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from None


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with \\n line ends; None is an empty cell; floats in their shortest exact form."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(c) is None else row[c] for c in columns])
    return buffer.getvalue()


def read_csv(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Header and rows, numbers as numbers and empty cells as None.

    Raises:
        UserError: the file cannot be read, or a row has not as many cells as the header.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        raise UserError(f"{path}: is empty; delete it or restore it from version control")
    header, *body = lines
    for number, cells in enumerate(body, start=2):
        if len(cells) != len(header):
            raise UserError(
                f"{path}: line {number} has {len(cells)} cells, the header {len(header)}; "
                "the file is damaged: restore it from version control or delete it"
            )
    return header, [dict(zip(header, map(_value, cells), strict=True)) for cells in body]


def _value(cell: str) -> Any:
    if cell == "":
        return None
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            value = kind(cell)
            # "007" and "1_000" are words, not numbers
            return value if cell[0] in "+-.0123456789ni" and "_" not in cell else cell
    return cell


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` (made if missing); others wait. Freed when the process ends.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
