"""Ways of sharing: what each moves, what it costs in bits, and that averaged gradients are one learner's."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro.distill.sharing import (
    AverageGradients,
    AverageWeights,
    AverageWeightsOnce,
    Distil,
    Part,
    Sharing,
    average_weights,
    learn_together,
    weight_bits,
)
from repro.models.mlp import mlp
from repro.training.keys import generator_seed
from repro.training.loop import DivergedError
from repro.training.schedules import learning_rate
from repro.training.settings import Training

SETTINGS = Training(epochs=2, batch_size=5, learning_rate=0.1, precision="float32")
STEPS = 8
WEIGHTS = 6 * 4 + 4 + 4 * 3 + 3
SHARED = torch.randn(30, 6, generator=torch.Generator().manual_seed(9))


def agents(count=3, same=True):
    return [mlp((6, 4, 3), seed=0 if same else k) for k in range(count)]


def parts(count=3, cases=20):
    draw = torch.Generator().manual_seed(1)
    return [
        Part(torch.randn(cases, 6, generator=draw), torch.randint(3, (cases,), generator=draw)) for _ in range(count)
    ]


def together(sharing, nets=None, **changes):
    nets = nets or agents()
    learn_together(nets, parts(len(nets)), sharing, SETTINGS.model_copy(update=changes), seed=4, name="test")
    return nets


def flat(net):
    return nn.utils.parameters_to_vector(net.parameters())


def distil(**changes):
    return Distil(SHARED, **{"interval_steps": 3, "examples": 10, "temperature": 2.0} | changes)


def test_averaged_gradients_are_one_learner_with_all_batches():
    nets = together(AverageGradients())
    assert torch.equal(flat(nets[0]), flat(nets[1]))
    alone = mlp((6, 4, 3), seed=0)
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    draws = [torch.Generator().manual_seed(generator_seed(4, "agent", k)) for k in range(3)]
    for step in range(STEPS):
        if step % 4 == 0:
            orders = [torch.randperm(20, generator=draw) for draw in draws]
        index = [order[5 * (step % 4) :][:5] for order in orders]
        x = torch.cat([part.inputs[i] for part, i in zip(parts(), index, strict=True)])
        y = torch.cat([part.labels[i] for part, i in zip(parts(), index, strict=True)])
        optimizer.zero_grad()
        F.cross_entropy(alone(x), y).backward()
        optimizer.param_groups[0]["lr"] = learning_rate(SETTINGS, step, STEPS)
        optimizer.step()
    torch.testing.assert_close(flat(nets[0]), flat(alone), rtol=1e-4, atol=1e-6)


def test_weights_averaged_at_the_last_step_are_one_net_and_otherwise_not():
    assert torch.equal(*map(flat, together(AverageWeights(4))[:2]))
    assert not torch.equal(*map(flat, together(AverageWeights(5))[:2]))


def test_averaging_once_is_the_mean_of_agents_alone():
    apart = torch.stack([flat(net) for net in together(Sharing(), agents(same=False))]).mean(0)
    once = together(AverageWeightsOnce(), agents(same=False))
    torch.testing.assert_close(flat(once[0]), apart)
    assert torch.equal(flat(once[0]), flat(once[2]))


def test_alone_an_agent_learns_as_it_would_without_company():
    three, two = together(Sharing()), together(Sharing(), agents(2))
    assert torch.equal(flat(three[1]), flat(two[1]))


@pytest.mark.parametrize(
    ("sharing", "bits"),
    [
        (Sharing(), 0),
        (AverageGradients(), STEPS * WEIGHTS * 32),
        (AverageWeights(3), 2 * WEIGHTS * 32),
        (AverageWeightsOnce(), WEIGHTS * 32),
        (distil(), 2 * 10 * 2 * 32),  # before steps 3 and 6; two numbers say three probabilities
        (distil(message="votes"), 2 * 10 * math.log2(3)),
        (distil(own=True), 0),
    ],
)
def test_bits_are_counted_once_a_message(sharing, bits):
    nets = together(sharing)
    assert sharing.bits_per_agent == pytest.approx(bits)
    assert weight_bits(nets[0]) == WEIGHTS * 32


@pytest.mark.parametrize("message", ["probabilities", "votes"])
def test_agents_hear_the_mean_of_the_others(message):
    sharing, nets = distil(message=message, examples=30), agents(same=False)
    sharing.before(nets, 0)
    assert sharing.loss(nets[0], 0, torch.Generator()) is None  # nothing was told yet
    sharing.before(nets, 3)
    chosen = sharing._chosen
    told = [torch.softmax(net(chosen) / 2, -1).detach() for net in nets]
    if message == "votes":
        told = [F.one_hot(p.argmax(-1), 3).float() for p in told]
    torch.testing.assert_close(sharing._targets[1], (told[0] + told[2]) / 2)
    sharing.before(nets, 4)
    assert sharing._chosen is chosen  # nothing new until the next exchange


def test_with_its_own_answers_an_agent_hears_itself():
    sharing, nets = distil(own=True), agents(same=False)
    sharing.before(nets, 3)
    torch.testing.assert_close(sharing._targets[2], torch.softmax(nets[2](sharing._chosen) / 2, -1).detach())


def test_distilling_brings_agents_that_learn_apart_together():
    def distance(nets):
        answers = [torch.softmax(net(SHARED), -1) for net in nets]
        return float((answers[0] - answers[1]).detach().abs().sum(-1).mean())

    apart = distance(together(Sharing(), agents(same=False), epochs=20))
    assert distance(together(distil(examples=30, weight=2.0), agents(same=False), epochs=20)) < 0.5 * apart


def test_the_mean_of_weights_leaves_buffers_alone():
    nets = [nn.BatchNorm1d(2), nn.BatchNorm1d(2)]
    with torch.no_grad():
        nets[0].weight.fill_(3.0)
    nets[0].running_mean.fill_(5.0)
    average_weights(nets)
    assert nets[1].weight.tolist() == [2.0, 2.0]
    assert nets[1].running_mean.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: AverageWeights(0), "interval"),
        (lambda: distil(interval_steps=0), "interval"),
        (lambda: distil(examples=31), "examples"),
        (lambda: distil(message="shouts"), "no message"),
        (lambda: learn_together(agents(1), parts(1), Sharing(), SETTINGS, seed=0, name=""), "two or more"),
        (lambda: learn_together(agents(2), parts(3), Sharing(), SETTINGS, seed=0, name=""), "two or more"),
        (lambda: learn_together(agents(2), parts(2, 4), Sharing(), SETTINGS, seed=0, name=""), "no batch"),
        (lambda: AverageGradients().between(agents()), "gradient"),
    ],
)
def test_what_makes_no_community_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_a_diverging_community_is_named():
    with pytest.raises(DivergedError, match=r"test: the loss is .* lower the learning rate"):
        together(Sharing(), learning_rate=1e30, epochs=20)
