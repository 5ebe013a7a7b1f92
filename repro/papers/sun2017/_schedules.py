"""Schedules of the paper's cluster: their pace and staleness, and what is learned under them.

The leading underscore says that it is no experiment.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from repro.experiment import Context, CurvePoint, Result
from repro.papers.sun2017._cluster import priced
from repro.papers.sun2017._ways import WAYS
from repro.published import load as load_published
from repro.training.replay_task import Task
from simulation import engines
from simulation.costs import Cost
from simulation.protocols import Protocol
from simulation.replay import SGD, RMSProp, Rule, replay
from simulation.statistics import statistics

MOMENTUM = "PS308.momentum"
PRICED = ("servers", "bytes_per_s", "straggler_extra_fraction", "side_pixels", "categories", "batch_size")


def _rmsprop(rate: float) -> Rule:
    return RMSProp(rate, momentum=load_published()[MOMENTUM].value or 0.0)


RULES: dict[str, Callable[[float], Rule]] = {"sgd": SGD, "rmsprop": _rmsprop}


def _priced(settings: Mapping[str, Any]) -> tuple[Protocol, Cost]:
    protocol = WAYS[settings["way"]](settings["workers"])
    return protocol, priced(protocol, **{name: settings[name] for name in PRICED})


def clock(settings: Mapping[str, Any], seed: int, _context: Context) -> Result:
    """Pace and staleness over the second half of a schedule, when the start is forgotten."""
    protocol, price = _priced(settings)
    updates = settings["steps"] * (1 if protocol.barrier else protocol.total_workers)
    schedule = engines.run(protocol, price.timing, updates, seed)
    half = updates // 2
    times, count = schedule.updates.column("time_ns"), int(schedule.updates.column("count")[0])
    update_s = float(times[-1] - times[half - 1]) / 1e9 / (updates - half)
    staleness = (schedule.updates.column("version") - schedule.updates.column("read"))[half:]
    found, counts = np.unique(staleness, return_counts=True)
    return Result(
        {
            "examples_per_s": settings["batch_size"] * count / update_s,
            "mean_staleness": float(staleness.mean()),
            "sd_staleness": float(staleness.std()),
            "most_staleness": int(staleness.max()),
            "bound": price.bound,
            "longest_share": statistics(schedule, price.timing).bound,
        },
        tables={
            "staleness": [
                {"staleness": value, "updates": n} for value, n in zip(found.tolist(), counts.tolist(), strict=True)
            ]
        },
    )


def learn(settings: Mapping[str, Any], seed: int, context: Context) -> Result:
    """Replay a schedule on real cases; the curve's steps are examples."""
    protocol, price = _priced(settings)
    per_update = protocol.total_workers if protocol.barrier else 1
    schedule = engines.run(protocol, price.timing, settings["gradients"] // per_update, seed)
    batch = settings["batch_size"]
    task = Task(context.data, settings["hidden"], batch, seed, context.device, settings["held_out"])
    curve: list[CurvePoint] = []

    def observe(_group: int, version: int, parameters: Any) -> None:
        curve.append((0, version * per_update * batch, "held_out", "loss", task.held_out_loss(parameters)))

    rule = RULES[settings["rule"]](settings["rate"])
    every = settings["gradients"] // per_update // settings["points"]
    done = replay(schedule, task.problem(), rule, [task.start()], observe=observe, observe_every=every)
    (parameters,) = done.parameters
    return Result(
        {
            "held_out_loss": curve[-1][-1],
            "train_loss": task.train_loss(parameters),
            "test_errors": task.test_errors(parameters),
            "test_cases": len(task.y_test),
            "mean_staleness": statistics(schedule, price.timing).staleness_mean,
        },
        curve,
    )
