"""Waiting for what may mend itself: a full disk, a slow file server."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from repro.errors import UserError

RETRY_S = 0.5


def say(text: str) -> None:
    """One line to whoever watches the run."""
    print(f"codistill: {' '.join(text.splitlines())}", file=sys.stderr, flush=True)


class Patience:
    """Tries again for `patience_s`, says so once, then gives up with a line."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s

    def until_written(self, path: Path, write: Callable[[], None]) -> None:
        """Run `write` until it succeeds.

        Raises:
            UserError: it did not within `patience_s`.
        """
        begin = time.monotonic()
        told = False
        while True:
            try:
                write()
            except (OSError, UserError) as error:
                waited = time.monotonic() - begin
                reason = error.strerror if isinstance(error, OSError) else str(error)
                if waited >= self.patience_s:
                    raise UserError(
                        f"{path}: cannot be written for {waited:.0f} s ({reason}); make room and start again: the run "
                        "goes on from its last checkpoint"
                    ) from None
                if not told:
                    say(f"{path}: cannot be written ({reason}); trying again for {self.patience_s:.0f} s")
                    told = True
                time.sleep(RETRY_S)
            else:
                if told:
                    say(f"{path}: written at last")
                return
