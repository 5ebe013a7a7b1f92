"""What codistillation sends instead of gradients: checkpoints or predictions, from 2 to 100,000 workers.

Anil et al. 2018 (1804.03235, section 2) argue that groups which exchange checkpoints now and then, or predictions,
need far less of the network than workers which share every gradient. They print no bytes.

Here: the simulator's costs on one kind of cluster, resized. ``gradients`` is one all-reduce among all workers, as
synchronous SGD does it every step. ``checkpoints`` is one exchange between the groups: each takes in the weights of the
others over the link where they meet, and hands them out inside. ``predictions`` is one gathering of the outputs
for one batch by counterparts in all groups. Bytes are summed over all links. An exchange made only every K steps
costs 1/K of it a step, so the interval from which A moves fewer bytes a step than B, done every step, is A / B: the
break-even interval. Sharing gradients inside each group comes on top of either exchange.

Departures: none from a printed experiment; the sizes are those of the shelf's workloads, the LSTM's from
recollection. Nothing is learned, nothing random. Cost: less than a CPU-second.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
WAYS = {
    "gradients": "gradients, all workers",
    "checkpoints": "checkpoints, between groups",
    "predictions": "predictions of a batch",
}
BREAK_EVEN = (("checkpoints", "gradients"), ("checkpoints", "predictions"), ("predictions", "gradients"))


class Config(Options):
    """``cluster`` and ``workloads`` are names of the simulator's shelf, or files; ``workers`` must fill whole nodes."""

    cluster: str = "p100-ethernet"
    workloads: tuple[str, ...] = Field(("resnet-50", "anil-lstm"), min_length=1)
    groups: int = Field(2, ge=2)
    workers: tuple[int, ...] = Field(min_length=2)


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"workloads"})
    return [Arm(workload, {"workload": workload, **shared}, 1, device="cpu") for workload in config.workloads]


def exchanged_bytes(cluster_name: str, workload_name: str, groups: int, workers: int) -> dict[str, float]:
    """Bytes over all links of one sharing of gradients, one exchange of checkpoints, and one of predictions.

    Raises:
        simulation.errors.UserError: workers that do not divide into the groups, or do not fill nodes.
    """
    from math import ceil

    from simulation.cluster import resized
    from simulation.communication import exchange_path
    from simulation.costs import cost
    from simulation.description import load_cluster, load_workload
    from simulation.errors import UserError
    from simulation.protocols import Codistillation, SyncSGD
    from simulation.workload import compute_time

    if workers % groups:
        raise UserError(f"exchange_bytes: {workers} workers do not divide into {groups} groups")
    cluster, workload = load_cluster(cluster_name), load_workload(workload_name)
    inner = cluster.devices // cluster.links[-1].members
    # At least two members at the outermost level, so that it is there; whole groups of the levels below it.
    members = max(2, ceil(workers / inner))
    cluster = resized(cluster, members * inner // cluster.devices_per_node)
    compute = compute_time(workload, cluster.device)
    # The bytes come without their bandwidths and overlap: these change times alone.
    found = {"gradients": sum(t.total_bytes for t in cost(cluster, workload, SyncSGD(workers)).traffic)}
    for exchange in ("checkpoints", "predictions"):
        protocol = Codistillation(groups, SyncSGD(workers // groups), 1, exchange=exchange)
        path = exchange_path(cluster, workload, protocol, compute)
        found[exchange] = sum(t.total_bytes for t in path.traffic)
    return found


def break_even_steps(of_bytes: float, against_bytes: float) -> float:
    """Interval in steps from which an exchange moves fewer bytes a step than another that is made every step."""
    return of_bytes / against_bytes


def run(arm: Arm, seed: int, context: Context) -> Result:
    settings = arm.settings
    rows = []
    for workers in settings["workers"]:
        found = exchanged_bytes(settings["cluster"], settings["workload"], settings["groups"], workers)
        intervals = {f"{a}_against_{b}_steps": break_even_steps(found[a], found[b]) for a, b in BREAK_EVEN}
        rows.append({"workers": workers, **{f"{way}_bytes": value for way, value in found.items()}, **intervals})
    most = rows[-1]
    metrics = {"workers": most["workers"], **{k: most[k] for k in most if k.endswith("_steps")}}
    return Result(metrics, tables={"bytes": rows})


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, axes

    config = Config.model_validate(results.config)
    table = results.table("bytes")
    columns = len(config.workloads)
    drawn, panels = axes(columns, 2, width_in=4.8 * columns, height_in=7.6)
    for column, workload in enumerate(config.workloads):
        rows = sorted((r for r in table if r["arm"] == workload), key=lambda r: r["workers"])
        counts = [row["workers"] for row in rows]
        top, bottom = panels[column], panels[columns + column]
        for number, (way, name) in enumerate(WAYS.items()):
            values = [row[f"{way}_bytes"] for row in rows]
            top.plot(counts, values, color=COLOURS[number], marker=MARKERS[number], label=name)
        for number, (a, b) in enumerate(BREAK_EVEN):
            values = [row[f"{a}_against_{b}_steps"] for row in rows]
            style: dict[str, Any] = {"color": COLOURS[3 + number], "marker": MARKERS[3 + number]}
            bottom.plot(counts, values, label=f"{a} against {b}", **style)
        intervals = [row[f"{a}_against_{b}_steps"] for row in table for a, b in BREAK_EVEN]
        bottom.set_ylim(min(intervals) / 3, max(intervals) * 3)  # one scale for all workloads
        bottom.axhline(1, color="#444444", ls=":", lw=1.4)
        top.set_title(workload)
        for ax in (top, bottom):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xlabel("workers")
        top.set_ylabel("bytes of one exchange, all links")
        bottom.set_ylabel("break-even interval, steps")
    drawn.legend(*_both(panels[0], panels[columns]), loc="outside lower center", ncols=2, fontsize=10)
    caption = (
        "Top: bytes that one sharing of gradients among all workers, one exchange of checkpoints between "
        f"{config.groups} groups, and one exchange of predictions for a batch move over all links of {config.cluster}, "
        "resized. Bottom: the interval from which the first moves fewer bytes a step than the second, done every step; "
        "below the dotted line it does so even when done every step. Costs of the simulator, nothing is learned. "
    )
    return Drawing(drawn, table, caption + results.scope)


def _both(top: Any, bottom: Any) -> tuple[list[Any], list[str]]:
    (a, b), (c, d) = top.get_legend_handles_labels(), bottom.get_legend_handles_labels()
    return a + c, b + d


def claims(results: Results) -> Sequence[Answer]:
    """None: no bytes are printed."""
    return []
