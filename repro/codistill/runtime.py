"""One group of synchronous workers, trained by real processes: the loop, and how it goes on after a kill.

Each process runs this. Whatever could differ between the workers of a group (which snapshots are there, which
checkpoint is whole) the first one decides and tells the others. Order makes a restart exact: records, then the
checkpoint, then the snapshot reach the disk, so no peer ever learns from a version that its group could fall back
behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from repro.codistill.flat import describe
from repro.codistill.learner import Learner, Told
from repro.codistill.objective import mean_prediction
from repro.codistill.patience import Patience, say
from repro.codistill.records import Records, learning_path
from repro.codistill.reducer import Reducer
from repro.codistill.rules import rule_for
from repro.codistill.settings import RunFile, as_plain
from repro.codistill.shared import Checkpoint, GroupFolder, agree_on_run
from repro.codistill.swapped import swap_predictions
from repro.codistill.task import Batch, Task, points
from repro.codistill.teachers import Teachers
from repro.codistill.team import Job
from repro.codistill.traffic import sent_bytes
from repro.codistill.writer import Writer
from repro.errors import UserError
from repro.training.curves import Point
from repro.training.loop import DivergedError
from repro.training.progress import Progress
from simulation.digest import digest
from simulation.protocols import Codistillation, LocalSGD
from simulation.schedule import Kind

FOREVER = 2**31 - 1
PRIVATE = {"folder", "device", "backend", "patience_s", "checkpoint_updates"}
"""Settings in which the groups of one run may differ."""


class GroupRun:
    """A group's training, from wherever its checkpoint stands to the end.

    Raises:
        UserError: the folder holds another run, the group runs already, a device or an option cannot be had.
        LostWorkerError: another process of the job is gone.
    """

    def __init__(self, run: RunFile, task: Task, job: Job) -> None:
        self.run, self.task, self.job = run, task, job
        self.group, self.first = job.group, job.seat == 0
        self.worker = job.group * run.workers + job.seat
        self.learner = Learner(task, run, job.device)
        self.net = self.learner.net
        self.rule = rule_for(run, self.net)
        self.state = self.rule.state(self.net.weights)
        self.reducer = Reducer(self.net, job.team)
        self.description = describe(self.net.layout)
        self.protocol = run.protocol if isinstance(run.protocol, Codistillation) else None
        self.local = run.within if isinstance(run.within, LocalSGD) else None
        self.version = 0
        self.curve: list[Point] = []
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=job.device)
        self.loss_updates = 0
        self.batches: Iterator[Batch] = iter(())
        self._ahead: tuple[Batch, list[Tensor]] | None = None  # the next step's, with its teachers' mean predictions

        wanted = {"model": self.description} | {k: v for k, v in as_plain(run).items() if k not in PRIVATE}
        clock = agree_on_run(run.folder, wanted)
        self.folder = GroupFolder(run.folder, self.group)
        others = [g for g in range(run.protocol.groups) if g != self.group]
        self.others = [GroupFolder(run.folder, g) for g in others]
        self.patience = Patience(run.patience_s)
        if self.first:
            self.folder.open()
            if not clock.same_host:
                self.folder.note_offset_clock()
            self.records = Records(self.folder.records, clock, self.patience)
            self.writer = Writer()
        self.teachers: Teachers | None = None
        if self.protocol is not None and not run.exchanges_predictions:
            records = self.records if self.first else None
            self.teachers = Teachers(
                self.protocol, job, self.learner, self.folder, self.others, self.description, self.patience, records
            )

    # -- the loop ---------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Train to the end."""
        try:
            self.begin()
            name = f"group {self.group}" if self.run.protocol.groups > 1 else "run"
            with Progress(name, self.run.updates, done=self.version) as progress:
                while self.version < self.run.updates:
                    self.advance()
                    progress.step(self.loss_sum, self.loss_updates)
            self._finish()
        finally:
            self.close()

    def begin(self) -> None:
        """Load what an earlier life left, or the initial weights."""
        self._resume()
        self._sent_before = sent_bytes()
        self.batches = self._batches(self.version * self.run.protocol.steps_per_update)

    def advance(self) -> None:
        """What is due at this version, then the update that makes the next one."""
        self._at_version()
        if self.local is not None:
            self._average(self.local)
        else:
            self._synchronous()
        self.loss_sum += self.net.gradient[-1]
        self.loss_updates += 1
        if self.first:
            step = self.version * self.run.protocol.steps_per_update
            self.records.update(self.group, self.version, step, self.run.workers)
            self.writer.check()
        self.version += 1

    def close(self) -> None:
        """Write what is waiting, and let go of the group's files and of the loader's processes."""
        self.batches = iter(())
        if self.teachers is not None:
            self.teachers.close()
        if self.first:
            self.writer.close()
            self.records.close()
            self.folder.close()

    def _synchronous(self) -> None:
        """One step of all workers; the next batch's teacher outputs are computed while gradients travel."""
        step = self.version
        batch, told = self._step_inputs(step)
        self.learner.gradient(batch, self.learner.rows.key(self.worker, step), told, self.reducer.arm)
        self.reducer.start()
        if not self._adopts_at(step + 1) and step + 1 < self.run.updates:
            self._look_ahead(step + 1)
        self.reducer.finish()
        self._apply(step)

    def _average(self, local: LocalSGD) -> None:
        """Local steps of each worker, then the mean of all weights."""
        net, team = self.net, self.job.team
        loss = torch.zeros((), device=self.job.device)
        begin = self.version * local.interval_steps
        for step in range(begin, begin + local.interval_steps):
            batch, told = self._step_inputs(step)
            self.learner.gradient(batch, self.learner.rows.key(self.worker, step), told)
            loss += net.gradient[-1] / local.interval_steps
            self._apply(step)
        net.gradient[: net.size] = net.weights
        net.gradient[-1] = loss
        self.reducer.start_whole()
        self.reducer.finish()
        net.weights.copy_(net.gradient[: net.size])
        for state in self.state:
            if local.momentum == "reset":
                state.zero_()
            elif local.momentum == "average":
                team.sum(state)
                state.div_(team.size)

    def _apply(self, step: int) -> None:
        weights = self.net.weights
        self.rule.apply(weights, self.net.gradient[: self.net.size], self.state, step, 0, out=weights)

    def _batches(self, begin: int) -> Iterator[Batch]:
        """Batches of the coming steps, in order; a task's own loader prepares them ahead."""
        rows, end = self.learner.rows, self.run.updates * self.run.protocol.steps_per_update
        wanted = ((rows(self.worker, step), rows.key(self.worker, step)) for step in range(begin, end))
        if self.task.loader is not None:
            yield from (self.learner.to_device(batch) for batch in self.task.loader(wanted))
            return
        for pair in wanted:
            yield self.learner.to_device(self.task.batch(*pair))

    def _step_inputs(self, step: int) -> tuple[Batch, Told | None]:
        if self._ahead is None:
            self._look_ahead(step)
        assert self._ahead is not None
        batch, means = self._ahead
        self._ahead = None
        if self.run.is_exchange(step):
            return batch, partial(self._swap, batch)
        return batch, (lambda i, _: means[i]) if means else None

    def _look_ahead(self, step: int) -> None:
        """The batch of a step, and what the teachers say to it."""
        batch = next(self.batches)
        teachers = [] if self.teachers is None else self.teachers.nets()
        self._ahead = batch, (self.learner.told(teachers, batch) if teachers else [])

    # -- predictions ------------------------------------------------------------------------------------------

    def _swap(self, batch: Batch, part: int, logits: Tensor) -> Tensor:
        """Swap predictions with the workers of this seat in all groups; the mean of the others'.

        All are gathered, not summed: the mean is then added up in one order, which a replay repeats.

        Raises:
            UserError: the others have other examples.
        """
        own = self.learner.psi.predictions(logits).detach()
        swapped = swap_predictions(self.job.circle, own, self.learner.parts(batch)[part], self.version)
        if self.first and part == 0:
            for other in self.others:
                self.records.event(Kind.ADOPT, self.group, self.version, peer=other.group, peer_version=self.version)
        return mean_prediction([p for g, p in enumerate(swapped) if g != self.group])

    # -- at a version -----------------------------------------------------------------------------------------

    def _at_version(self) -> None:
        """Whatever is due before the next update: evaluation, checkpoint, snapshot, teachers."""
        v, run = self.version, self.run
        if run.evaluate_updates and v and v % run.evaluate_updates == 0:
            self._evaluate()
        publishes = self._publishes_at(v)
        if publishes or (v and v % run.checkpoint_updates == 0):
            self._save(publishes)
        if self.teachers is not None and self._adopts_at(v):
            self.teachers.adopt(v)

    def _publishes_at(self, version: int) -> bool:
        p = self.protocol
        if p is None or self.run.exchanges_predictions:
            return False
        return version >= p.first_publication and version % p.interval_updates == 0

    def _adopts_at(self, version: int) -> bool:
        p = self.protocol
        return p is not None and self._publishes_at(version) and version >= p.first_adoption

    def _evaluate(self) -> None:
        """Metrics of the first worker's copy, and the mean training loss since the last evaluation."""
        if not self.loss_updates:
            return  # done before a restart: the checkpoint has it
        loss = self._mean_loss()
        if self.first:
            self.curve.append(Point(0, self.version, "train", "loss", loss))
            if self.task.evaluate is not None:
                model = self.net.model.eval()
                with torch.no_grad():
                    self.curve += points(self.version, self.task.evaluate(model))
                model.train()
        self.loss_sum.zero_()
        self.loss_updates = 0

    def _mean_loss(self) -> float:
        loss = float(self.loss_sum) / max(self.loss_updates, 1)
        if not math.isfinite(loss):
            raise DivergedError(
                f"group {self.group}: the loss is {loss} by step {self.version}; lower the learning rate "
                f"({self.run.optimizer.learning_rate:g})"
            )
        return loss

    def _save(self, publish: bool) -> None:
        """Hand a copy of everything to the writer: records to disk, checkpoint, then the snapshot."""
        self._mean_loss()  # nothing that is no number is ever published
        states = [self.job.team.swap(state) if self.local else [state] for state in self.state]
        if not self.first:
            return
        rows = {"weights": self.net.dense().cpu()}
        rows |= {f"state.{i}": torch.stack(each).cpu() for i, each in enumerate(states)}
        meta = {
            "adopted": {} if self.teachers is None else dict(self.teachers.adopted),
            "curve": list(self.curve),  # written by another thread while this one appends
            "loss_sum": float(self.loss_sum),
            "loss_updates": self.loss_updates,
        }
        if self.teachers is not None:
            self.teachers.note_checkpoint()
        checkpoint = Checkpoint(self.version, rows, meta)
        self.writer.submit(partial(self._write, checkpoint, publish))

    def _write(self, checkpoint: Checkpoint, publish: bool) -> None:
        dense = checkpoint.rows["weights"]
        number = digest(self.net.layout.one(dense))
        folder, version = self.folder, checkpoint.version
        self.records.event(Kind.PUBLISH, self.group, version, digest=number)
        wait_all = self.protocol is not None and self.protocol.pickup == "wait"

        def write() -> None:
            self.records.sync()
            folder.save_checkpoint(checkpoint, self.description)
            if publish:
                folder.publish(version, self.net.layout, dense, number, self.description)
                folder.retain(self.others, wait_all)

        self.patience.until_written(folder.path, write)

    # -- beginning and end ------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Begin from the newest whole checkpoint, or from the initial weights."""
        found = self._newest_checkpoint()
        net = self.net
        self.version = self.job.team.first_says(found.version if found else 0)
        self._note_failure()
        if self.teachers is not None:
            self.teachers.begin(self.version)
        if not self.version:
            net.load(self.learner.initial(self.group).to(self.job.device))
            self.job.team.from_first(net.weights)
            return
        meta = self.job.team.first_says(found.meta if found else {})
        if found is not None:
            net.load(found.rows["weights"])
        self.job.team.from_first(net.weights)
        for i, state in enumerate(self.state):
            for seat in range(self.run.workers if self.local else 1):
                row = found.rows[f"state.{i}"][seat].to(self.job.device) if found else torch.empty_like(state)
                self.job.team.from_first(row)
                if not self.local or seat == self.job.seat:
                    state.copy_(row)
        self.curve = [Point(*values) for values in meta["curve"]]
        self.loss_sum.fill_(meta["loss_sum"])
        self.loss_updates = meta["loss_updates"]
        for group, version in ((int(g), v) for g, v in meta["adopted"].items()):
            if self.teachers is not None and version >= 0 and self.version < self.run.updates:
                self.teachers.load(group, version)

    def _newest_checkpoint(self) -> Checkpoint | None:
        """The newest whole checkpoint; of groups in one job, the newest that all of them have."""
        if not self.first and not self.run.exchanges_predictions:
            return None
        whole: dict[int, Checkpoint] = {}
        if self.first:
            for version in reversed(self.folder.checkpoints()):
                checkpoint = self.folder.load_checkpoint(version)
                if checkpoint is None:
                    say(f"{self.folder.path}: the checkpoint of step {version} is torn; taking one before it")
                    continue
                whole[version] = checkpoint
                if not self.run.exchanges_predictions:
                    return checkpoint
        if not self.run.exchanges_predictions:
            return None
        said = self.job.everyone.all_say(sorted(whole) if self.first else None)
        common = set.intersection(*(set(versions) for versions in said if versions is not None))
        return whole.get(max(common, default=0))

    def _note_failure(self) -> None:
        """An earlier life of this group that did not come to its end: say so in the records."""
        if not self.first or not len(self.records.before):
            return
        reached = len(learning_path(self.records.before).updates)
        if self.folder.ended() is not None:
            return
        if reached < self.version:
            raise UserError(f"{self.folder.records}: does not reach the checkpoint of step {self.version}; begin anew")
        self.records.event(Kind.FAIL, self.group, reached)
        if reached > self.version:
            self.records.event(Kind.ROLLBACK, self.group, reached, peer_version=self.version)
        say(f"group {self.group} goes on from step {self.version}; it had been at {reached}")

    def _finish(self) -> None:
        """Metrics of the end, the final weights, and the note that others go by."""
        self._evaluate()
        self._save(publish=True)
        sent = sent_bytes()
        own = None if sent is None or self._sent_before is None else sent - self._sent_before
        sent_by_worker = self.job.team.all_say(own)
        self.job.everyone.all_say(0)  # who leaves closes connections that others still count
        if not self.first:
            return
        self.writer.close()
        self.writer.check()
        needs = {other.group: [FOREVER] for other in self.others}
        self.patience.until_written(self.folder.path, partial(self.folder.write_needs, needs))
        metrics: dict[str, dict[str, float]] = {}
        for point in self.curve:
            if point.step == self.version:
                metrics.setdefault(point.split, {})[point.metric] = point.value
        final = f"{digest(self.net.layout.one(self.net.dense())):016x}"
        end = {
            "updates": self.version,
            "digest": final,
            "metrics": metrics,
            "curve": self.curve,
            "sent_bytes": sent_by_worker,
        }
        self.patience.until_written(self.folder.path, partial(self.folder.write_ended, end))
