"""Asynchronous SGD: how late gradients are at so many workers, and what that does to learning.

Dean et al. 2012 and Chen et al. 2016 (1604.00981, section 2) report that gradients of N asynchronous workers are about
N updates old and that learning suffers from it; Zhang et al. 2016 (1511.05950) divide the step by the staleness.

Here: a window engine plays N workers whose compute times are 0.8 + Exp(0.2) of a mean step, with free servers, and the
replay computes every gradient of that schedule on real cases: a net of one hidden layer, the same number of updates,
the same learning rate and the same batch for all N, with full steps and with steps divided by the staleness. Mean
staleness is counted over all updates, the start, where nothing is stale yet, included. A loss above 10, or none at
all, counts as 10.

Departures: the sources ran Inception and a convolutional net; ours is a small net on small images, so their numbers
are not held against ours. No momentum, no decay of the rate.

Cost: one worker costs most, for its updates cannot be computed together: about 2 ms each, a tenth of that at 16
workers.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, Model
from repro.experiment import Arm, Context, CurvePoint, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
POWERS = {"full": 0.0, "aware": 1.0}
NAMES = {"full": "full steps", "aware": "steps divided by staleness"}
LINES = {"full": "-", "aware": "--"}
PRINTED_WORKERS = 40  # of SC356


class Config(Options):
    """``workers`` of AsyncSGD; ``updates`` of each run; the training loss is taken every ``observe_every`` updates."""

    seeds: int = Field(3, ge=1)
    workers: tuple[int, ...] = Field(min_length=2)
    updates: int = Field(ge=2)
    observe_every: int = Field(50, ge=1)
    hidden: tuple[int, ...] = (32,)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(gt=0)


def arm_name(workers: int, steps: str) -> str:
    return f"workers{workers}.{steps}"


def arms(config: Config) -> list[Arm]:
    """One worker is never stale: both rules are the same there, and only one is run."""
    shared = config.model_dump(mode="json", exclude={"seeds", "workers"})
    return [
        Arm(arm_name(n, steps), {"workers": n, "staleness_power": power, **shared}, config.seeds, seeds_per_job=10)
        for n, (steps, power) in itertools.product(config.workers, POWERS.items())
        if n > 1 or not power
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.training.replay_task import Task
    from simulation import engines
    from simulation.distributions import ShiftedExponential
    from simulation.protocols import AsyncSGD
    from simulation.replay import SGD, replay
    from simulation.statistics import statistics
    from simulation.timing import Timing

    settings = arm.settings
    timing = Timing(ShiftedExponential(8e8, 2e8))
    schedule = engines.run(AsyncSGD(settings["workers"]), timing, settings["updates"], seed)
    task = Task(context.data, settings["hidden"], settings["batch_size"], seed, context.device)
    curve: list[CurvePoint] = []

    def observe(_group: int, version: int, parameters: Any) -> None:
        curve.append((0, version, "train", "loss", task.train_loss(parameters)))

    rule = SGD(settings["learning_rate"], staleness_power=settings["staleness_power"])
    done = replay(
        schedule, task.problem(), rule, [task.start()], observe=observe, observe_every=settings["observe_every"]
    )
    metrics = {
        "mean_staleness": statistics(schedule, timing).staleness_mean,
        "train_loss": task.train_loss(done.parameters[0]),
        "test_errors": task.test_errors(done.parameters[0]),
        "test_cases": len(task.y_test),
    }
    return Result(metrics, curve)


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.plots.style import COLOURS, axes, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=10.0, height_in=5.0)
    data: list[dict[str, Any]] = []
    for number, n in enumerate(config.workers):
        for steps, style in LINES.items():
            rows = [r for r in results.curves if r["arm"] == arm_name(n, steps)]
            points: dict[int, list[float]] = {}
            for row in rows:
                points.setdefault(row["step"], []).append(row["value"])
            if not points:
                continue
            means = [t_interval(values)[0] for _, values in sorted(points.items())]
            stale = t_interval(list(results.values(arm_name(n, steps), "mean_staleness").values()))[0]
            label = f"{n:,}: {stale:.0f}" if steps == "full" else None
            width = 1.4 + 0.5 * (len(config.workers) - number)  # lines that coincide show behind each other
            left.plot(sorted(points), means, style, color=COLOURS[number % len(COLOURS)], lw=width, label=label)
            data += [
                {
                    "panel": "loss",
                    "workers": n,
                    "steps": steps,
                    "update": update,
                    "mean": mean,
                    "n": len(points[update]),
                }
                for update, mean in zip(sorted(points), means, strict=True)
            ]
    left.set_yscale("log")
    plain_ticks(left.yaxis, (0.1, 0.2, 0.5, 1, 2, 5, 10))
    left.set_xlabel("updates")
    left.set_ylabel("training loss")
    named = left.get_legend_handles_labels()
    drawn.legend(*named, title="workers: mean staleness, updates", loc="outside lower center", ncols=3)
    cases = results.rows[0]["test_cases"]
    for steps in POWERS:
        marks = []
        for n in config.workers:
            arm = arm_name(n, steps)
            values = [100 * v / cases for v in results.values(arm, "test_errors").values()]
            if values and n > 1:
                stale = t_interval(list(results.values(arm, "mean_staleness").values()))[0]
                marks.append((stale, *t_interval(values)))
                row = {"panel": "error", "workers": n, "steps": steps, "mean_staleness": stale, "n": len(values)}
                data.append(row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)))
        with_intervals(right, marks, len(COLOURS) - 1, NAMES[steps], line=LINES[steps])
    one = [100 * v / cases for v in results.values(arm_name(1, "full"), "test_errors").values()]
    if one:
        right.axhline(t_interval(one)[0], ls=":", color="#444444", lw=1.6, label="one worker")
        data.append({"panel": "error", "workers": 1, "steps": "full", "mean": t_interval(one)[0], "n": len(one)})
    right.set_xscale("log")
    plain_ticks(right.xaxis, [10**k * d for k in range(4) for d in (1, 3)])
    right.set_ylim(0, 130)
    right.set_yticks(range(0, 101, 20))
    right.set_xlabel("mean staleness, updates")
    right.set_ylabel("test error, %")
    right.legend(loc="upper left")
    caption = (
        f"Asynchronous SGD replayed on real gradients, {config.updates:,} updates of batch {config.batch_size} at rate "
        f"{config.learning_rate:g}. Left: training loss against updates (solid: full steps; dashed: steps divided by "
        "the staleness); below: mean staleness over all updates. Losses above 10 count as 10. Right: test error at "
        f"the end, with 95 % t-intervals over n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    if PRINTED_WORKERS in config.workers:
        stale = tuple(results.values(arm_name(PRINTED_WORKERS, "full"), "mean_staleness").values())
        answers.append(Model("SC356", stale, setting=f"{PRINTED_WORKERS} workers, 0.8 + Exp(0.2) compute"))
    if 1 in config.workers:
        most = max(config.workers)
        answers.append(
            Claim(
                "SC357",
                f"test errors at {most} workers minus one worker's, same seed",
                tuple(results.paired(arm_name(most, "full"), arm_name(1, "full"), "test_errors")),
                unit="errors",
            )
        )
    return answers
