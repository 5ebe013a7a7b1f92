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
        failed_at: float | None = None
        while True:
            try:
                write()
            except (OSError, UserError) as error:
                what = str(error) if isinstance(error, UserError) else f"{path}: cannot be written ({error.strerror})"
                now = time.monotonic()
                if failed_at is None:
                    failed_at = now
                    say(f"{what}; trying again for {self.patience_s:g} s")
                elif now - failed_at >= self.patience_s:
                    raise UserError(
                        f"{what}, for {now - failed_at:.0f} s; make room and start again: the run goes on from its "
                        "last checkpoint"
                    ) from None
                time.sleep(min(RETRY_S, self.patience_s))
            else:
                if failed_at is not None:
                    say(f"{path}: written at last")
                return
