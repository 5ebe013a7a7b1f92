"""Norm limits, keys, devices, the progress line."""

import io
import random

import pytest
import torch
from torch import nn

from repro.errors import UserError
from repro.models.mlp import mlp
from repro.training import device, progress
from repro.training.curves import Point
from repro.training.device import device_named, precision_used
from repro.training.keys import generator_seed
from repro.training.regularise import limit_incoming_norms


def test_limit_is_the_projection_onto_the_ball_of_each_unit() -> None:
    net = mlp((6, 5, 4, 3), seed=0)
    net[0].weight.data[0] = 0.0  # a dead unit stays so
    before = [layer.weight.detach().clone() for layer in net if isinstance(layer, nn.Linear)]
    bound = float(before[0].square().sum(1).median())
    limit_incoming_norms(net, bound)
    after = [layer.weight.detach() for layer in net if isinstance(layer, nn.Linear)]
    clipped = 0
    for old, new in zip(before[:-1], after[:-1], strict=True):
        for unit, (x, y) in enumerate(zip(old, new, strict=True)):
            squared = float(x.square().sum())
            if squared <= bound * (1 - 1e-6):
                assert torch.equal(x, y), unit
            else:
                torch.testing.assert_close(y, x * (bound / squared) ** 0.5)
                clipped += squared > bound
        assert float(new.square().sum(1).max()) <= bound * (1 + 1e-6)
    assert 0 < clipped < 9
    assert torch.equal(before[-1], after[-1])  # logits are free
    again = [layer.clone() for layer in after]
    limit_incoming_norms(net, bound)
    for once, twice in zip(again, after, strict=True):
        torch.testing.assert_close(once, twice, rtol=1e-6, atol=0)


def test_limit_leaves_a_net_of_one_layer_and_all_biases_alone() -> None:
    single = mlp((6, 3), seed=0)
    before = single[0].weight.detach().clone()
    limit_incoming_norms(single, 1e-6)
    assert torch.equal(single[0].weight, before)
    net = mlp((6, 5, 3), seed=0)
    bias = net[0].bias.detach().clone()
    limit_incoming_norms(net, 1e-6)
    assert torch.equal(net[0].bias, bias)
    assert net[0].weight.requires_grad
    assert net[0].weight.grad_fn is None


def test_keys_are_fixed_distinct_and_fit_a_generator() -> None:
    assert generator_seed(0, "weights") == 133441691874178746  # sha256 of "0/weights": every record rests on it
    keys = [(seed, stream, epoch) for seed in range(20) for stream in ("epoch", "jitter") for epoch in range(50)]
    keys += [(seed, "weights") for seed in range(20)] + [(1, 11), (11, 1), (111,), ("1", "1", "1")]
    seeds = [generator_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [generator_seed(*key) for key in keys]
    torch.Generator().manual_seed(max(seeds))
    random.Random(0).shuffle(keys)
    assert {generator_seed(*key) for key in keys} == set(seeds)


def test_a_key_may_not_hide_its_parts() -> None:
    with pytest.raises(ValueError, match="may not hold '/'"):
        generator_seed(0, "epoch/1")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_named("auto") == device_named("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(UserError, match=f"^device: {name} was asked for and there is none here; use cpu or auto$"):
            device_named(name)
    with pytest.raises(UserError, match=r"^device: 'gpu' is no device; use cpu, cuda or auto$"):
        device_named("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_named("auto") == device_named("cuda") == torch.device("cuda")
    assert device_named("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="cuda:2 was asked for"):
        device_named("cuda:2")


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for fast, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(device, "bf16_is_fast", lambda _, fast=fast: fast)
        assert precision_used("auto", cpu) == expected
        assert precision_used("bf16", cpu) == "bf16"
        assert precision_used("float32", cpu) == "float32"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_the_mean_loss_of_the_batches_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "REFRESH_S", 0.0)
    with progress.Progress("net", 4, done=1) as shown:
        shown._bar.mininterval = 0
        shown.report(Point(1, 2, "test", "errors", 17))
        shown.step(torch.tensor(0.5 * 3.0), 0.5)
        assert "loss 3," in terminal.getvalue()
        shown.step(torch.tensor(0.5 * 3.0 + 0.5 * 2.0), 1.0)
        shown._bar.refresh()
    text = terminal.getvalue()
    assert "net" in text
    assert "2.5, test errors 17" in text
    assert "3/4" in text


def test_progress_is_silent_in_logs(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress("net", 4, done=0) as shown:
        shown.step(torch.tensor(1.0), 0.25)
        shown.report(Point(1, 1, "test", "errors", 17))
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""
