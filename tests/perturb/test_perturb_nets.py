"""Nets: printed parameter counts, values and gradients against autograd, tangents against torch.func.jvp."""

import pytest
import torch

from repro.errors import UserError
from repro.perturb import nets
from repro.perturb.directions import UnitNoise, WeightNoise
from repro.perturb.estimators import Backprop, WeightPerturbation
from repro.perturb.noise import Counter
from repro.perturb.signals import Batch

# torch's own forward mode compiles a part of itself in a way that torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")

MNIST = {"side": 28, "colours": 1, "classes": 10}
CIFAR = {"side": 32, "colours": 3, "classes": 10}
MIXERS = {
    "S/1/1": ({"blocks": 1, "patches": 1, "channels": 256, "groups": 1, **MNIST}, 271_892),
    "M/1/16": ({"blocks": 1, "patches": 1, "channels": 512, "groups": 16, **MNIST}, 429_076),
    "M/8/16": ({"blocks": 4, "patches": 8, "channels": 512, "groups": 16, **CIFAR}, 918_770),
    "L/8/64": ({"blocks": 4, "patches": 8, "channels": 2048, "groups": 64, **CIFAR}, 13_074_674),
}
SMALL = {
    "mlp": nets.mlp((12, 9, 7, 4)),
    "linear": nets.mlp((5, 3)),
    "mixer": nets.local_mixer(blocks=3, patches=2, channels=8, groups=2, side=4, colours=3, classes=4),
}


def case(net, seed=0, cases=6):
    """Parameters, none of them zero, and a batch, in float64."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {
        name: 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in net.shapes().items()
    }
    x = torch.randn(cases, net.tokens, net.features, generator=generator, dtype=torch.float64)
    return parameters, Batch(x, torch.randint(net.classes, (cases,), generator=generator))


def mean_loss(net, batch, parameters):
    return torch.nn.functional.cross_entropy(nets.forward(net, parameters, batch.x).outputs, batch.targets)


@pytest.mark.parametrize("name", MIXERS)
def test_local_mixers_have_the_printed_number_of_parameters(name):
    settings, printed = MIXERS[name]
    assert nets.local_mixer(**settings).parameter_count() == printed


def test_a_feed_forward_net_computes_what_the_same_module_does():
    net = nets.mlp((12, 9, 4))
    parameters, batch = case(net)
    module = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4)).double()
    with torch.no_grad():
        for parameter, name in zip(module.parameters(), net.shapes(), strict=True):
            parameter.copy_(parameters[name])
        torch.testing.assert_close(nets.forward(net, parameters, batch.x).outputs, module(batch.x.flatten(1)))


def naive_mixer(net, p, x):
    """LocalMixer as the paper's program has it: reshapes, layer norms and einsums written out."""

    def norm(v):
        return torch.nn.functional.layer_norm(v, v.shape[-1:])

    h = torch.einsum("npi,oi->npo", norm(x), p["block0.channels.weight"]) + p["block0.channels.bias"]
    h = torch.relu(norm(h))

    def grouped(h, block):
        g = norm(h.unflatten(-1, (net.groups, -1)))
        bias = p[f"block{block}.groups.bias"].view(net.groups, -1)
        return norm(torch.einsum("npgi,goi->npgo", g, p[f"block{block}.groups.weight"]) + bias).flatten(-2)

    x = torch.relu(grouped(h, 0))
    for block in range(1, net.blocks):
        h = torch.einsum("npc,qp->nqc", norm(x), p[f"block{block}.tokens.weight"])
        h = torch.relu(norm(h + p[f"block{block}.tokens.bias"][:, None]))
        h = torch.einsum("npi,oi->npo", norm(h), p[f"block{block}.channels.weight"]) + p[f"block{block}.channels.bias"]
        x = torch.relu(grouped(torch.relu(norm(h)), block) + x)
    return norm(x.mean(1)) @ p["head.weight"].T + p["head.bias"]


def test_a_local_mixer_computes_what_a_naive_one_does():
    parameters, batch = case(SMALL["mixer"])
    ours = nets.forward(SMALL["mixer"], parameters, batch.x).outputs
    torch.testing.assert_close(ours, naive_mixer(SMALL["mixer"], parameters, batch.x))


@pytest.mark.parametrize("name", SMALL)
def test_backprop_is_autograds(name):
    net = SMALL[name]
    parameters, batch = case(net)
    ours = Backprop()(net, parameters, batch, Counter(0)).gradient
    theirs = torch.func.grad(lambda p: mean_loss(net, batch, p))(parameters)
    assert set(ours) == {name for name in theirs if not name.startswith(("head0", "head1", "head2"))}
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])


@pytest.mark.parametrize("noise", ["gaussian", "signs", "rank_one_signs"])
@pytest.mark.parametrize("name", SMALL)
def test_a_weights_tangent_is_torchs_jvp(name, noise):
    net = SMALL[name]
    parameters, batch = case(net)
    counter = Counter(5, 7)
    # One direction, shared: the estimate is the derivative along V times V. V is read off a slope of 1.
    estimate = WeightPerturbation(noise=noise, exact_head=False)(net, parameters, batch, counter).gradient
    along = WeightNoise(net, counter, noise, 1, len(batch), True, True, batch.x)
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    direction = {k: v for n in range(len(net.layers) + 1) for k, v in along.gather(n, one).items()}
    rest = {k: v for k, v in parameters.items() if k not in direction}
    moved = {k: parameters[k] for k in direction}
    slope = torch.func.jvp(lambda p: mean_loss(net, batch, {**rest, **p}), (moved,), (direction,))[1]
    assert set(estimate) == set(direction)
    for key, value in direction.items():
        assert bool((value.abs() > 0).all())
        torch.testing.assert_close(estimate[key], slope * value)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["mlp", "mixer"])
def test_a_units_tangent_is_torchs_jvp(name, shared):
    net = SMALL[name]
    parameters, batch = case(net)
    along = UnitNoise(net, Counter(2), "gaussian", 1, len(batch), shared, tuple(range(len(net.layers))), batch.x)
    trace = nets.forward(net, parameters, batch.x)
    moved = nets.tangents(net, parameters, trace, along)[-1]

    def last_block(step):
        return nets.forward(net, parameters, batch.x, along, step).blocks[-1]

    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(moved, torch.func.jvp(last_block, (zero,), (zero + 1,))[1])


def test_patches_are_squares_of_the_image():
    images = torch.arange(2 * 3 * 4 * 4).remainder(256).to(torch.uint8).view(2, 3, 4, 4)
    tokens = nets.patches_of(images, 2)
    assert tokens.shape == (2, 4, 12)
    expected = images[1, :, 2:, :2].permute(1, 2, 0).flatten().float() / 255  # rows, columns, then colours
    torch.testing.assert_close(tokens[1, 2], expected)
    torch.testing.assert_close(nets.patches_of(images[:, 0], 1)[0, 0], images[0, 0].flatten().float() / 255)


def test_bad_nets_are_refused():
    with pytest.raises(UserError, match=r"5 groups do not divide 16 channels: choose a divisor of 16"):
        nets.local_mixer(blocks=1, patches=1, channels=16, groups=5, **MNIST)
    with pytest.raises(UserError, match=r"5 patches do not divide a side of 28"):
        nets.local_mixer(blocks=1, patches=5, channels=16, groups=4, **MNIST)
    with pytest.raises(UserError, match="at least 1"):
        nets.local_mixer(blocks=0, patches=1, channels=16, groups=4, **MNIST)
    with pytest.raises(UserError, match="two positive widths"):
        nets.mlp((3,))
