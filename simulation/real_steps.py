"""Predict real synchronous steps of the processes at hand, then take them.

The prediction goes the ordinary way: compute time measured without communication becomes a workload, the
calibrated table becomes the all-reduce, and ``costs.cost`` adds them up. Compute-only and real steps take
turns in blocks, so that a machine that drifts drifts for both.
"""

import statistics
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.distributed as dist

from simulation.cluster import Cluster
from simulation.costs import cost
from simulation.errors import UserError
from simulation.protocols import SyncSGD
from simulation.timed_steps import LAYERS, batch_of, flat_gradients, model, timed, training_step
from simulation.workload import Layer, MeasuredStep, Workload

STEPS = 200
BLOCKS = 10
SHARES = (0.20, 0.50)
BATCHES = (32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class RealSteps:
    """Median of real steps beside the prediction; ``communication_share`` is the predicted one."""

    steps: int
    batch_examples: int
    measured_s: float
    predicted_s: float
    communication_share: float
    error: float


def as_workload(batch: int, step_s: float, device: str) -> Workload:
    """The calibration's net with its measured compute time."""
    layers = tuple(Layer(f"fc{i + 1}", a * b + b, 2.0 * a * b) for i, (a, b) in enumerate(pairwise(LAYERS)))
    measured = (MeasuredStep(device, batch, step_s, "real_steps"),)
    return Workload("calibration net", "built in", "measured", layers, batch, measured=measured)


def _all_ranks_median(times: list[float], device: torch.device) -> float:
    """The mean over ranks of each rank's median: what one worker of ordinary speed takes."""
    shared = torch.tensor([statistics.median(times)], dtype=torch.float64, device=device)
    dist.all_reduce(shared)
    return float(shared.item()) / dist.get_world_size()


def check_real_steps(cluster: Cluster, device: torch.device, steps: int = STEPS) -> RealSteps:
    """Choose a batch whose predicted communication is 20 to 50 % of a step, then predict and measure.

    Raises:
        UserError: no batch tried gives such a share.
    """
    net = model(device)
    flat = flat_gradients(net)
    workers = dist.get_world_size()
    chosen = None
    for batch in BATCHES:
        inputs, labels = batch_of(batch, device)

        def compute(i: torch.Tensor = inputs, t: torch.Tensor = labels) -> None:
            training_step(net, flat, i, t, reduce=False)

        step_s = _all_ranks_median(timed(compute, device, 10, together=True), device)
        priced = cost(cluster, as_workload(batch, step_s, cluster.device.name), SyncSGD(workers))
        share = priced.parts_s["link"] / priced.step_s
        if SHARES[0] <= share <= SHARES[1] and (chosen is None or abs(share - 0.35) < abs(chosen[1] - 0.35)):
            chosen = (batch, share)
    if chosen is None:
        raise UserError("no batch makes communication 20 to 50 % of a step here: nothing to check fairly")
    batch = chosen[0]
    inputs, labels = batch_of(batch, device)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(BLOCKS):
        for reduce, found in times.items():
            found += timed(
                lambda r=reduce: training_step(net, flat, inputs, labels, r),  # type: ignore[misc]
                device,
                steps // BLOCKS,
                together=not reduce,
            )
    step_s = _all_ranks_median(times[False], device)
    priced = cost(cluster, as_workload(batch, step_s, cluster.device.name), SyncSGD(workers))
    measured = _all_ranks_median(times[True], device)
    return RealSteps(
        len(times[True]),
        batch,
        measured,
        priced.step_s,
        priced.parts_s["link"] / priced.step_s,
        priced.step_s / measured - 1,
    )
