"""Other groups' snapshots, read in the background before they are wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from torch import Tensor

from repro.codistill.patience import say
from repro.codistill.shared import GroupFolder
from simulation.gradients import Layout

POLL_S = 0.05


class Peers:
    """The newest whole snapshot of each peer, up to a version that may rise.

    A thread looks every `poll_s`, and at once when the limit rises, and loads what is new; torn files are named once
    and passed over.
    """

    def __init__(self, folders: Sequence[GroupFolder], layout: Layout, model: str, poll_s: float = POLL_S) -> None:
        self._folders = {folder.group: folder for folder in folders}
        self._layout, self._model, self._poll_s = layout, model, poll_s
        self._loaded: dict[int, tuple[int, Tensor]] = {}
        self._offered: dict[int, tuple[int, Tensor]] = {}
        self._changed = dict.fromkeys(self._folders, time.monotonic())
        self._torn: set[tuple[int, int]] = set()
        self._limit: int | None = -1
        self._limits_set = self._limits_seen = 0
        self._error: BaseException | None = None
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def allow(self, limit: int | None) -> None:
        """From now on load versions up to `limit`; None: whatever is newest."""
        with self._news:
            self._limit = limit
            self._limits_set += 1
            self._news.notify_all()

    def look_through(self) -> None:
        """Until every peer's folder has been looked through under the limit of now."""
        with self._news:
            wanted = self._limits_set
            self._news.wait_for(lambda: self._limits_seen >= wanted or self._error is not None)

    def newest(self) -> dict[int, int]:
        """The version that is loaded of each peer; -1 where there is none.

        Raises:
            UserError: a snapshot is of another model.
        """
        with self._news:
            if self._error is not None:
                raise self._error
            self._offered = dict(self._loaded)
            return {g: self._offered[g][0] if g in self._offered else -1 for g in self._folders}

    def row(self, group: int, version: int) -> Tensor | None:
        """The weights (size,) of a snapshot; None where it cannot be read. What `newest` told last is at hand."""
        with self._news:
            at_hand = [self._offered.get(group), self._loaded.get(group)]
        for loaded in at_hand:
            if loaded is not None and loaded[0] == version:
                return loaded[1]
        return self._folders[group].load_snapshot(version, self._layout, self._model)

    def wait_for_news(self, timeout_s: float) -> None:
        """Until something new is loaded, or the time is over."""
        with self._news:
            self._news.wait(timeout_s)

    def silent_s(self, group: int) -> float:
        """How long a peer has published nothing, 0 if it came to its end."""
        if self._folders[group].ended() is not None:
            return 0.0
        return time.monotonic() - self._changed[group]

    def close(self) -> None:
        """Look no more. A thread that still loads when the interpreter ends would abort the whole process."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._closed:
                limits_seen = self._limits_set
                for group in self._folders:
                    self._look(group)
                with self._news:
                    if limits_seen > self._limits_seen:
                        self._limits_seen = limits_seen
                        self._news.notify_all()
                    self._news.wait_for(lambda: self._closed or self._limits_set > self._limits_seen, self._poll_s)
        except BaseException as error:
            with self._news:
                self._error = error
                self._news.notify_all()

    def _look(self, group: int) -> None:
        folder = self._folders[group]
        have = self._loaded[group][0] if group in self._loaded else -1
        limit = self._limit
        for version in reversed(folder.snapshots()):
            if version <= have:
                return
            if limit is not None and version > limit:
                continue
            row = folder.load_snapshot(version, self._layout, self._model)
            if row is None:
                if (group, version) not in self._torn:
                    self._torn.add((group, version))
                    say(f"{folder.path}: the snapshot of version {version} is torn or gone; doing without it")
                continue
            with self._news:
                self._loaded[group] = (version, row)
                self._changed[group] = time.monotonic()
                self._news.notify_all()
            return
