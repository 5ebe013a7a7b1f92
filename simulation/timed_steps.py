"""Training steps of a plain net on the processes at hand, and the time that work takes there."""

import time
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.distributed as dist

LAYERS = (784, 1200, 1200, 10)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(
    work: Callable[[], object],
    device: torch.device,
    rounds: int,
    together: bool,
    before: Callable[[], object] | None = None,
) -> list[float]:
    """Seconds of each of so many rounds, after two that do not count; ``together``: after a barrier.

    ``before`` runs ahead of every round, outside the time.
    """
    times = []
    for i in range(rounds + 2):
        if before is not None:
            before()
        if together:
            dist.barrier()
        start = time.perf_counter()
        work()
        _wait(device)
        if i >= 2:
            times.append(time.perf_counter() - start)
    return times


def model(device: torch.device, layers: tuple[int, ...] = LAYERS) -> torch.nn.Sequential:
    """A plain ReLU net of linear layers."""
    torch.manual_seed(0)
    parts: list[torch.nn.Module] = []
    for i in range(len(layers) - 1):
        parts += [torch.nn.Linear(layers[i], layers[i + 1]), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1]).to(device)


def flat_gradients(net: torch.nn.Sequential) -> torch.Tensor:
    """Make all gradients views of one buffer, which one all-reduce sends without copies, as DDP does."""
    parameters = list(net.parameters())
    flat = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
    start = 0
    for p in parameters:
        p.grad = flat[start : start + p.numel()].view_as(p)
        start += p.numel()
    return flat


def training_step(
    net: torch.nn.Sequential, flat: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor, reduce: bool
) -> None:
    """Forward, backward, with ``reduce`` one all-reduce of all gradients, and a plain gradient step."""
    flat.zero_()
    loss = torch.nn.functional.cross_entropy(net(inputs), labels)
    loss.backward()
    if reduce:
        dist.all_reduce(flat)
    with torch.no_grad():
        for p in net.parameters():
            assert p.grad is not None
            p.sub_(p.grad, alpha=1e-3 / dist.get_world_size())


def batch_of(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Random inputs and labels for `model`."""
    generator = torch.Generator().manual_seed(size)
    inputs = torch.randn(size, LAYERS[0], generator=generator)
    return inputs.to(device), torch.randint(LAYERS[-1], (size,), generator=generator).to(device)


def step_flop(batch: int, layers: tuple[int, ...] = LAYERS) -> float:
    """FLOP of a training step, backward twice the forward."""
    return 6.0 * batch * sum(a * b for a, b in pairwise(layers))
