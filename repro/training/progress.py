"""A progress bar on terminals, nothing in logs."""

import sys
import time
from types import TracebackType

from torch import Tensor
from tqdm import tqdm

from repro.training.curves import Point

REFRESH_S = 0.5


class Progress:
    """Shows steps done, time left, the running loss and the last evaluation of one run."""

    def __init__(self, name: str, steps: int, done: int) -> None:
        self._bar = tqdm(
            total=steps, initial=done, desc=name, unit="step", disable=not sys.stderr.isatty(), leave=False
        )
        self._pending = 0
        self._shown_at = 0.0
        self._evaluation = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def step(self, loss_so_far: Tensor, epoch_share: float) -> None:
        """Count a step; ``loss_so_far`` is the epoch's mean loss weighted by the share of it done,
        this step included."""
        if self._bar.disable:
            return
        self._pending += 1
        now = time.monotonic()
        if now - self._shown_at >= REFRESH_S:
            loss = float(loss_so_far) / epoch_share
            self._bar.set_postfix_str(f"loss {loss:.4g}{self._evaluation}", refresh=False)
            self._bar.update(self._pending)
            self._pending, self._shown_at = 0, now

    def report(self, point: Point) -> None:
        self._evaluation = f", {point.split} {point.metric} {point.value:g}"
