"""What a program says, kept in a file too, while the terminal it says it on stays a terminal."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from repro.errors import UserError


class Copied:
    """A stream whose finished lines go to a file too; of what a progress bar overwrites, the last state."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file, self._begun = stream, file, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # whether it is a terminal, and how wide: as ever

    def write(self, text: str) -> int:
        *lines, begun = (self._begun + text).split("\n")
        self._begun = begun.rpartition("\r")[2]
        for line in lines:
            self._file.write(line.rpartition("\r")[2] + "\n")
        self._file.flush()
        return self._stream.write(text)


@contextlib.contextmanager
def logged(path: Path | None) -> Iterator[None]:
    """Copy to a file, written anew, what is said on stdout and stderr; and the traceback of what goes wrong.

    Raises:
        UserError: the file cannot be written to.
    """
    if path is None:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    with (
        file,
        contextlib.redirect_stdout(cast(TextIO, Copied(sys.stdout, file))),
        contextlib.redirect_stderr(cast(TextIO, Copied(sys.stderr, file))),
    ):
        try:
            yield
        except Exception:
            traceback.print_exc(file=file)  # on the terminal it is printed when the program ends
            raise
