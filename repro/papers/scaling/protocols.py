"""Ways of cooperating against the clock of one cluster: who learns fastest when waiting and staleness both cost.

Chen et al. 2016 (1604.00981) and others compare synchronous SGD with backup workers against asynchronous SGD by error
over wall-clock time. They print no numbers of ours.

Here: the simulator prices a step of a workload of its shelf on a cluster of its shelf and plays every protocol there
for the same simulated time; the replay then computes the gradients of each schedule on real cases, so that error
stands against simulated seconds. All protocols have the same number of machines. Each is run at every rate of a
grid, and the one of the lowest training loss at the end, over seeds, speaks for it; test errors choose nothing.

Departures: the clock is that of a large net, the learning that of a small one on small images, with batches of its
own. The shelf's cluster has no stragglers; their spread is a setting. No momentum.

Cost: some tenths of a CPU-second a run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, LocalSGD, Protocol, StaleSynchronous, from_dict

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Way(Options):
    """A protocol as in the simulator's YAML, the rates it is tried at, and how stale gradients are stepped with."""

    name: str
    protocol: dict[str, Any]
    learning_rates: tuple[float, ...] = Field(min_length=1)
    staleness_power: float = Field(0.0, ge=0)

    @field_validator("protocol")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            from_dict(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value


class Config(Options):
    """``simulated_s``: how long every protocol runs on the cluster's clock; ``points`` of it are judged.

    ``straggler_extra_fraction``: mean of the exponential added to a compute time, as a share of it.
    """

    seeds: int = Field(3, ge=1)
    cluster: str = "cloud-k80"
    workload: str = "inception-v3"
    straggler_extra_fraction: float = Field(0.3, gt=0)
    simulated_s: float = Field(gt=0)
    points: int = Field(20, ge=2)
    hidden: tuple[int, ...] = (32,)
    batch_size: int = Field(8, ge=1)
    ways: tuple[Way, ...] = Field(min_length=2)


def arm_name(way: str, rate: float) -> str:
    return f"{way}.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds", "ways"})
    return [
        Arm(
            arm_name(way.name, rate),
            {**shared, "learning_rate": rate, **way.model_dump(mode="json", exclude={"name", "learning_rates"})},
            config.seeds,
            seeds_per_job=10,
        )
        for way in config.ways
        for rate in way.learning_rates
    ]


def updates_within(protocol: Protocol, step_s: float, simulated_s: float) -> int:
    """Updates that a protocol makes in so many seconds, ``step_s`` being a step of all its workers."""
    if isinstance(protocol, (AsyncSGD, StaleSynchronous)):
        return max(2, int(simulated_s / step_s * protocol.workers))
    per_update = protocol.interval_steps if isinstance(protocol, LocalSGD) else 1
    return max(2, int(simulated_s / (step_s * per_update)))


def run(arm: Arm, seed: int, context: Context) -> Result:
    from dataclasses import replace

    import numpy as np

    from repro.training.replay_task import Task
    from simulation import engines
    from simulation.cluster import ShiftedExponential
    from simulation.costs import cost
    from simulation.description import load_cluster, load_workload
    from simulation.replay import SGD, replay
    from simulation.statistics import statistics

    settings = arm.settings
    protocol = from_dict(settings["protocol"])
    straggler = ShiftedExponential("shifted_exponential", settings["straggler_extra_fraction"])
    cluster = replace(load_cluster(settings["cluster"]), straggler=straggler)
    priced = cost(cluster, load_workload(settings["workload"]), protocol)
    # Expected steps say how far to play; what lies beyond the end on the schedule's own clock is then left out.
    enough = updates_within(protocol, priced.step_s, 1.5 * settings["simulated_s"])
    played = engines.run(protocol, priced.timing, enough, seed).updates.column("time_ns")
    updates = int(np.searchsorted(played, settings["simulated_s"] * 1e9, side="right"))
    if not 0 < updates < enough:
        raise UserError(
            f"{context.name}: {updates} of {enough} updates in {settings['simulated_s']:g} s; change simulated_s"
        )
    schedule = engines.run(protocol, priced.timing, updates, seed)
    times = schedule.updates.column("time_ns")
    task = Task(context.data, settings["hidden"], settings["batch_size"], seed, context.device)
    clock: list[dict[str, Any]] = []

    def observe(_group: int, version: int, parameters: Any) -> None:
        seconds = float(times[version - 1]) / 1e9 if version else 0.0
        row = {"seconds": seconds, "update": version, "train_loss": task.train_loss(parameters)}
        clock.append(row | {"test_errors": task.test_errors(parameters)})

    rule = SGD(settings["learning_rate"], staleness_power=settings["staleness_power"])
    # Of expected steps, not of this seed's own: all seeds are judged at the same updates.
    every = max(1, updates_within(protocol, priced.step_s, settings["simulated_s"]) // settings["points"])
    replay(schedule, task.problem(), rule, [task.start()], observe=observe, observe_every=every)
    metrics: dict[str, float | int | str] = {
        "train_loss": clock[-1]["train_loss"],
        "test_errors": clock[-1]["test_errors"],
        "test_cases": len(task.y_test),
        "updates": updates,
        "simulated_s": clock[-1]["seconds"],
        "step_s": priced.step_s,
        "mean_staleness": statistics(schedule, priced.timing).staleness_mean,
        "bound": priced.bound,
    }
    return Result(metrics, tables={"clock": clock})


def chosen_rate(losses: Mapping[float, Sequence[float]]) -> float:
    """The rate of the lowest mean training loss; ``losses`` maps a rate to one loss a seed."""
    means = {rate: sum(values) / len(values) for rate, values in losses.items() if values}
    return min(means, key=lambda rate: (means[rate], rate))


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.plots.style import COLOURS, MARKERS, axes, plain_ticks
    from simulation.figures import frontier

    config = Config.model_validate(results.config)
    drawn, (by_update, by_time, errors, fronts) = axes(2, 2, width_in=10.0, height_in=9.0)
    cases = results.rows[0]["test_cases"]
    data: list[dict[str, Any]] = []
    told = []
    error_curves: dict[str, tuple[list[float], list[float]]] = {}
    for number, way in enumerate(config.ways):
        losses = {
            rate: list(results.values(arm_name(way.name, rate), "train_loss").values()) for rate in way.learning_rates
        }
        if not any(losses.values()):
            continue
        rate = chosen_rate(losses)
        arm = arm_name(way.name, rate)
        points: dict[int, list[dict[str, Any]]] = {}
        for row in results.table("clock"):
            if row["arm"] == arm and row["update"]:
                points.setdefault(row["update"], []).append(row)
        complete = [u for u, rows in sorted(points.items()) if len(rows) == max(map(len, points.values()))]
        seconds = [t_interval([row["seconds"] for row in points[u]])[0] for u in complete]
        name = way.name.replace("_", " ")
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for ax, metric, scale in ((by_time, "train_loss", 1.0), (errors, "test_errors", 100 / cases)):
            found = [t_interval([scale * row[metric] for row in points[u]]) for u in complete]
            means = [mean for mean, _, _ in found]
            ax.plot(seconds, means, color=colour, marker=marker, label=f"{name} (rate {rate:g})")
            for seed in sorted({row["seed"] for u in complete for row in points[u]}):
                own = [row for u in complete for row in points[u] if row["seed"] == seed]
                ax.plot([r["seconds"] for r in own], [scale * r[metric] for r in own], color=colour, alpha=0.3, lw=1)
            if ax is by_time:
                by_update.plot(complete, means, color=colour, marker=marker)
            else:
                error_curves[name] = seconds, means
            for update, second, (mean, low, high) in zip(complete, seconds, found, strict=True):
                row = {"way": way.name, "learning_rate": rate, "update": update, "seconds": second, "metric": metric}
                data.append(row | {"mean": mean, "low": low, "high": high, "n": len(points[update])})
        stale = t_interval(list(results.values(arm, "mean_staleness").values()))[0]
        told.append(f"{way.name} {next(iter(results.values(arm, 'updates').values())):,} ({stale:.1f})")
    for ax in (by_update, by_time, errors):
        ax.set_yscale("log")
    by_update.set_xscale("log")
    plain_ticks(by_update.xaxis, [10**power for power in range(8)])
    for ax in (by_update, by_time):
        plain_ticks(ax.yaxis, (0.1, 0.2, 0.5, 1, 2, 5, 10))
        ax.set_ylabel("training loss")
    by_update.set_xlabel("updates")
    for ax in (by_time, errors):
        ax.set_xlabel("simulated time, s")
    errors.set_ylabel("test error, %")
    frontier(fronts, error_curves, "test error (%)", COLOURS, MARKERS)
    fronts.set_xscale("log")
    for axis in (errors.yaxis, fronts.xaxis):
        plain_ticks(axis, (2, 5, 10, 20, 50, 100))
    drawn.legend(*by_time.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    caption = (
        f"A small net under the simulated clock of {config.workload} on {config.cluster}, stragglers of mean "
        f"+{config.straggler_extra_fraction:.0%}. Each protocol at the rate of its lowest final training loss of those "
        f"tried; bold: means of n = {config.seeds} seeds, faint: each seed. Top: training loss against updates and "
        "against time. Bottom: test error against time; and the time at which the mean error was first so low, the "
        f"fastest protocol's in grey. Updates made by seed 0 (mean staleness): {'; '.join(told)}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    """None: no printed number is of these protocols at these sizes."""
    return []
