"""What a machine's parts take, measured without the whole: one worker's compute, collectives, the shared folder.

As many processes as the run will have measure together, since they share caches, memory and links as the run's will;
but none of them takes a step that communicates. The leading underscore says that it is no experiment.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from repro.codistill.flat import FlatModel, describe
from repro.codistill.learner import Learner, Told
from repro.codistill.local import launch
from repro.codistill.peers import POLL_S, Peers
from repro.codistill.place import threads_of_a_process
from repro.codistill.rules import rule_for
from repro.codistill.settings import RunFile
from repro.codistill.shared import Checkpoint, GroupFolder
from repro.codistill.swapped import swap_predictions
from repro.codistill.task import load_task
from repro.codistill.team import Job, Team, joined
from simulation.calibrate import CACHE_BYTES
from simulation.digest import digest
from simulation.protocols import Codistillation
from simulation.timed_steps import timed

FOUND = "parts.json"
STEPS_PER_ROUND = 4
FIRST_EXCHANGE = 1  # the first step whose batch all groups share, where they exchange predictions at every step
Work = Callable[[], object]


@dataclass(frozen=True)
class Parts:
    """Seconds of a machine's parts, for one task and one arrangement of workers.

    steps_s: forward, backward and update of one worker alone, a sample; forward_s: a teacher's forward pass;
    taught_s: what the distillation term adds to a step that has the teachers' predictions. reduce_s: the all-reduce
    within a group, at reduce_bytes; gather_s: workers' predictions swapped between groups, and found to be of the
    same examples, of gather_bytes each; empty where nobody is to be met. publish_s: from a group's decision to
    publish until another has the snapshot in memory. parameters: of the net. prediction_bytes: what one worker has
    to tell about its batch.
    """

    steps_s: tuple[float, ...]
    forward_s: float
    taught_s: float
    reduce_bytes: tuple[float, ...]
    reduce_s: tuple[float, ...]
    gather_bytes: tuple[float, ...]
    gather_s: tuple[float, ...]
    publish_s: float
    parameters: int
    prediction_bytes: int

    @property
    def step_s(self) -> float:
        """The median step."""
        return statistics.median(self.steps_s)


def measured_parts(run: RunFile, folder: Path, rounds: int) -> Parts:
    """Measure with as many processes as `run` has, arranged alike; `folder` is for what lies about meanwhile.

    Raises:
        UserError: a process failed.
    """
    protocol = run.protocol
    if isinstance(protocol, Codistillation):  # one job of all groups, whatever they exchange
        protocol = Codistillation(protocol.groups, protocol.within, 1, exchange="predictions")
    folder.mkdir(parents=True, exist_ok=True)
    own = run.model_copy(update={"protocol": protocol, "folder": folder})
    launch(own, work=partial(be_measured, rounds=rounds))
    found: dict[str, Any] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    lists: dict[str, Any] = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return Parts(**found | lists)


def averaged(first: Parts, second: Parts) -> Parts:
    """The mean of two measurements of one machine, and their steps together."""

    def mean(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
        return tuple((a + b) / 2 for a, b in zip(one, other, strict=True))

    return replace(
        first,
        steps_s=first.steps_s + second.steps_s,
        forward_s=(first.forward_s + second.forward_s) / 2,
        taught_s=(first.taught_s + second.taught_s) / 2,
        reduce_s=mean(first.reduce_s, second.reduce_s),
        gather_s=mean(first.gather_s, second.gather_s),
        publish_s=(first.publish_s + second.publish_s) / 2,
    )


def be_measured(run: RunFile, group: int | None, method: str, rounds: int) -> int:
    """Be one of the processes; the first writes what they found into the run's folder."""
    torch.set_num_threads(threads_of_a_process())
    with joined(run, group, method) as job:
        found = measure(run, job, rounds)
        if job.everyone.rank == 0:
            (run.folder / FOUND).write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0


def measure(run: RunFile, job: Job, rounds: int) -> Parts:
    """Measure with all processes of a job."""
    task = load_task(run.task, run.task_settings)
    learner = Learner(task, run, job.device)
    net, rule = learner.net, rule_for(run, learner.net)
    state = rule.state(net.weights)
    worker, everyone = job.everyone.rank, job.everyone
    numbers = iter(range(run.updates * STEPS_PER_ROUND))

    def step(told: Told | None) -> None:
        number = next(numbers)
        learner.gradient(learner.batch(worker, number), learner.rows.key(worker, number), told)
        rule.apply(net.weights, net.gradient[: net.size], state, number, 0, out=net.weights)

    batch, teachers = learner.batch(worker, FIRST_EXCHANGE), [learner.teacher(job.group + 1)]
    teachers[0].model.eval()
    told = learner.told(teachers, batch)
    everyone.all_say(0)  # all begin at once
    alternating = chain.from_iterable(repeat((None, lambda part, _: told[part])))
    both = timed(lambda: step(next(alternating)), job.device, 2 * STEPS_PER_ROUND * rounds, together=False)
    steps, taught = both[::2], both[1::2]
    forward = timed(lambda: learner.told(teachers, batch), job.device, STEPS_PER_ROUND * rounds, together=False)
    examples, own = learner.parts(batch)[0], told[0]

    def sum_of(numbers: int) -> Work:
        return partial(job.team.sum, torch.zeros(numbers, device=job.device))

    def swap_of(cases: int) -> Work:
        asked = tree_map(lambda t: t[:cases], examples)
        return partial(swap_predictions, job.circle, own[:cases], asked, FIRST_EXCHANGE)

    def quarter(whole: int) -> int:
        return max(1, whole // 4)

    size, cases = net.size + 1, len(own)
    reduce = _collective(job, job.team, {4.0 * n: sum_of(n) for n in (quarter(size), size)}, rounds)
    bytes_of_case = 4.0 * own[0].numel()
    gather = _collective(job, job.circle, {bytes_of_case * n: swap_of(n) for n in (quarter(cases), cases)}, rounds)
    return Parts(
        steps_s=tuple(chain(*everyone.all_say(steps))),
        forward_s=statistics.fmean(everyone.all_say(statistics.median(forward))),
        taught_s=max(0.0, statistics.fmean(everyone.all_say(statistics.median(taught) - statistics.median(steps)))),
        reduce_bytes=tuple(reduce),
        reduce_s=tuple(reduce.values()),
        gather_bytes=tuple(gather),
        gather_s=tuple(gather.values()),
        publish_s=max(everyone.all_say(_publishing(run.folder, net, worker, rounds))) if job.circle.size > 1 else 0.0,
        parameters=net.size,
        prediction_bytes=4 * sum(part.numel() for part in told),
    )


def _collective(job: Job, team: Team, by_bytes: Mapping[float, Work], rounds: int) -> dict[float, float]:
    """Seconds (median, of the slowest process) of a team's collective, by bytes; none where there is nobody to meet.

    Caches are filled with something else before every round, as a training step leaves them.
    """
    if team.size == 1:
        return {}
    other = torch.zeros(CACHE_BYTES // 4, device=job.device)
    return {
        n_bytes: max(
            job.everyone.all_say(
                statistics.median(timed(work, job.device, rounds, together=True, before=lambda: other.add_(1.0)))
            )
        )
        for n_bytes, work in by_bytes.items()
    }


def _publishing(folder: Path, net: FlatModel, worker: int, rounds: int) -> float:
    """Mean seconds in which a checkpoint and a snapshot are written and another process's thread has found the latter.

    The mean, since how long the thread slept is as good as random.
    """
    description = describe(net.layout)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        publisher = GroupFolder(Path(own), worker)
        publisher.open()
        peers = Peers([publisher], net.layout, description)
        peers.allow(None)
        times = []
        for version in range(1, rounds + 1):
            begin = time.perf_counter()
            row = net.dense().cpu()
            number = digest(net.layout.one(row))
            publisher.save_checkpoint(Checkpoint(version, {"weights": row}, {}), description)
            publisher.publish(version, net.layout, row, number, description)
            while peers.newest()[worker] < version:
                peers.wait_for_news(1.0)
            times.append(time.perf_counter() - begin)
            time.sleep(POLL_S * (version % 5) / 5)  # meet the watching thread anywhere in its sleep
        peers.close()
        publisher.close()
    return statistics.fmean(times)
