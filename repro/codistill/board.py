"""A mistake that one process of a job finds alone, such as a picture that cannot be read: the first process tells it.

The others may be in the midst of a collective, so the first one's thread looks at a place that all can write to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from repro.codistill.patience import say
from repro.errors import UserError
from simulation.errors import UserError as SimulatorError

USER_ERROR = 2
KEY = "mistake"
LOOK_S = 0.2


class Board:
    """What the processes of one job leave each other in a store of torch's; without one there is nobody to tell."""

    def __init__(self, store: Any = None, rank: int = 0) -> None:
        self._store, self._rank = store, rank

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Work in which any process may make a mistake: the first process tells it in a line and ends.

        Whoever makes it goes on with its error, and is to stay for as long as the first one needs.
        """
        if self._store is None:
            yield
            return
        done = threading.Event()
        listener = threading.Thread(target=self._listen, args=(done,), name="board", daemon=True)
        if self._rank == 0:
            listener.start()
        try:
            yield
        except (UserError, SimulatorError) as error:
            if self._rank:
                self._store.set(KEY, f"rank {self._rank}: {error}")
            raise
        finally:
            done.set()
            if self._rank == 0:
                listener.join()

    def _listen(self, done: threading.Event) -> None:
        while not done.wait(LOOK_S):
            try:
                if not self._store.check([KEY]):
                    continue
                mistake = self._store.get(KEY).decode()
            except RuntimeError:
                return  # the store is gone, and with it whoever started the job
            if not done.is_set():
                say(mistake)
                os._exit(USER_ERROR)  # a collective may wait for ever for the one that left
