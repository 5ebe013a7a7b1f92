"""What one worker computes, against independent implementations and naive loops: flat models, rules, psi, rows."""

import re
import threading

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from repro.codistill.flat import FlatModel, describe, first_difference
from repro.codistill.learner import Learner
from repro.codistill.objective import PSI, mean_prediction
from repro.codistill.peers import Peers
from repro.codistill.rows import Rows
from repro.codistill.rules import FlatRule, learning_rate, rule_for, weight_decay
from repro.codistill.settings import Optimizer
from repro.codistill.swapped import fingerprint
from repro.codistill.task import load_task
from repro.machine import ROOT
from tests.codistill.codistill_tasks import conv_net
from tests.codistill.conftest import codistilled, describe_run, sync

CPU = torch.device("cpu")


# -- a model in one row ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_flat_model_computes_what_the_model_does(channels_last):
    plain, flat = conv_net(), FlatModel(conv_net(), CPU, channels_last=channels_last)
    x, y = torch.randn(7, 3, 6, 6), torch.randint(5, (7,))
    F.cross_entropy(plain(x), y).backward()
    loss = F.cross_entropy(flat.model(x), y)
    loss.backward()
    flat.collect()
    gradient = flat.layout.one(flat.dense(flat.gradient))
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(gradient[name], parameter.grad)
    weights = flat.layout.one(flat.dense())
    for name, buffer in plain.named_buffers():
        if buffer.is_floating_point():
            torch.testing.assert_close(weights[name], buffer)
            torch.testing.assert_close(gradient[name], buffer)
    assert set(weights) == {n for n, t in plain.state_dict().items() if t.is_floating_point()}


@pytest.mark.parametrize("channels_last", [False, True])
def test_weights_come_back_to_the_bit(channels_last):
    one, other = (FlatModel(conv_net(), CPU, channels_last=channels_last) for _ in range(2))
    row = torch.rand(one.size)
    one.load(row)
    assert torch.equal(one.dense(), row)
    other.load(one.dense())
    x = torch.randn(2, 3, 6, 6)
    assert torch.equal(one.model.eval()(x), other.model.eval()(x))
    torch.testing.assert_close(dict(one.model.named_parameters())["0.weight"], one.layout.one(row)["0.weight"])


def test_frozen_parameters_and_tied_ones():
    model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 4), nn.Linear(4, 6, bias=False))
    model[2].weight = model[0].weight
    model[1].bias.requires_grad_(False)
    flat = FlatModel(model, CPU)
    assert flat.size == 24 + 16 + 4
    assert flat.trained == 40
    model(torch.tensor([1, 2])).sum().backward()
    flat.collect()
    assert torch.equal(flat.gradient[40:44], model[1].bias)
    assert model[2].weight.data_ptr() == model[0].weight.data_ptr() == flat.weights.data_ptr()


def test_descriptions_tell_models_apart():
    a, b = (describe(FlatModel(nn.Linear(3, n), CPU).layout) for n in (2, 5))
    assert first_difference(a, b) == "weight:2x3 there, weight:5x3 here"
    assert first_difference(a, a + ";more:1") == "nothing there, more:1 here"


# -- rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"momentum": 0.9, "nesterov": True}, lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=0.01)),
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01)),
        ({}, lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01)),
        ({"kind": "adam"}, lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.01)),
        ({"kind": "adagrad", "epsilon": 1e-10}, lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.01)),
    ],
)
@pytest.mark.parametrize("stacked", [False, True])
def test_rules_do_what_torchs_optimisers_do(ours, theirs, stacked):
    draws = torch.Generator().manual_seed(0)
    shape = (3, 50) if stacked else (50,)
    weights = torch.randn(shape, generator=draws)
    reference = nn.Parameter(weights.clone())
    optimizer = theirs([reference])
    rule = FlatRule(Optimizer(learning_rate=0.1, weight_decay=0.01, **ours), 20, 50, None)
    state = rule.state(weights)
    for step in range(8):
        gradient = torch.randn(shape, generator=draws)
        reference.grad = gradient.clone()
        optimizer.step()
        rule.apply(weights, gradient, state, step, 0, weights)
    torch.testing.assert_close(weights, reference.data)


def test_what_is_not_trained_takes_its_new_value():
    rule = FlatRule(Optimizer(learning_rate=0.5), 10, 2, None)
    weights, gradient = torch.tensor([1.0, 1.0, 7.0]), torch.tensor([2.0, 0.0, 9.0])
    rule.apply(weights, gradient, rule.state(weights), 0, 0, weights)
    assert weights.tolist() == [0.0, 1.0, 9.0]


def test_clipping_and_decay_of_matrices_alone(tmp_path):
    rule = FlatRule(Optimizer(learning_rate=1.0, clip_norm=1.0), 10, 2, None)
    weights = torch.zeros(2, 2)
    rule.apply(weights, torch.tensor([[3.0, 4.0], [0.3, 0.4]]), (), 0, 0, weights)
    torch.testing.assert_close(weights, -torch.tensor([[0.6, 0.8], [0.3, 0.4]]), rtol=1e-5, atol=0)
    optimizer = {"learning_rate": 1.0, "weight_decay": 0.5, "decay_norms": False}
    model = FlatModel(nn.Linear(2, 1), CPU)
    model.weights.fill_(1.0)
    rule = rule_for(describe_run(tmp_path, sync(), optimizer=optimizer), model)
    rule.apply(model.weights, torch.zeros(3), (), 0, 0, model.weights)
    assert model.weights.tolist() == [0.5, 0.5, 1.0]


def test_rates_and_decays_by_step():
    o = Optimizer(
        learning_rate=1.0, warmup_steps=4, milestones=(6, 8), weight_decay=1e-4, weight_decay_steps=((5, 1e-5), (7, 0))
    )
    rates = [learning_rate(o, s, 10) for s in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert [weight_decay(o, s) for s in (0, 4, 5, 6, 7, 9)] == [1e-4, 1e-4, 1e-5, 1e-5, 0, 0]
    assert learning_rate(Optimizer(learning_rate=2.0, decay="linear"), 5, 10) == 1.0


# -- psi ------------------------------------------------------------------------------------------------------


def test_psi_by_hand():
    draws = torch.Generator().manual_seed(1)
    own, first, second = (torch.randn(6, 3, 4, generator=draws, requires_grad=True) for _ in range(3))
    mean = ((first.softmax(-1) + second.softmax(-1)) / 2).detach()
    psi = PSI["cross_entropy"]
    assert torch.allclose(mean_prediction([psi.predictions(first), psi.predictions(second)]), mean)
    reference = F.cross_entropy(own.flatten(0, 1), mean.flatten(0, 1))
    torch.testing.assert_close(psi.loss(own, mean), reference)
    kl = F.kl_div(own.flatten(0, 1).log_softmax(-1), mean.flatten(0, 1), reduction="batchmean")
    torch.testing.assert_close(PSI["kl"].loss(own, mean), kl)
    one, other = (torch.autograd.grad(PSI[n].loss(own, mean), own)[0] for n in ("cross_entropy", "kl"))
    torch.testing.assert_close(one, other)
    squared = PSI["squared_logits"]
    v = mean_prediction([squared.predictions(first), squared.predictions(second)])
    torch.testing.assert_close(v, (first + second) / 2)
    torch.testing.assert_close(squared.loss(own, v), ((own - v) ** 2).sum() / own.numel())


def test_nothing_flows_into_teachers_and_they_are_in_eval_mode(tmp_path):
    run = describe_run(tmp_path, codistilled(), task_settings={"dropout": 0.5, "norm": True})
    learner = Learner(load_task(run.task, run.task_settings), run)
    teacher = learner.teacher(1)
    before = teacher.weights.clone()
    batch = learner.batch(0, 0)
    assert not teacher.model.training
    told = learner.told([teacher], batch)
    assert torch.equal(told[0], learner.told([teacher], batch)[0])  # no dropout
    assert not told[0].requires_grad
    learner.gradient(batch, 1, lambda i, _: told[i])
    assert torch.equal(teacher.weights, before)  # running statistics stand still too
    assert not teacher.gradient.any()


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_is_the_gradient_of_the_whole_batch(tmp_path, parts):
    rows = []
    for accumulation in (1, parts):
        run = describe_run(tmp_path, codistilled(), accumulation=accumulation)
        learner = Learner(load_task(run.task, {}), run)
        batch = learner.batch(0, 3)
        told = learner.told([learner.teacher(1)], batch)
        learner.gradient(batch, 5, lambda i, _, told=told: told[i])
        rows.append(learner.net.gradient.clone())
    torch.testing.assert_close(*rows)


# -- rows -----------------------------------------------------------------------------------------------------


@given(
    groups=st.integers(2, 4),
    workers=st.integers(1, 3),
    batch=st.integers(1, 7),
    split=st.sampled_from(["disjoint", "equal"]),
)
@settings(max_examples=30, deadline=None)
def test_an_epoch_shows_every_example_once(tmp_path_factory, groups, workers, batch, split):
    run = describe_run(
        tmp_path_factory.getbasetemp(),
        codistilled(sync(workers), groups),
        split=split,
        batch_size=batch,
        accumulation=1,
    )
    rows = Rows(run, 120)
    part = 120 // groups if split == "disjoint" else 120
    seen = []
    for group in range(groups):
        order = torch.cat(
            [rows(group * workers + w, s) for s in range(2 * part // (workers * batch) + 1) for w in range(workers)]
        )
        first, second = order[:part], order[part : 2 * part]
        assert len(set(first.tolist())) == part
        assert set(first.tolist()) == set(second[:part].tolist()) or len(second) < part
        assert part == 1 or not torch.equal(first, second)
        seen.append(set(first.tolist()))
    together = set.union(*seen)
    assert len(together) == (part * groups if split == "disjoint" else 120)


def test_exchange_steps_share_their_batch_and_its_noise_and_no_other(tmp_path):
    run = describe_run(tmp_path, codistilled(sync(2), exchange="predictions"), split="disjoint")
    rows = Rows(run, 120)
    for step in range(24):
        shared = step >= 4 and step % 4 == 0
        assert run.is_exchange(step) == shared
        for seat in range(2):
            assert torch.equal(rows(seat, step), rows(2 + seat, step)) == shared
            assert (rows.key(seat, step) == rows.key(2 + seat, step)) == shared
        assert not torch.equal(rows(0, step), rows(1, step))
    same = Rows(describe_run(tmp_path, codistilled(), split="same"), 120)
    assert torch.equal(same(0, 5), same(1, 5))
    drawn = Rows(describe_run(tmp_path, codistilled(), order="replacement"), 20)
    assert torch.equal(drawn(0, 5), drawn(0, 5))
    assert not torch.equal(drawn(0, 5), drawn(1, 5))


def test_fingerprints_tell_examples_and_their_order():
    x, y = torch.randn(8, 3), torch.arange(8)
    base = fingerprint((x, y))
    assert torch.equal(base, fingerprint((x.clone(), y.clone())))
    order = torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])
    for other in ((x[order], y[order]), (x, y + 1), (x * 1.0001, y), (x.flip(0), y.flip(0))):
        assert not torch.equal(base, fingerprint(other))
    assert fingerprint(torch.ones(3, 2, dtype=torch.bool)).shape == (1,)


def test_the_rooms_page_names_every_module():
    room = ROOT / "repro" / "codistill"
    rows = [line.split("|")[1] for line in (room / "README.md").read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {path.stem for path in room.glob("*.py")} - {"__init__", "__main__"} <= named


def test_peers_are_let_go_of_only_when_nothing_loads_any_more():
    """The interpreter's end would abort a process whose thread is in the midst of loading."""
    loading, release = threading.Event(), threading.Event()

    class Slow:
        group, path = 1, "slow"

        def snapshots(self) -> list[int]:
            return [0]

        def load_snapshot(self, *_: object) -> None:
            loading.set()
            release.wait(30)

    peers = Peers([Slow()], None, "model")
    peers.allow(None)
    assert loading.wait(30)
    closing = threading.Thread(target=peers.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    release.set()
    closing.join(30)
    assert not closing.is_alive()
    assert not peers._thread.is_alive()
