"""Small file habits: write aside and rename, lock while writing, plain CSV."""

import contextlib
import csv
import fcntl
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.errors import UserError

# As Python writes numbers. A digest such as 12345678e9012345, a version 007 or 1_000 are words.
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:e[+-][0-9]+)?|inf|nan)")


def user_cache(instead: str) -> Path:
    """This suite's folder in the user's cache: ``$XDG_CACHE_HOME``, else ``~/.cache``; it need not exist yet.

    Raises:
        UserError: the user has no home; ``instead`` is the variable that names another place.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # a relative one is to be ignored
    except RuntimeError as error:
        raise UserError(f"this user has no home directory: set XDG_CACHE_HOME or {instead}") from error
    return root / "learning-from-models"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the folder cannot be written to (read-only, disk full).
    """
    write_files({path: text.encode()})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all are written aside before the first takes its place.

    A full disk thus changes nothing; a kill or a failure between two replacements leaves new files beside old ones.

    Raises:
        UserError: a folder cannot be written to (read-only, disk full), with what was replaced nevertheless.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    path = Path()
    replaced: list[str] = []
    try:
        try:
            for path, content in contents.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                with parts[path].open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            for path, part in parts.items():
                part.replace(path)
                replaced.append(path.name)
        finally:
            for part in parts.values():
                with contextlib.suppress(OSError):
                    part.unlink()
    except OSError as error:
        changed = f"{', '.join(replaced)} already replaced" if replaced else "nothing was changed"
        raise UserError(f"{path}: cannot be written ({error.strerror}); {changed}") from None


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with \\n line ends; None is an empty cell; floats in their shortest exact form."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(c) is None else row[c] for c in columns])
    return buffer.getvalue()


def read_csv(path: Path, words: Collection[str] = ()) -> tuple[list[str], list[dict[str, Any]]]:
    """Header and rows, numbers as numbers and empty cells as None; columns in ``words`` stay text.

    Raises:
        UserError: the file cannot be read, is cut off, or a row has not as many cells as the header.
    """
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not text:
        raise UserError(f"{path}: is empty; delete it or restore it from version control")
    if not text.endswith("\n"):
        raise UserError(f"{path}: its last line is cut off; restore it from version control or delete it")
    try:
        header, *body = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV file ({error}); restore it from version control or delete it") from None
    for number, cells in enumerate(body, start=2):
        if len(cells) != len(header):
            raise UserError(
                f"{path}: line {number} has {len(cells)} cells, the header {len(header)}; "
                "the file is damaged: restore it from version control or delete it"
            )
    return header, [
        {name: (cell or None) if name in words else _value(cell) for name, cell in zip(header, cells, strict=True)}
        for cells in body
    ]


def _value(cell: str) -> Any:
    if cell == "":
        return None
    if not _NUMBER.fullmatch(cell):
        return cell
    try:
        return int(cell)
    except ValueError:  # not an integer, or one of more digits than Python converts
        return float(cell)


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
