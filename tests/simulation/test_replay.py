"""Replay against loops that anyone can read, and against itself in other batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from simulation.digest import digest
from simulation.distributions import ShiftedExponential
from simulation.draws import batch_rows
from simulation.engines import run
from simulation.errors import UserError
from simulation.gradients import OneByOne, Problem
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    StaleSynchronous,
    SyncSGD,
)
from simulation.replay import SGD, RMSProp, replay
from simulation.schedule import Kind, check
from simulation.timing import Timing

TIMING = Timing(ShiftedExponential(8e5, 2e5), slowdown_sigma=0.2)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(400, 32, generator=GENERATOR)
Y = torch.randint(0, 10, (400,), generator=GENERATOR)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def initial(seed):
    g = torch.Generator().manual_seed(seed)
    return {
        "w1": torch.randn(32, 16, generator=g) / 6,
        "b1": torch.zeros(16),
        "w2": torch.randn(16, 10, generator=g) / 4,
        "b2": torch.zeros(10),
    }


def logits(p, x):
    return torch.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def loss(p, batch):
    return F.cross_entropy(logits(p, batch[0]), batch[1])


def predict(p, batch):
    return torch.softmax(logits(p, batch[0]), dim=-1)


def taught_loss(p, batch, told):
    z = logits(p, batch[0])
    return F.cross_entropy(z, batch[1]) - (told * torch.log_softmax(z, dim=-1)).sum(-1).mean()


def batches(workers, steps):
    rows = torch.from_numpy(batch_rows(5, workers, steps, 8, len(X)))
    return X[rows], Y[rows]


PROBLEM = Problem(loss, batches, predict, taught_loss)
RULE = SGD(0.05, momentum=0.9, weight_decay=1e-3)


def naive(schedule, rule=RULE):
    """Every version of every group kept, one gradient at a time, no stacking: {group: [parameters, ...]}."""
    protocol = schedule.protocol
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    predictions = isinstance(protocol, Codistillation) and protocol.exchange == "predictions"
    per_group = protocol.total_workers // protocol.groups
    history = {g: [initial(g)] for g in range(protocol.groups)}
    buffers = {}
    adopts = list(schedule.events.of(Kind.ADOPT).rows())
    drops = list(schedule.events.of(Kind.DROP).rows())
    rows = {
        g: [
            {n: int(schedule.updates.column(n)[i]) for n in ("worker", "read", "step")}
            for i in range(part.start, part.stop)
        ]
        for g, part in enumerate(schedule.group_slices())
    }

    def gradient(p, worker, step, teachers):
        p = {k: v.clone().requires_grad_() for k, v in p.items()}
        batch = tuple(t[0] for t in batches(np.array([worker]), np.array([step])))
        if teachers:
            told = sum(predict(history[g][v], batch).detach() for g, v in teachers) / len(teachers)
            value = taught_loss(p, batch, told)
        else:
            value = loss(p, batch)
        return dict(zip(p, torch.autograd.grad(value, list(p.values())), strict=True))

    def step(key, p, grads, scale=1.0):
        if key not in buffers:
            buffers[key] = {k: torch.zeros_like(v) for k, v in p.items()}
        new = {}
        for k, v in p.items():
            buffers[key][k] = rule.momentum * buffers[key][k] + grads[k] + rule.weight_decay * v
            new[k] = v - rule.learning_rate * scale * buffers[key][k]
        return new

    def teachers_of(g, read):
        chosen = {}
        for a in adopts:
            if a["group"] == g and (a["version"] == read if predictions else a["version"] <= read):
                chosen[a["peer"]] = a["peer_version"]
        return sorted(chosen.items())

    def update(g, v):
        row, current = rows[g][v], history[g][v]
        teachers = teachers_of(g, row["read"])
        if any(len(history[p]) <= pv for p, pv in teachers):
            return False
        team = [
            w
            for w in range(g * per_group, (g + 1) * per_group)
            if not any(d["group"] == g and d["worker"] == w and d["version"] <= v < d["peer_version"] for d in drops)
        ]
        if isinstance(within, LocalSGD):
            ends = []
            for w in team:
                p = current
                for h in range(within.interval_steps):
                    p = step((g, w), p, gradient(p, w, row["step"] + h, teachers))
                ends.append(p)
            new = {k: sum(p[k] for p in ends) / len(ends) for k in current}
            for k in current:
                mean = sum(buffers[g, w][k] for w in team) / len(team)
                for w in team:
                    if within.momentum == "reset":
                        buffers[g, w][k] = torch.zeros_like(mean)
                    elif within.momentum == "average":
                        buffers[g, w][k] = mean
        elif row["worker"] >= 0:
            scale = max(1, v - row["read"]) ** -rule.staleness_power
            new = step(g, current, gradient(history[g][row["read"]], row["worker"], row["step"], teachers), scale)
        else:
            grads = [gradient(current, w, row["step"], teachers) for w in team]
            new = step(g, current, {k: sum(x[k] for x in grads) / len(grads) for k in current})
        history[g].append(new)
        return True

    while any(len(history[g]) <= len(rows[g]) for g in rows):
        assert any(len(history[g]) <= len(rows[g]) and update(g, len(history[g]) - 1) for g in rows)
    return history


PROTOCOLS = [
    SyncSGD(3),
    BackupWorkers(3, 2),
    BackupWorkers(3, 2, "finish"),
    AsyncSGD(12),
    StaleSynchronous(6, 1),
    LocalSGD(3, 4),
    LocalSGD(3, 4, "reset"),
    LocalSGD(3, 4, "average"),
    Codistillation(3, SyncSGD(2), 5, 5),
    Codistillation(2, SyncSGD(1), 5, pickup="latest"),
    Codistillation(2, SyncSGD(2), 2, 4, "predictions"),
    Codistillation(2, AsyncSGD(5), 10, pickup="latest"),
    Codistillation(2, LocalSGD(2, 3), 6),
    Codistillation(2, BackupWorkers(2, 1), 6),
]


def starts(schedule):
    return [initial(g) for g in range(schedule.protocol.groups)]


def assert_close(ours, theirs):
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_against_the_naive_loop(protocol):
    schedule = run(protocol, TIMING, 40, seed=1)
    history = naive(schedule)
    seen = []

    def observe(group, version, parameters):
        seen.append((group, version))
        assert_close(parameters, history[group][version])

    result = replay(schedule, PROBLEM, RULE, starts(schedule), observe=observe, observe_every=8)
    for group in range(protocol.groups):
        assert_close(result.parameters[group], history[group][-1])
        assert [v for g, v in seen if g == group] == [0, 8, 16, 24, 32, 40]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_batched_equals_one_at_a_time_to_the_last_bit(protocol):
    schedule = run(protocol, TIMING, 60, seed=2)
    a = replay(schedule, PROBLEM, RULE, starts(schedule))
    b = replay(schedule, PROBLEM, RULE, starts(schedule), most_at_once=1)
    for group in range(protocol.groups):
        assert digest(a.parameters[group]) == digest(b.parameters[group])
    assert digest(a.parameters[0]) != digest(initial(0))


def test_many_workers_and_little_memory_give_the_same_bits():
    schedule = run(AsyncSGD(256), TIMING, 1024)
    wide = replay(schedule, PROBLEM, RULE, [initial(0)])
    batches_seen = []

    def counted(workers, steps):
        batches_seen.append(len(workers))
        return batches(workers, steps)

    tight = replay(schedule, replace(PROBLEM, batches=counted), RULE, [initial(0)], budget_bytes=900_000)
    assert digest(wide.parameters[0]) == digest(tight.parameters[0])
    assert 1 < max(batches_seen) < 40
    with pytest.raises(UserError, match="must be at least"):
        replay(schedule, PROBLEM, RULE, [initial(0)], budget_bytes=500_000)


def test_synchronous_workers_are_one_big_batch():
    schedule = run(SyncSGD(100), TIMING, 5)
    p = {k: v.clone().requires_grad_() for k, v in initial(0).items()}
    optimizer = torch.optim.SGD(p.values(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for step in range(5):
        x, y = batches(np.arange(100), np.full(100, step))
        optimizer.zero_grad()
        loss(p, (x.reshape(-1, 32), y.reshape(-1))).backward()
        optimizer.step()
    ours = replay(schedule, PROBLEM, RULE, [initial(0)]).parameters[0]
    for name, value in p.items():
        torch.testing.assert_close(ours[name], value.detach(), rtol=1e-5, atol=1e-6)


OPTIMISERS = {
    "SGD": (RULE, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}),
    "RMSProp": (RMSProp(0.003, 0.9, 0.95), torch.optim.RMSprop, {"lr": 0.003, "momentum": 0.9, "alpha": 0.95}),
}


@pytest.mark.parametrize(("rule", "optimiser", "options"), OPTIMISERS.values(), ids=OPTIMISERS)
def test_one_worker_is_torch_optim_to_the_last_bit(rule, optimiser, options):
    # What a recording by real processes relies on: the same arithmetic as the optimiser that made it.
    schedule = run(SyncSGD(1), TIMING, 50)
    p = {k: v.clone().requires_grad_() for k, v in initial(0).items()}
    optimizer = optimiser(p.values(), **options, foreach=False)
    for step in range(50):
        batch = tuple(t[0] for t in batches(np.array([0]), np.array([step])))
        optimizer.zero_grad()
        loss(p, batch).backward()
        optimizer.step()
    ours = replay(schedule, PROBLEM, rule, [initial(0)]).parameters[0]
    assert digest(ours) == digest({k: v.detach() for k, v in p.items()})


def test_staleness_aware_steps():
    schedule = run(AsyncSGD(8), TIMING, 40)
    rule = SGD(0.1, staleness_power=1.0)
    assert_close(replay(schedule, PROBLEM, rule, [initial(0)]).parameters[0], naive(schedule, rule)[0][-1])


def test_learning_rate_may_follow_the_step():
    schedule = run(LocalSGD(2, 3), TIMING, 4)
    steps = []

    def rate(step):
        steps.append(step)
        return 0.1 / (1 + step)

    replay(schedule, PROBLEM, SGD(rate), [initial(0)])
    assert steps == list(range(12))


def test_recorded_digests_are_met_or_named():
    schedule = run(Codistillation(2, SyncSGD(2), 5, 5), TIMING, 30)
    weights = {}

    def observe(group, version, parameters):
        weights[group, version] = digest(parameters)

    replay(schedule, PROBLEM, RULE, starts(schedule), observe=observe)
    events = schedule.events
    published = events.kind == Kind.PUBLISH
    digests = [
        weights[g, v] if is_published else 0
        for g, v, is_published in zip(events.group.tolist(), events.version.tolist(), published.tolist(), strict=True)
    ]
    recorded = replace(schedule, events=replace(events, digest=np.array(digests, dtype=np.uint64)))
    check(recorded)
    result = replay(recorded, PROBLEM, RULE, starts(schedule))
    assert (result.checked, result.mismatches) == (published.sum(), [])
    # Another teacher spoils everything that follows, and the first version that differs is named.
    other = replay(recorded, PROBLEM, SGD(0.05, momentum=0.8, weight_decay=1e-3), starts(schedule))
    first = min(v for g, v in weights if v > 0 and v % 5 == 0)
    assert min(v for _, v in other.mismatches) == first
    assert len(other.mismatches) == published.sum() - 2


def one_by_one(w, teachers, batch):
    """The gradient of PROBLEM as somebody with a model of their own would write it."""
    names = list(initial(0))

    def parameters(row):
        parts = row.split([t.numel() for t in initial(0).values()])
        return {n: p.view(initial(0)[n].shape) for n, p in zip(names, parts, strict=True)}

    w = w.clone().requires_grad_()
    if teachers:
        told = sum(predict(parameters(t), batch) for t in teachers) / len(teachers)
        value = taught_loss(parameters(w), batch, told)
    else:
        value = loss(parameters(w), batch)
    return torch.autograd.grad(value, w)[0]


@pytest.mark.parametrize(
    "protocol",
    [
        SyncSGD(3),
        AsyncSGD(3),
        LocalSGD(2, 3, "average"),
        Codistillation(2, SyncSGD(2), 5, 5),
        Codistillation(3, SyncSGD(1), 5, 5, exchange="predictions"),
    ],
    ids=str,
)
def test_gradients_made_one_by_one(protocol):
    schedule = run(protocol, TIMING, 30)
    stacked = replay(schedule, PROBLEM, RULE, starts(schedule))
    single = replay(schedule, OneByOne(one_by_one, batches), RULE, starts(schedule))
    for a, b in zip(stacked.parameters, single.parameters, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)


def test_refusals():
    schedule = run(Codistillation(2, SyncSGD(1), 5, 5), TIMING, 30)
    with pytest.raises(UserError, match="1 sets of initial parameters for 2 groups"):
        replay(schedule, PROBLEM, RULE, [initial(0)])
    with pytest.raises(UserError, match="predict and taught_loss"):
        replay(schedule, Problem(loss, batches), RULE, starts(schedule))
    with pytest.raises(UserError, match="same model"):
        replay(schedule, PROBLEM, RULE, [initial(0), {"w1": torch.zeros(3)}])
    with pytest.raises(UserError, match="no parameters"):
        replay(run(AsyncSGD(2), TIMING, 3), PROBLEM, RULE, [{}])
    for bad in ({"learning_rate": 0.0}, {"learning_rate": 1.0, "momentum": 1.0}):
        with pytest.raises(UserError, match="SGD"):
            SGD(**bad)
        with pytest.raises(UserError, match="RMSProp"):
            RMSProp(**bad)


def test_digest_sees_every_bit_and_only_the_weights():
    p = initial(0)
    assert digest(p) == digest(dict(reversed(list(p.items()))))
    changed = {k: v.clone() for k, v in p.items()}
    changed["b2"][3] = torch.nextafter(changed["b2"][3], torch.tensor(1.0))
    assert digest(changed) != digest(p)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_everything_stays_on_the_device_of_the_parameters(protocol):
    """No value is computed on the meta device, and an operation that mixes it with a CPU tensor fails."""
    schedule = run(protocol, TIMING, 30, seed=1)

    def elsewhere(workers, steps):
        return tuple(t.to("meta") for t in batches(workers, steps))

    problem = replace(PROBLEM, batches=elsewhere)
    given = [{name: value.to("meta") for name, value in p.items()} for p in starts(schedule)]
    seen = set()
    result = replay(
        schedule, problem, RULE, given, observe=lambda g, v, p: seen.update(t.device.type for t in p.values())
    )
    assert seen == {"meta"}
    assert {t.device.type for p in result.parameters for t in p.values()} == {"meta"}
    with pytest.raises(RuntimeError):
        replay(schedule, PROBLEM, RULE, given)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_cuda_gives_what_the_cpu_gives(protocol):
    schedule = run(protocol, TIMING, 30, seed=1)
    on_cuda = replace(PROBLEM, batches=lambda workers, steps: tuple(t.cuda() for t in batches(workers, steps)))
    ours = replay(schedule, on_cuda, RULE, [{n: t.cuda() for n, t in p.items()} for p in starts(schedule)])
    theirs = replay(schedule, PROBLEM, RULE, starts(schedule))
    for mine, other in zip(ours.parameters, theirs.parameters, strict=True):
        assert_close({name: value.cpu() for name, value in mine.items()}, other)
