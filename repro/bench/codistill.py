"""``codistill.*``: what codistillation adds to a step, and how much killing its processes stand.

Step times are medians over blocks that take turns in one pair of processes: a plain step under
DistributedDataParallel, a step that exchanges predictions, a step of one group alone, its teacher's forward pass, and a
step taught by a snapshot. Turns cancel what else the machine does. The soak kills processes at random moments. Rows of
``codistill.pictures``: `repro.bench._pictures`.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from repro.bench import Measurement
from repro.bench._pictures import measure_pictures
from repro.codistill.learner import Learner
from repro.codistill.local import LocalJob, launch
from repro.codistill.recorded import recorded_schedule
from repro.codistill.replayed import learn
from repro.codistill.rules import rule_for
from repro.codistill.runtime import GroupRun
from repro.codistill.settings import RunFile
from repro.codistill.shared import GroupFolder
from repro.codistill.task import load_task
from repro.codistill.team import Job, Team, joined

SIZES = (784, 800, 800, 10)
BATCH = 128
BLOCKS = 7
INTERVAL = 50
KILLS = 50
UNKILLED = 10


def _run(folder: Path, protocol: dict[str, Any], **changes: Any) -> RunFile:
    settings = {
        "task": "repro.codistill.tasks:noise",
        "task_settings": {"sizes": SIZES},
        "folder": folder,
        "protocol": protocol,
        "updates": 10**6,
        "batch_size": BATCH,
        "precision": "float32",
        "optimizer": {"learning_rate": 0.01, "momentum": 0.9},
    }
    return RunFile.model_validate(settings | changes)


def _codistilled(**changes: Any) -> dict[str, Any]:
    return {"kind": "Codistillation", "groups": 2, "within": {"kind": "SyncSGD", "workers": 1}} | changes


def plain_steps(learner: Learner) -> Callable[[int], None]:
    """What a tutorial writes: DistributedDataParallel, cross-entropy, torch's SGD; the data as a tensor, as ours."""
    model = nn.parallel.DistributedDataParallel(learner.task.model(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(number: int) -> None:
        x, y = learner.batch(0, number)
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure_steps(folder: str, queue: Any, rank: int, method: str) -> None:
    """One of two processes: the medians of seconds a step, by kind of step."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE="2")
    torch.set_num_threads(1)
    predictions = _run(Path(folder) / "predictions", _codistilled(interval_steps=1, exchange="predictions"))
    checkpoints = _run(Path(folder) / "checkpoints", _codistilled(interval_steps=INTERVAL))
    with joined(predictions, None, method) as job:
        task = load_task(predictions.task, predictions.task_settings)
        swapping = GroupRun(predictions, task, job)
        alone = Job(rank, 0, job.device, Team(1, 0), Team(1, 0), Team(1, 0))
        single = GroupRun(checkpoints, task, alone)
        learner = Learner(task, checkpoints)
        teacher = learner.teacher(1 - rank)
        plain = plain_steps(learner)
        rule, state = rule_for(checkpoints, learner.net), rule_for(checkpoints, learner.net).state(learner.net.weights)
        for run in (swapping, single):
            run.begin()

        def ours_alone(step: int) -> None:
            learner.gradient(learner.batch(0, step), learner.rows.key(0, step), None)
            weights = learner.net.weights
            rule.apply(weights, learner.net.gradient[: learner.net.size], state, step, 0, weights)

        def forward(step: int) -> None:
            learner.told([teacher], learner.batch(0, step))

        kinds: dict[str, Callable[[int], None]] = {"plain": plain, "alone": ours_alone, "forward": forward}
        kinds["predictions"] = lambda _: swapping.advance()
        kinds["checkpoints"] = lambda _: single.advance()
        while single.version < 2 * INTERVAL + 1:  # until there are teachers
            single.advance()
            if swapping.version < 3:
                swapping.advance()
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for block in range(BLOCKS):
            for kind, step in kinds.items():
                dist.barrier()
                begin = time.perf_counter()
                # A whole interval: what its boundary costs is spread over its steps.
                for number in range(block * INTERVAL, (block + 1) * INTERVAL):
                    step(number)
                times[kind].append((time.perf_counter() - begin) / INTERVAL)
        for run in (swapping, single):
            run.close()
        queue.put({kind: statistics.median(found) for kind, found in times.items()})
        dist.barrier()


def _two_processes(folder: str) -> dict[str, float]:
    """Mean over both processes of each kind's median."""
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    method = f"file://{folder}/store"
    processes = [context.Process(target=measure_steps, args=(folder, queue, rank, method)) for rank in range(2)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    return {kind: statistics.mean(each[kind] for each in found) for kind in found[0]}


class RandomKills:
    """Kills a random process of a random group at random moments, so many times in all."""

    def __init__(self, kills: int, seed: int, within_s: float = 0.5) -> None:
        self.left, self.random, self.within_s = kills, random.Random(seed), within_s
        self.deaths = 0
        self.next_at = time.monotonic() + 1.0

    def __call__(self, jobs: list[LocalJob]) -> None:
        if not self.left or time.monotonic() < self.next_at:
            return
        victims = [p for job in jobs for p in job.processes if p.is_alive() and p.pid is not None]
        if victims:
            victim = self.random.choice(victims)
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()
            # One that came to its end just before has another status, and was not killed.
            killed = victim.exitcode == -signal.SIGKILL
            self.deaths += killed
            self.left -= killed
        self.next_at = time.monotonic() + self.random.uniform(0.0, self.within_s)


def _small(folder: Path, name: str, protocol: dict[str, Any]) -> RunFile:
    """A run of a tiny net."""
    settings = {
        "task": "repro.codistill.tasks:digits",
        "task_settings": {"hidden": (24,), "delay_s": 0.01},
        "updates": 400,
        "batch_size": 16,
        "checkpoint_updates": 10,
        "optimizer": {"learning_rate": 0.1, "momentum": 0.9},
    }
    return _run(folder / name, protocol, **settings)


def _soaked(folder: Path, name: str, protocol: dict[str, Any], kills: int, seed: int = 0) -> tuple[RunFile, int]:
    """A run under kills, to its end; how many of its processes died of them."""
    run = _small(folder, name, protocol)
    killer = RandomKills(kills, seed)
    launch(run, restarts=kills, watch=killer, log=folder / "log")
    if killer.left:
        raise AssertionError(f"{name} ended before {killer.left} of its kills")
    return run, killer.deaths


def _metric(run: RunFile, group: int) -> float:
    ended = GroupFolder(run.folder, group).ended()
    assert ended is not None
    return float(ended["metrics"]["test"]["loss"])


def _digest(run: RunFile, group: int) -> str:
    ended = GroupFolder(run.folder, group).ended()
    assert ended is not None
    return str(ended["digest"])


def soak(folder: Path, kills: int = KILLS, unkilled: int = UNKILLED) -> list[Measurement]:
    """Random kills over groups and workers: who ends, and with what."""
    two = {"kind": "SyncSGD", "workers": 2}
    waiting = _codistilled(within=two, interval_steps=20)
    latest = _codistilled(within=two, interval_steps=20, pickup="latest")
    share = kills // 3
    single, single_deaths = zip(*(_soaked(folder, f"single{k}", two, k) for k in (0, share)), strict=True)
    waited, waited_deaths = zip(*(_soaked(folder, f"wait{k}", waiting, k) for k in (0, share)), strict=True)
    killed, killed_deaths = _soaked(folder, "latest", latest, kills - 2 * share)
    deaths = sum(single_deaths) + sum(waited_deaths) + killed_deaths
    learned = learn(load_task(killed.task, killed.task_settings), killed, recorded_schedule(killed))
    losses = [_metric(_delayed(folder, latest, seed), g) for seed in range(unkilled) for g in range(2)]
    inside = [min(losses) <= _metric(killed, g) <= max(losses) for g in range(2)]
    exact = [_digest(single[0], 0) == _digest(single[1], 0)]
    exact_waiting = [_digest(waited[0], g) == _digest(waited[1], g) for g in range(2)]
    replayed = learned.checked > 0 and not learned.mismatches
    return [
        Measurement("codistill.soak", "kills survived, all groups ended", deaths, "kills", f">= {kills}"),
        Measurement("codistill.soak", "single group bit-identical", float(all(exact)), "bool", ">= 1"),
        Measurement("codistill.soak", "waiting groups bit-identical", float(all(exact_waiting)), "bool", ">= 1"),
        Measurement("codistill.soak", "free-running groups replayed to the digest", float(replayed), "bool", ">= 1"),
        Measurement(
            "codistill.soak",
            f"metrics inside the range of {unkilled} unkilled runs",
            float(all(inside)),
            "bool",
            ">= 1",
        ),
    ]


def _delayed(folder: Path, protocol: dict[str, Any], seed: int) -> RunFile:
    """An unkilled run whose groups start at random moments."""
    run = _small(folder, f"unkilled{seed}", protocol)
    draws = random.Random(seed)
    delays = [draws.uniform(0.0, 2.0) for _ in range(run.protocol.groups)]

    def start(group: int) -> None:
        time.sleep(delays[group])
        launch(run, groups=[group], log=folder / "log")

    with ThreadPoolExecutor() as pool:
        list(pool.map(start, range(run.protocol.groups)))
    return run


def measure() -> list[Measurement]:
    """All rows of ``codistill.*``."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        step = _two_processes(temporary)
        by_predictions = step["predictions"] / step["plain"]
        by_checkpoints = step["checkpoints"] / (step["alone"] + step["forward"])
        rows = [
            Measurement("codistill.step", "plain, two processes", 1e3 * step["plain"], "ms"),
            Measurement(
                "codistill.step", "predictions exchanged at every step, over plain", by_predictions, "x", "<= 1.1"
            ),
            Measurement(
                "codistill.step",
                f"taught by snapshots every {INTERVAL} steps, over own step and teacher's forward pass",
                by_checkpoints,
                "x",
                "<= 1.05",
            ),
        ]
        return rows + measure_pictures() + soak(Path(temporary))
