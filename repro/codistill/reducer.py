"""The mean of all workers' gradients, on its way while the backward pass still runs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from repro.codistill.flat import FlatModel
from repro.codistill.team import Team, wait

BUCKET_BYTES = 25 << 20


class Reducer:
    """Sums a model's gradient row over a team, in pieces, each as soon as its gradients are complete.

    Pieces are stretches of the row, last layers first, of at least `bucket_bytes`; a row that is shorter goes as one.
    All members send them in one order.
    """

    def __init__(self, net: FlatModel, team: Team, bucket_bytes: int = BUCKET_BYTES) -> None:
        self.net, self.team = net, team
        self._armed = False
        self._pieces: list[Tensor] = []
        self._missing: list[int] = []
        self._members: list[int] = []
        self._handles: list[Any] = []
        if team.size > 1 and net.trained * 4 > bucket_bytes:
            self._cut(bucket_bytes)

    def _cut(self, bucket_bytes: int) -> None:
        end = begin = self.net.trained
        members = 0
        for parameter in reversed(self.net.parameters):
            begin -= parameter.numel()
            members += 1
            piece = len(self._pieces)
            parameter.register_post_accumulate_grad_hook(lambda _, piece=piece: self._complete(piece))
            if (end - begin) * 4 >= bucket_bytes or begin == 0:
                self._pieces.append(self.net.gradient[begin:end])
                self._members.append(members)
                end, members = begin, 0

    def arm(self) -> None:
        """The coming backward pass is the step's last."""
        self._armed = True
        self._missing = list(self._members)
        self._handles = []

    def _complete(self, piece: int) -> None:
        if not self._armed:
            return
        self._missing[piece] -= 1
        while len(self._handles) < len(self._pieces) and not self._missing[len(self._handles)]:
            self._handles.append(self.team.start_sum(self._pieces[len(self._handles)]))

    def start(self) -> None:
        """The backward pass is over: send what is left."""
        self._armed = False
        row = self.net.gradient
        for piece in self._pieces[len(self._handles) :]:  # a parameter had no part in this step's loss
            self._handles.append(self.team.start_sum(piece))
        self._handles.append(self.team.start_sum(row[self.net.trained :] if self._pieces else row))

    def start_whole(self) -> None:
        """Send the row as one, whatever it holds."""
        self._handles = [self.team.start_sum(self.net.gradient)]

    def finish(self) -> None:
        """Until the row holds the mean over the team."""
        for handle in self._handles:
            wait(handle)
        if self.team.size > 1:
            self.net.gradient.div_(self.team.size)
