"""Staleness: arms, the net the replay sees, and what is claimed of printed rows."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from repro.compare import judge
from repro.models.mlp import mlp
from repro.papers.scaling import _digits, staleness
from repro.papers.scaling.staleness import Config, arms
from repro.published import load


def test_one_worker_is_run_with_full_steps_only():
    config = Config(workers=(1, 8), updates=10, learning_rate=0.1, seeds=2)
    assert [arm.name for arm in arms(config)] == ["workers1.full", "workers8.full", "workers8.aware"]
    assert arms(config)[2].settings["staleness_power"] == 1.0


def test_the_nets_logits_are_those_of_the_module_it_comes_from():
    task = _digits.Task("digits", (16, 12), 4, seed=3)
    parameters = task.start()
    net = mlp((64, 16, 12, 10), seed=3)
    assert torch.equal(_digits.logits(parameters, task.x[:50]), functional_call(net, {}, (task.x[:50],)))


def test_equal_keys_give_equal_batches_and_other_workers_others():
    task = _digits.Task("digits", (8,), 4, seed=0)
    x, y = task.batches(np.array([0, 1, 0]), np.array([5, 5, 5]))
    assert x.shape == (3, 4, 64)
    assert y.shape == (3, 4)
    assert torch.equal(x[0], x[2])
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_diverged_net_has_a_loss_and_errors(bad):
    task = _digits.Task("digits", (8,), 4, seed=0)
    parameters = {name: torch.full_like(t, bad) for name, t in task.start().items()}
    assert task.train_loss(parameters) == _digits.CLAMP
    assert 400 < task.test_errors(parameters) < 500


def test_staleness_comes_out_near_the_number_of_workers_and_is_shown_not_judged(record):
    results = record("scaling.staleness", "workers: [40, 60], updates: 400, seeds: 1, learning_rate: 0.01, hidden: [4]")
    assert len(staleness.figure(results).data) > 10
    (answer,) = staleness.claims(results)
    assert all(35 < value <= 39 for value in answer.ours)  # 39 after the start
    assert judge(answer, load()).verdict == "not_judged"
