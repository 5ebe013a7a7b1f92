"""The update against torch.optim.SGD, bit for bit."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from repro.training.settings import Training
from repro.training.sgd import MomentumSGD


def gradients(step: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(step)
    return [torch.randn(5, 3, generator=draw), torch.randn(7, generator=draw)]


@pytest.mark.parametrize("momentum", [[0.0] * 4, [0.9] * 4, [0.0, 0.3, 0.6, 0.9]])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_equals_the_class_of_pytorch(momentum: list[float], nesterov: bool, weight_decay: float) -> None:
    settings = Training(epochs=1, momentum=momentum[-1], nesterov=nesterov, weight_decay=weight_decay)
    ours, theirs = ([torch.ones(5, 3), torch.ones(7)] for _ in range(2))
    optimizer = MomentumSGD(ours, settings)
    reference = torch.optim.SGD(
        theirs,
        momentum=momentum[-1],
        nesterov=nesterov and momentum[-1] > 0,
        weight_decay=weight_decay,
        fused=True,
    )
    for step, (rate, strength) in enumerate(zip([0.1, 0.2, 0.05, 0.0], momentum, strict=True)):
        for mine, other, gradient in zip(ours, theirs, gradients(step), strict=True):
            mine.grad, other.grad = gradient.clone(), gradient.clone()
        optimizer.step(rate, strength)
        reference.param_groups[0].update(lr=rate, momentum=strength)
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
    assert bool(optimizer.buffers) == (momentum[-1] > 0)


def test_a_parameter_without_a_gradient_stays_and_may_get_one_later() -> None:
    parameters = [torch.ones(2), torch.ones(2)]
    optimizer = MomentumSGD(parameters, Training(epochs=1, momentum=0.5, nesterov=False))
    parameters[0].grad = torch.ones(2)
    optimizer.step(0.1, 0.5)
    assert torch.equal(parameters[1], torch.ones(2))
    optimizer.zero_grad()
    assert parameters[0].grad is None
    parameters[1].grad = torch.ones(2)
    optimizer.step(0.1, 0.5)
    torch.testing.assert_close(parameters[1], torch.full((2,), 0.9))


def test_training_does_not_import_the_compiler() -> None:
    program = """
import sys, torch
from repro.models.mlp import mlp
from repro.training.loop import train
from repro.training.settings import Training
net, x = mlp([3, 4, 2], seed=0), torch.ones(8, 3)
train(net, lambda i: x[i], lambda z, i: z.square().mean(), 8, Training(epochs=1), seed=0, name="a run")
assert "torch._dynamo" not in sys.modules, "the compiler was imported"
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
