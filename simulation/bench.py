"""What the simulator must reach, measured: each function returns rows (benchmark, quantity, value, unit,
target).

Yardsticks run in the same process right beside what they measure: SimPy for engines, a plain loop for replay.
Everything here is one thread of pure computing, so times are CPU seconds: on an idle core the wall shows
the same.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simulation.distributions import ShiftedExponential
from simulation.draws import batch_rows
from simulation.engines import run
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, BackupWorkers, LocalSGD, Protocol, SyncSGD
from simulation.schedule import Schedule
from simulation.timing import ComputeTimes, Timing

Row = dict[str, Any]

SKEWED = Timing(ShiftedExponential(8e8, 2e8))


def row(benchmark: str, quantity: str, value: float, unit: str, target: str) -> Row:
    """One line of the bench table; `target` is "" or a comparison such as ">= 80"."""
    return {"benchmark": benchmark, "quantity": quantity, "value": value, "unit": unit, "target": target}


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Best CPU time of several."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def simpy_async(workers: int, timing: Timing, updates: int, seed: int) -> tuple[np.ndarray[Any, Any], ...]:
    """AsyncSGD as SimPy processes: (time_ns, worker, read, step) of each update, the yardstick and an oracle.

    Raises:
        UserError: SimPy is not installed.
    """
    try:
        import simpy
    except ImportError:
        raise UserError("bench: the SimPy yardstick needs `pip install simpy`") from None
    env = simpy.Environment()
    server = simpy.Resource(env, capacity=1)
    stop = env.event()
    rows: list[tuple[Any, ...]] = []
    block = 16  # draws are made in bulk, so that the yardstick pays next to nothing for them
    times = ComputeTimes(timing, seed, np.arange(workers))
    first = times.draw(slice(None), np.arange(block)[:, None]).T.tolist()

    def worker(w: int) -> Any:
        step, draws = 0, first[w]
        while True:
            if step and step % block == 0:
                steps = np.arange(step, step + block)
                draws = times.draw(np.full(block, w), steps).tolist()
            read = len(rows)
            yield env.timeout(timing.pull_ns + draws[step % block] + timing.push_ns)
            with server.request() as turn:
                yield turn
                if timing.service_ns:
                    yield env.timeout(timing.service_ns)
            rows.append((env.now, w, read, step))
            step += 1
            if len(rows) == updates:
                stop.succeed()
                return

    for w in range(workers):
        env.process(worker(w))
    env.run(until=stop)
    return tuple(np.array(rows, dtype=np.int64).T)


def bench_async() -> list[Row]:
    """AsyncSGD at 10^4 workers against SimPy, with identical staleness."""
    workers, few, many = 10_000, 100_000, 2_000_000
    # A service short enough for the rate, long enough that departures do not tie.
    timing = Timing(SKEWED.compute, server_service_ns=1000)
    reference: list[Any] = []
    slow = few / cpu_seconds(lambda: reference.append(simpy_async(workers, timing, few, 0)), 2)
    ours = run(AsyncSGD(workers), timing, few)
    _, worker, read, _ = reference[0]
    same = np.array_equal(read, ours.updates.read) and np.array_equal(worker, ours.updates.worker)
    fast = many / cpu_seconds(lambda: run(AsyncSGD(workers), timing, many))
    heap = 200_000 / cpu_seconds(lambda: run(AsyncSGD(workers), timing, 200_000, engine="heap"), 1)
    name = "simulation.async_1e4"
    return [
        row(name, "ratio_to_simpy", fast / slow, "x", ">= 80"),
        row(name, "identical_staleness", float(same), "bool", ">= 1"),
        row(name, "window", fast, "updates/CPU-s", ""),
        row(name, "heap", heap, "updates/CPU-s", ""),
        row(name, "simpy", slow, "updates/CPU-s", ""),
    ]


def bench_million() -> list[Row]:
    """10^6 workers, ten updates each, in a process of its own so that its memory is its own."""
    code = "from simulation.bench import _million; _million()"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    used, peak = map(float, done.stdout.split())
    name = "simulation.async_1e6"
    return [
        row(name, "time", used, "CPU-s", "<= 8"),
        row(name, "peak_memory", peak, "GB", "<= 2"),
    ]


def _million() -> None:
    begin = time.process_time()
    run(AsyncSGD(10**6), SKEWED, 10**7)
    used = time.process_time() - begin
    print(used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def bench_closed_form() -> list[Row]:
    """Sync, backup and local SGD at 10^6 workers x 1000 steps."""
    cases: dict[str, tuple[Protocol, int]] = {
        "sync": (SyncSGD(10**6), 1000),
        "backup": (BackupWorkers(10**6, 50), 1000),
        "local": (LocalSGD(10**6, 10), 100),
    }
    rows = []
    for name, (protocol, updates) in cases.items():
        used = cpu_seconds(lambda p=protocol, u=updates: run(p, SKEWED, u, engine="closed_form"))  # type: ignore[misc]
        rows.append(row(f"simulation.closed_form_{name}", "time", used, "CPU-s", "<= 1"))
    return rows


def bench_trace() -> list[Row]:
    """A trace of some 400,000 slices."""
    from simulation.trace import write_trace

    timing = Timing(SKEWED.compute, pull_ns=1000, push_ns=2000, server_service_ns=300)
    schedule = run(AsyncSGD(1000), timing, 110_000)
    with tempfile.TemporaryDirectory() as folder:
        counts: list[int] = []
        path = Path(folder) / "trace.json"
        used = cpu_seconds(lambda: counts.append(write_trace(schedule, timing, path, workers=1000)))
    return [
        row("simulation.trace", "slices", counts[0], "slices", ">= 400000"),
        row("simulation.trace", "rate", counts[0] / used, "slices/CPU-s", ">= 400000"),
    ]


def bench_replay(updates: int = 6144, plain_updates: int = 1024) -> list[Row]:
    """A 32-16-10 net, batch 8, 256 asynchronous workers: stacked replay against one update at a time.

    Two yardsticks: replay itself with one update at a time, and a plain loop of torch.autograd that does
    nothing but what an update needs.
    """
    import torch
    import torch.nn.functional as F

    from simulation.gradients import Problem
    from simulation.replay import SGD, replay

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2000, 32, generator=g), torch.randint(0, 10, (2000,), generator=g)
    start = {
        "w1": torch.randn(32, 16, generator=g) / 6,
        "b1": torch.zeros(16),
        "w2": torch.randn(16, 10, generator=g) / 4,
        "b2": torch.zeros(10),
    }

    def loss(p: dict[str, torch.Tensor], batch: Any) -> torch.Tensor:
        hidden = torch.relu(batch[0] @ p["w1"] + p["b1"])
        return F.cross_entropy(hidden @ p["w2"] + p["b2"], batch[1])

    def batches(workers: Any, steps: Any) -> Any:
        rows = torch.from_numpy(batch_rows(0, workers, steps, 8, len(x)))
        return x[rows], y[rows]

    problem, rule = Problem(loss, batches), SGD(0.01)
    long, short = (run(AsyncSGD(256), SKEWED, n) for n in (updates, plain_updates))
    replay(short, problem, rule, [start])  # warm up

    def stacked() -> object:
        return replay(long, problem, rule, [start]).parameters

    def one_at_a_time() -> object:
        return replay(short, problem, rule, [start], most_at_once=1).parameters

    def plain() -> object:
        return _plain_loop(short, loss, batches, start, 0.01)

    stacked_s, plain_s = float("inf"), float("inf")
    for _ in range(6):  # in turns, so that a busy machine disturbs both
        plain_s = min(plain_s, cpu_seconds(plain, 1) / plain_updates)
        stacked_s = min(stacked_s, cpu_seconds(stacked, 1) / updates)
    single_s = cpu_seconds(one_at_a_time, 1) / plain_updates
    torch.set_num_threads(threads)
    name = "replay.async_256"
    return [
        row(name, "ratio_to_plain_loop", plain_s / stacked_s, "x", ">= 12"),
        row(name, "ratio_to_one_at_a_time", single_s / stacked_s, "x", ">= 12"),
        row(name, "stacked", 1 / stacked_s, "updates/CPU-s", ""),
        row(name, "plain_loop", 1 / plain_s, "updates/CPU-s", ""),
    ]


def _plain_loop(schedule: Schedule, loss: Any, batches: Any, start: Any, rate: float) -> Any:
    """The shortest honest loop: keep what will be read, one autograd call per update."""
    import torch

    u = schedule.updates
    last = np.full(len(u) + 1, -1)
    np.maximum.at(last, u.read, np.arange(len(u)))
    kept, current = {0: start}, start
    for i, (w, r, s) in enumerate(zip(u.worker.tolist(), u.read.tolist(), u.step.tolist(), strict=True)):
        p = {k: v.detach().requires_grad_() for k, v in kept[r].items()}
        batch = tuple(t[0] for t in batches(np.array([w]), np.array([s])))
        grads = torch.autograd.grad(loss(p, batch), list(p.values()))
        current = {k: torch.add(v, g, alpha=-rate) for (k, v), g in zip(current.items(), grads, strict=True)}
        if last[r] <= i:
            del kept[r]
        kept[i + 1] = current
    return current


def bench_accuracy() -> list[Row]:
    """Errors of the predictions of printed rows, over those that did not help to predict, where targets were set."""
    from simulation.predictions import TARGETS, summaries
    from simulation.validate import predictions

    found = []
    for summary in summaries(predictions()):
        if summary.system == "all" and (target := TARGETS.get(summary.check)):
            errors = {"mean": (summary.mean_error, target.mean), "worst": (summary.worst_error, target.worst)}
            found += [
                row("simulation.accuracy", f"{summary.check}: {which} error", 100 * error, "%", f"<= {100 * limit:g}")
                for which, (error, limit) in errors.items()
                if limit is not None
            ]
    return found


def bench_real_steps() -> list[Row]:
    """Predicted against real steps of two processes here; no rows, and why, where a calibration is refused."""
    from simulation.predictions import REAL, TARGETS
    from simulation.validate import real_prediction

    found = real_prediction()
    if isinstance(found, str):
        print(f"simulation.real_steps: not measured: {found}", file=sys.stderr)
        return []
    name, limit = "simulation.real_steps", TARGETS[REAL].worst
    assert limit is not None
    return [
        row(name, f"error of the predicted step; {found.setting}", 100 * abs(found.error), "%", f"<= {100 * limit:g}"),
        row(name, "real step", 1000 * found.printed, "ms", ""),
    ]


def rows() -> list[Row]:
    """All of it, about a minute."""
    benches = (
        bench_async, bench_million, bench_closed_form, bench_trace, bench_replay, bench_accuracy, bench_real_steps,
    )  # fmt: skip
    return [line for bench in benches for line in bench()]


if __name__ == "__main__":
    for line in rows():
        print(*line.values(), sep=",")
