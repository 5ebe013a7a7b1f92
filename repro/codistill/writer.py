"""Writing off the critical path: one thread, one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue


class Writer:
    """Runs what it is given, in order, in the background; at most one thing waits behind the one under way."""

    def __init__(self) -> None:
        self._queue: Queue[Callable[[], None] | None] = Queue(maxsize=1)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Hand over; waits while the queue is full.

        Raises:
            Whatever earlier work raised.
        """
        self.check()
        self._queue.put(work)

    def check(self) -> None:
        """Raise what earlier work raised."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Until everything is written or has failed."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is not None:
                continue  # nothing is written after a failure: order is what makes a restart exact
            try:
                work()
            except BaseException as error:
                self._error = error
