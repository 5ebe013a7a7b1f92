"""Measure the machine at hand and write it down as a cluster: all-reduce by size, compute, and their spread.

Run by every process of a group, as torchrun starts them::

    torchrun --nproc-per-node 2 -m simulation calibrate --output here.yaml

Refuses what would measure something else than the machine: more processes than cores that nothing else
uses, more processes than GPUs under NCCL, or a measurement that outlasts its limit. The file is written whole
or not at all.
"""

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from simulation.cluster import Cluster, Device, Level, Lognormal, MeasuredCollective
from simulation.description import write_yaml
from simulation.errors import UserError
from simulation.links import AlphaBeta, Table, fit_alpha_beta
from simulation.output import check_output
from simulation.processes import Place, free_cores, place_from_environment, refuse_oversubscription
from simulation.timed_steps import batch_of, flat_gradients, model, step_flop, timed, training_step

SMALLEST_BYTES = 1024
ROUNDS = 31
CACHE_BYTES = 2**26
BATCH = 128


@dataclass(frozen=True)
class Calibration:
    """What was measured and how well it fits; ``alpha_beta_worst_error`` and ``table_*`` are relative."""

    cluster: Cluster
    alpha_beta_worst_error: float
    table_held_out_mean_error: float
    table_held_out_worst_error: float
    seconds: float


def _agree(value: float, device: torch.device, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.MAX) -> float:
    """The same number on all ranks."""
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.all_reduce(shared, operation)
    return float(shared.item())


def measure_all_reduce(device: torch.device, largest_bytes: float, out_of_time: Callable[[], None]) -> Table:
    """Median seconds (of the slowest rank) by size, each size twice the one before.

    Caches are filled with something else before every round, as a training step leaves them.
    """
    sizes, seconds = [], []
    other = torch.zeros(CACHE_BYTES // 4, device=device)
    n_bytes = float(SMALLEST_BYTES)
    while n_bytes <= largest_bytes * 1.0001:
        buffer = torch.zeros(int(n_bytes) // 4, device=device)
        times = timed(lambda b=buffer: dist.all_reduce(b), device, ROUNDS, True, lambda: other.add_(1.0))  # type: ignore[misc]
        seconds.append(_agree(statistics.median(times), device))
        sizes.append(float(buffer.numel() * 4))
        out_of_time()
        n_bytes *= 2
    if len(sizes) < 3:
        raise UserError(f"--largest-mb {largest_bytes / 1e6:g}: give at least {4 * SMALLEST_BYTES / 1e6:g}")
    return Table(tuple(sizes), tuple(seconds))


def spread_sigma(times: list[float]) -> float:
    """Standard deviation of the logarithm, from the quartiles, so that a rare pause does not count."""
    logs = sorted(math.log(t) for t in times)
    low, high = logs[len(logs) // 4], logs[3 * len(logs) // 4]
    return (high - low) / 1.349


def as_ring(line: AlphaBeta, workers: int) -> AlphaBeta:
    """The link whose ring all-reduce among so many workers takes the fitted time: 2(n-1) messages of B/n."""
    messages = 2 * (workers - 1)
    return AlphaBeta(line.latency_s / messages, line.bandwidth_bytes_per_s * messages / workers)


def measure(place: Place, device: torch.device, largest_bytes: float, limit_s: float, name: str) -> Calibration:
    """Measure all-reduce and compute with all ranks at work.

    Raises:
        UserError: on every rank alike, when the limit is passed.
    """
    start = time.perf_counter()

    def out_of_time() -> None:
        spent = _agree(time.perf_counter() - start, device)
        if spent > limit_s:
            raise UserError(f"calibration passed {limit_s:g} s: raise --limit-s or lower --largest-mb")

    table = measure_all_reduce(device, largest_bytes, out_of_time)
    net, (inputs, labels) = model(device), batch_of(BATCH, device)
    flat = flat_gradients(net)
    times = timed(lambda: training_step(net, flat, inputs, labels, reduce=False), device, 2 * ROUNDS, together=False)
    out_of_time()
    step_s = _agree(statistics.median(times), device)
    sigma = _agree(spread_sigma(times), device)
    try:
        line = fit_alpha_beta(table.bytes, table.seconds_measured)
    except ValueError as error:
        raise UserError(f"all-reduce: {error} (--largest-mb), on a quiet machine") from None
    held = [predicted / s - 1 for _, s, predicted in table.held_out()]
    link = as_ring(line, place.world)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU core"
    cluster = Cluster(
        name=name,
        source=f"calibrate over {dist.get_backend()}, {place.world} processes on {place.nodes} nodes",
        confidence="measured",
        nodes=place.nodes,
        devices_per_node=place.local_world,
        device=Device(kind, step_flop(BATCH) / step_s, 1.0),
        links=(Level("all processes", place.world, link.latency_s, link.bandwidth_bytes_per_s),),
        all_reduce="ring",
        overlap=False,
        straggler=Lognormal("lognormal", sigma) if sigma > 1e-4 else None,
        measured_collectives=(
            MeasuredCollective("all_reduce", place.world, table.bytes, table.seconds_measured, "calibrate"),
        ),
    )
    errors = [line.seconds(b) / s - 1 for b, s in zip(table.bytes, table.seconds_measured, strict=True)]
    return Calibration(
        cluster,
        max(abs(e) for e in errors),
        statistics.fmean(abs(e) for e in held),
        max(abs(e) for e in held),
        time.perf_counter() - start,
    )


def _device(backend: str | None, place: Place) -> tuple[torch.device, str]:
    chosen = backend or ("nccl" if torch.cuda.is_available() else "gloo")
    if chosen == "gloo":
        return torch.device("cpu"), chosen
    count = torch.cuda.device_count()
    if place.local_world > count:
        raise UserError(f"{place.local_world} processes here, but {count} GPUs: NCCL refuses to share one")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(local)
    return torch.device("cuda", local), chosen


def calibrate(
    output: Path,
    backend: str | None = None,
    largest_bytes: float = 17e6,
    limit_s: float = 120.0,
    name: str | None = None,
    check: bool = False,
    as_json: bool = False,
) -> None:
    """The command: measure, fit, report on rank 0, write the cluster file there.

    Raises:
        UserError: see the module's first lines.
    """
    place = place_from_environment()
    check_output(output)
    torch.set_num_threads(1)
    device, backend = _device(backend, place)
    dist.init_process_group(backend, timeout=timedelta(seconds=max(60.0, limit_s)))
    try:
        dist.barrier()
        free = free_cores()  # all ranks sleep at the same time: what is busy now is somebody else
        free = _agree(free, device, dist.ReduceOp.MIN)
        if device.type == "cpu":
            refuse_oversubscription(place.local_world, free)
        found = measure(place, device, largest_bytes, limit_s, name or "calibrated cluster")
        checked = None
        if check:
            from simulation.real_steps import check_real_steps

            checked = check_real_steps(found.cluster, device)
        if place.rank == 0:
            write_yaml(found.cluster, output)
            report = {k: v for k, v in asdict(found).items() if k != "cluster"} | {"free_cores": free}
            _print(report, found, asdict(checked) if checked else None, output, as_json)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _print(
    report: dict[str, float],
    found: Calibration,
    checked: dict[str, float] | None,
    output: Path,
    as_json: bool,
) -> None:
    if as_json:
        print(json.dumps({**report, "real_steps": checked, "cluster_file": str(output)}, indent=2))
        return
    cluster = found.cluster
    link, sigma = (
        cluster.links[0],
        cluster.straggler.sigma if isinstance(cluster.straggler, Lognormal) else 0.0,
    )
    print(f"wrote {output}")
    print(f"compute      {cluster.device.peak_flop_per_s / 1e9:.1f} GFLOP/s a process, spread sigma {sigma:.3f}")
    print(f"all-reduce   {link.latency_s:.3g} s and {link.bandwidth_bytes_per_s:.3g} bytes/s a link as a ring")
    print(f"             that line misses by up to {found.alpha_beta_worst_error:.1%}; the table in the file,")
    print(
        f"             every other point held out, by {found.table_held_out_mean_error:.1%} on the mean and "
        f"{found.table_held_out_worst_error:.1%} at worst"
    )
    if checked:
        print(
            f"real steps   median of {checked['steps']} {checked['measured_s'] * 1e3:.2f} ms, predicted "
            f"{checked['predicted_s'] * 1e3:.2f} ms ({checked['error']:+.1%}), communication "
            f"{checked['communication_share']:.0%} of a step"
        )
