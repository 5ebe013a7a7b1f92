"""Real gradients under a schedule: what the loss would have been, for any number of workers, on one machine.

Replay follows versions, never clocks: an update is computed as soon as the version it read and its teachers
are there. All updates that can be computed are computed together, their weights stacked by version, then
applied one by one in the schedule's order. Synchronous groups so need one copy, asynchronous ones as many
as are read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from tqdm import tqdm

from simulation.digest import digest
from simulation.draws import Ints
from simulation.errors import UserError
from simulation.gradients import TEAM_CHUNK, Layout, OneByOne, Parameters, Problem
from simulation.protocols import BackupWorkers, Codistillation, LocalSGD
from simulation.schedule import Kind, Schedule
from simulation.versions import Needs, Teachers, Versions, room

State = tuple[Tensor, ...]
Observer = Callable[[int, int, Parameters], None]
Version = tuple[int, int]
Ready = list[tuple[int, range]]
"""Groups and which of their updates can be computed now."""


class Rule(Protocol):
    """How a gradient changes weights. Works on one row (size,) and on several (N, size) alike."""

    def state(self, weights: Tensor) -> State:
        """What the rule remembers (momentum, ...), each of the weights' shape, at the start."""

    def apply(self, weights: Tensor, gradient: Tensor, state: State, step: int, staleness: int, out: Tensor) -> None:
        """Write the new weights to `out` (which may be `weights`) and update the state in place."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum (v <- m v + g, w <- w - rate v) and staleness-aware steps.

    `learning_rate` is a number or a function of the step: the group's version, or the local step under
    LocalSGD. With `staleness_power` p the rate of an update that is s versions old is divided by max(1,
    s)^p (p = 1: Zhang et al. 2016, 1511.05950, section 3).
    """

    learning_rate: float | Callable[[int], float]
    momentum: float = 0.0
    weight_decay: float = 0.0
    staleness_power: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.learning_rate) and not self.learning_rate > 0:
            raise UserError(f"SGD.learning_rate: {self.learning_rate} must be > 0")
        if not 0 <= self.momentum < 1:
            raise UserError(f"SGD.momentum: {self.momentum} must lie in [0, 1)")
        if self.weight_decay < 0 or self.staleness_power < 0:
            raise UserError("SGD.weight_decay and staleness_power must be >= 0")

    def state(self, weights: Tensor) -> State:
        """The velocity, zero."""
        return (torch.zeros_like(weights),) if self.momentum else ()

    def apply(self, weights: Tensor, gradient: Tensor, state: State, step: int, staleness: int, out: Tensor) -> None:
        """One step; see the class."""
        rate = self.learning_rate(step) if callable(self.learning_rate) else self.learning_rate
        if self.staleness_power and staleness > 1:
            rate /= staleness**self.staleness_power
        if self.weight_decay:
            gradient = gradient.add(weights, alpha=self.weight_decay)
        if self.momentum:
            gradient = state[0].mul_(self.momentum).add_(gradient)
        torch.add(weights, gradient, alpha=-rate, out=out)


@dataclass(frozen=True)
class RMSProp:
    """Steps divided by a running root mean square of the gradient, then momentum (Tieleman and Hinton 2012).

    a <- decay a + (1 - decay) g^2; v <- momentum v + g / (sqrt(a) + epsilon); w <- w - rate v, elementwise.
    """

    learning_rate: float
    momentum: float = 0.0
    decay: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or not self.epsilon > 0:
            raise UserError(f"RMSProp.learning_rate, epsilon: {self.learning_rate}, {self.epsilon} must be > 0")
        if not 0 <= self.momentum < 1 or not 0 <= self.decay < 1:
            raise UserError(f"RMSProp.momentum, decay: {self.momentum}, {self.decay} must lie in [0, 1)")

    def state(self, weights: Tensor) -> State:
        """The mean square and the velocity, zero."""
        return torch.zeros_like(weights), torch.zeros_like(weights)

    def apply(self, weights: Tensor, gradient: Tensor, state: State, step: int, staleness: int, out: Tensor) -> None:
        """One step; see the class. How old the gradient is does not count."""
        square, velocity = state
        square.mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
        velocity.mul_(self.momentum).addcdiv_(gradient, square.sqrt().add_(self.epsilon))
        torch.add(weights, velocity, alpha=-self.learning_rate, out=out)


@dataclass(frozen=True)
class Replayed:
    """Weights of each group; how many recorded digests were checked, and the (group, version) that differ."""

    parameters: list[Parameters]
    mismatches: list[tuple[int, int]]
    checked: int


def replay(
    schedule: Schedule,
    problem: Problem | OneByOne,
    rule: Rule,
    parameters: Sequence[Mapping[str, Tensor]],
    *,
    budget_bytes: int = 1 << 30,
    most_at_once: int = 512,
    observe: Observer | None = None,
    observe_every: int = 1,
) -> Replayed:
    """Learn as the schedule says, from one dictionary of initial parameters per group, on their device.

    The outcome does not depend on `budget_bytes` or `most_at_once`: on a CPU to the last bit (at ordinary
    sizes), on CUDA to rounding.

    Args:
        budget_bytes: for copies of weights, gradients and batches; what the model's own layers hold is not counted.
        most_at_once: updates computed together, at most; 1 is the plain loop.
        observe: called with (group, version, parameters) at version 0, every `observe_every` versions and the last;
            the parameters are views that change later.

    Raises:
        UserError: the wrong number of groups, a missing function for teachers, a budget that is too small.
    """
    run = _Replay(schedule, problem, rule, parameters, budget_bytes, most_at_once)
    return run.play(observe, observe_every)


class _Replay:
    def __init__(
        self,
        schedule: Schedule,
        problem: Problem | OneByOne,
        rule: Rule,
        parameters: Sequence[Mapping[str, Tensor]],
        budget_bytes: int,
        most_at_once: int,
    ) -> None:
        self.protocol = schedule.protocol
        self.groups = self.protocol.groups
        self.problem, self.rule = problem, rule
        if len(parameters) != self.groups:
            raise UserError(f"replay: {len(parameters)} sets of initial parameters for {self.groups} groups")
        self.needs = Needs(schedule)
        if self.needs.taught and not problem.can_be_taught:
            raise UserError("replay: the schedule has teachers, so Problem needs predict and taught_loss")
        self.layout = Layout.of(parameters[0])
        if any(Layout.of(p) != self.layout for p in parameters[1:]):
            raise UserError("replay: all groups must have the same model")
        within = self.protocol.within if isinstance(self.protocol, Codistillation) else self.protocol
        self.local = within if isinstance(within, LocalSGD) else None
        self.gradients = problem.gradients(self.layout)
        self.parts = schedule.group_slices()
        self.worker = [schedule.updates.column("worker")[p].astype(np.int64) for p in self.parts]
        self.step = [schedule.updates.column("step")[p].astype(np.int64) for p in self.parts]
        self.teams = [_teams(schedule, g) for g in range(self.groups)]
        self.team = 1 if not self.protocol.barrier else int(schedule.updates.count[0])
        self.recorded = _recorded(schedule)
        batch = problem.batches(self.teams[0](0)[:1] if self.protocol.barrier else self.worker[0][:1], self.step[0][:1])
        batch_bytes = sum(t.nbytes for t in tree_leaves(batch))
        copies = min(self.team, TEAM_CHUNK) if self.local else 1
        item = batch_bytes * self.team + (copies - 1) * 5 * self.layout.row_bytes
        state_rows = (self.team if self.local else 1) * len(rule.state(torch.zeros(1))) * self.groups
        rows, at_once = room(self.needs, self.layout, budget_bytes, item, state_rows * self.layout.row_bytes)
        self.at_once = max(1, min(at_once, most_at_once) // self.groups)
        self.versions = Versions(self.layout, rows)
        self.reads = [reads.tolist() for reads in self.needs.reads]
        self.uses = [uses.tolist() for uses in self.needs.uses]
        self.position = [0] * self.groups
        self.states: list[State] = []
        for g, initial in enumerate(parameters):
            row = self.versions.new(g, 0, self.uses[g][0])
            row.copy_(self.layout.flatten(initial))
            start = row.expand(self.team, -1) if self.local else row
            self.states.append(rule.state(torch.zeros_like(start)))
        self.mismatches: list[tuple[int, int]] = []
        self.checked = 0
        self._observe: tuple[Observer, int] | None = None

    def play(self, observe: Observer | None, every: int) -> Replayed:
        ends = [len(reads) for reads in self.needs.reads]
        self._observe = None if observe is None else (observe, every)
        bar = tqdm(total=sum(ends), unit="update", disable=None, leave=False)

        for g in range(self.groups):
            self._arrived(g, 0)
        while self.position != ends:
            ready = [(g, some) for g in range(self.groups) if (some := self._ready(g))]
            if not ready:
                raise UserError("replay: the groups wait for each other's versions; the schedule is impossible")
            if self.local:
                for g, i in ((g, i) for g, updates in ready for i in updates):
                    self._average(g, i)
            else:
                gradients = iter(self._compute(ready))
                for g, updates in ready:
                    self._apply(g, updates, gradients)
            bar.update(sum(len(updates) for _, updates in ready))
        bar.close()
        final = [{n: t.clone() for n, t in self._parameters(g).items()} for g in range(self.groups)]
        return Replayed(final, self.mismatches, self.checked)

    def _parameters(self, g: int) -> Parameters:
        return self.layout.one(self.versions.row(g, self.position[g]))

    def _ready(self, g: int) -> range:
        """The next updates of a group whose versions and teachers are all there."""
        first = self.position[g]
        reads = self.needs.reads[g][first : first + self.at_once]
        early = reads > first
        n = int(np.argmax(early)) if early.any() else len(reads)
        if self.needs.taught:
            spans = self.needs.span_of[g][first : first + n]
            for number in np.unique(spans[spans >= 0]).tolist():
                if any(teacher not in self.versions for teacher in self.needs.spans[g][number].teachers):
                    n = min(n, int(np.argmax(spans == number)))
        return range(first, first + n)

    def _teachers(self, g: int, i: int) -> Teachers:
        number = int(self.needs.span_of[g][i])
        return self.needs.spans[g][number].teachers if number >= 0 else ()

    def _compute(self, ready: Ready) -> list[Tensor]:
        """Gradients of these updates, in order; those with equally many teachers are made together."""
        reads = [(g, read) for g, updates in ready for read in self.reads[g][updates.start : updates.stop]]
        steps = _joined(self.step, ready)
        if not self.needs.taught:
            return list(self._gradients(reads, [], self._workers(ready), steps).unbind(0))
        teachers = [self._teachers(g, i) for g, updates in ready for i in updates]
        counts = np.array([len(t) for t in teachers])
        workers = self._workers(ready)
        result = torch.empty((len(reads), self.layout.size), dtype=self.layout.dtype, device=self.layout.device)
        for count in np.unique(counts).tolist():
            chosen = np.flatnonzero(counts == count)
            some = chosen.tolist()
            taught = [[teachers[k][t] for k in some] for t in range(count)]
            rows = self._gradients([reads[k] for k in some], taught, workers[chosen], steps[chosen])
            result[torch.from_numpy(chosen).to(result.device)] = rows
        return list(result.unbind(0))

    def _gradients(self, reads: list[Version], teachers: list[list[Version]], workers: Ints, steps: Ints) -> Tensor:
        """One row per update: weights by version, workers (K, team), steps (K,)."""
        weights = self.versions.gather(reads)
        taught = [self.versions.gather(each) for each in teachers]
        batch = self.problem.batches(workers.reshape(-1), np.repeat(steps, self.team))
        return self.gradients.team(weights, taught, batch, self.team)

    def _workers(self, ready: Ready) -> Ints:
        """Who contributes to each of these updates: global numbers, (K, team)."""
        if not self.protocol.barrier:
            return _joined(self.worker, ready)[:, None]
        return np.stack([self.teams[g](i) for g, updates in ready for i in updates])

    def _apply(self, g: int, updates: range, gradients: Iterator[Tensor]) -> None:
        """One after the other, in the schedule's order."""
        versions, reads, uses, state = self.versions, self.reads[g], self.uses[g], self.states[g]
        old = versions.row(g, updates.start)
        for i in updates:
            new = versions.new(g, i + 1, uses[i + 1])
            self.rule.apply(old, next(gradients), state, i, i - reads[i], new)
            self._finish(g, i, reads[i])
            old = new

    def _average(self, g: int, i: int) -> None:
        """One averaging of LocalSGD: every worker walks its steps from the same weights."""
        assert self.local is not None
        start = self.versions.row(g, i)
        workers = self.teams[g](i)
        teachers = [self.versions.row(*t) for t in self._teachers(g, i)]
        total = torch.zeros_like(start)
        for begin in range(0, self.team, TEAM_CHUNK):
            part = slice(begin, min(begin + TEAM_CHUNK, self.team))
            mine = workers[part]
            weights = start.repeat(len(mine), 1)
            taught = [t.expand(len(mine), -1) for t in teachers]
            state = tuple(s[part] for s in self.states[g])
            for h in range(self.local.interval_steps):
                step = int(self.step[g][i]) + h
                batch = self.problem.batches(mine, np.full(len(mine), step))
                gradient = self.gradients.single(weights, taught, batch)
                self.rule.apply(weights, gradient, state, step, 0, weights)
            total += weights.sum(dim=0)
        new = self.versions.new(g, i + 1, self.uses[g][i + 1])
        torch.div(total, self.team, out=new)
        for s in self.states[g]:
            if self.local.momentum == "reset":
                s.zero_()
            elif self.local.momentum == "average":
                s.copy_(s.mean(dim=0, keepdim=True).expand_as(s))
        self._finish(g, i, i)

    def _finish(self, g: int, i: int, read: int) -> None:
        """Version i + 1 is there: what update i has read is needed once less."""
        if read == i:
            self.versions.drop(g, i, 2)  # read, and no longer the newest
        else:
            self.versions.drop(g, i)
            self.versions.drop(g, read)
        if self.needs.taught:
            number = int(self.needs.span_of[g][i])
            if number >= 0 and self.needs.last_of[g][number] == i:
                for teacher in self.needs.spans[g][number].teachers:
                    self.versions.drop(*teacher)
        self._arrived(g, i + 1)

    def _arrived(self, g: int, version: int) -> None:
        """A group has a new newest version: compare it with the recording, show it to the observer."""
        self.position[g] = version
        if self.recorded and (g, version) in self.recorded:
            self.checked += 1
            if digest(self._parameters(g)) != self.recorded[g, version]:
                self.mismatches.append((g, version))
        if self._observe is None:
            return
        observe, every = self._observe
        if version % every == 0 or version == len(self.reads[g]):
            observe(g, version, self._parameters(g))


def _joined(columns: list[Ints], ready: Ready) -> Ints:
    return np.concatenate([columns[g][updates.start : updates.stop] for g, updates in ready])


def _recorded(schedule: Schedule) -> dict[tuple[int, int], int]:
    published = schedule.events.of(Kind.PUBLISH)
    known = published.digest != 0
    keys = zip(published.group[known].tolist(), published.version[known].tolist(), strict=True)
    return dict(zip(keys, published.digest[known].tolist(), strict=True))


def _teams(schedule: Schedule, group: int) -> Callable[[int], Ints]:
    """Which global workers contributed to each update of a barrier group."""
    protocol = schedule.protocol
    size = protocol.total_workers // protocol.groups
    everyone = np.arange(group * size, (group + 1) * size)
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    if not isinstance(within, BackupWorkers):
        return lambda _: everyone
    drops = schedule.events.of(Kind.DROP)
    mine = drops.group == group
    part = schedule.group_slices()[group]
    # Who drops a gradient begun on version v takes part in nothing from v to before peer_version.
    change = np.zeros((part.stop - part.start + 1, size), np.int32)
    worker = drops.worker[mine] - group * size
    np.add.at(change, (drops.version[mine], worker), 1)
    np.add.at(change, (drops.peer_version[mine], worker), -1)
    away = np.cumsum(change, axis=0)[:-1] > 0
    if (size - away.sum(axis=1) != within.workers).any():
        raise UserError(f"replay: group {group}: DROP events leave an update without {within.workers} workers")
    return lambda i: everyone[~away[i]]
