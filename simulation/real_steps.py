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
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from simulation.calibrate import LAYERS, batch_of, model, timed, training_step
from simulation.cluster import Cluster
from simulation.costs import cost
from simulation.errors import UserError
from simulation.protocols import SyncSGD
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


def synchronous_step(net: torch.nn.Sequential, inputs: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward, backward, one all-reduce of all gradients, and a gradient step."""
    loss = torch.nn.functional.cross_entropy(net(inputs), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = list(net.parameters())
    flat = parameters_to_vector([p.grad for p in parameters])  # type: ignore[misc]
    dist.all_reduce(flat)
    with torch.no_grad():
        mean = parameters_to_vector(parameters).sub_(flat, alpha=1e-3 / dist.get_world_size())
        vector_to_parameters(mean, parameters)
    for p in parameters:
        p.grad = None


def check_real_steps(cluster: Cluster, device: torch.device, steps: int = STEPS) -> RealSteps:
    """Choose a batch whose predicted communication is 20 to 50 % of a step, then predict and measure.

    Raises:
        UserError: no batch tried gives such a share.
    """
    net = model(device)
    workers = dist.get_world_size()
    chosen = None
    for batch in BATCHES:
        inputs, labels = batch_of(batch, device)

        def compute(i: torch.Tensor = inputs, t: torch.Tensor = labels) -> None:
            training_step(net, i, t)

        step_s = _all_ranks_median(timed(compute, device, 10, together=True), device)
        priced = cost(cluster, as_workload(batch, step_s, cluster.device.name), SyncSGD(workers))
        share = priced.parts_s["link"] / priced.step_s
        if SHARES[0] <= share <= SHARES[1] and (chosen is None or abs(share - 0.35) < abs(chosen[1] - 0.35)):
            chosen = (batch, share)
    if chosen is None:
        raise UserError("no batch makes communication 20 to 50 % of a step here: nothing to check fairly")
    batch = chosen[0]
    inputs, labels = batch_of(batch, device)
    alone: list[float] = []
    real: list[float] = []
    for _ in range(BLOCKS):
        alone += timed(lambda: training_step(net, inputs, labels), device, steps // BLOCKS, together=True)
        real += timed(lambda: synchronous_step(net, inputs, labels), device, steps // BLOCKS, together=True)
    step_s = _all_ranks_median(alone, device)
    priced = cost(cluster, as_workload(batch, step_s, cluster.device.name), SyncSGD(workers))
    measured = _all_ranks_median(real, device)
    return RealSteps(
        len(real),
        batch,
        measured,
        priced.step_s,
        priced.parts_s["link"] / priced.step_s,
        priced.step_s / measured - 1,
    )
