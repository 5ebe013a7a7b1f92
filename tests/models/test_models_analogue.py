"""Analogue hardware: what is common to two pieces, what is a piece's own, and what a copied weight is worth."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.models.analogue import AnalogueLinear, AnalogueUnits, Hardware, analogue_net, copy_weights

SIZES = (12, 30, 20, 5)
X = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))


def linear_layers(net):
    return [layer for layer in net if isinstance(layer, AnalogueLinear)]


def test_pieces_without_variability_are_one_machine():
    one, other = (analogue_net(SIZES, Hardware(seed, 0.0), seed=7) for seed in (1, 2))
    assert torch.equal(one(X), other(X))
    third = analogue_net(SIZES, Hardware(3, 0.0), seed=8)
    assert not torch.allclose(one(X), third(X))
    copy_weights(one, third)
    assert torch.equal(one(X), third(X))


def test_a_piece_without_variability_is_a_masked_net_of_rectifiers():
    net = analogue_net(SIZES, Hardware(1, 0.0), seed=7)
    x = X
    for number, layer in enumerate(linear_layers(net)):
        assert set(layer.conductance.unique().tolist()) == {0.0, 1.0}
        x = x @ (layer.conductance * layer.weight).T + layer.bias
        x = x.clamp_min(0) if number < 2 else x
    torch.testing.assert_close(net(X), x)


def test_a_copied_weight_means_something_else_on_another_piece():
    one, other = (analogue_net(SIZES, Hardware(seed, 1.0), seed=7) for seed in (1, 2))
    copy_weights(one, other)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.allclose(one(X), other(X), atol=0.05)
    again = analogue_net(SIZES, Hardware(1, 1.0), seed=7)
    assert torch.equal(one(X), again(X))  # hardware and start are functions of their seeds


@settings(deadline=None, max_examples=15)
@given(st.floats(0, 1), st.integers(0, 5))
def test_wiring_and_gains_keep_their_shares(variability, seed):
    """Half of the connections, mean square gain 1, and as much of the common wiring as variability leaves."""
    layer = AnalogueLinear(300, 200, Hardware(seed, variability), 0, torch.Generator().manual_seed(0))
    common = AnalogueLinear(300, 200, Hardware(0, 0.0), 0, torch.Generator().manual_seed(0)).conductance > 0
    wired = layer.conductance > 0
    assert float(wired.float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(layer.conductance[wired].square().mean()) == pytest.approx(1, abs=0.25)
    assert float((wired == common).float().mean()) == pytest.approx(1 - variability / 2, abs=0.02)


def test_units_respond_between_a_rectifier_and_tanh():
    units = AnalogueUnits(4, Hardware(3, 1.0), 0)
    a = torch.linspace(-3, 3, 50)[:, None].expand(50, 4)
    u = a * units.slope - units.threshold
    expected = (1 - units.mixture) * u.clamp_min(0) + units.mixture * u.tanh()
    torch.testing.assert_close(units(a), expected)


def test_only_weights_and_biases_are_learned():
    net = analogue_net(SIZES, Hardware(1, 1.0), seed=7)
    before = [buffer.clone() for buffer in net.buffers()]
    net(X).square().mean().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert {name.split(".")[1] for name, _ in net.named_parameters()} == {"weight", "bias"}
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    first = linear_layers(net)[0]
    assert not first.weight.grad[first.conductance == 0].any()  # no wire, nothing to learn


@pytest.mark.parametrize("bad", [{"variability": -0.1}, {"variability": 1.1}, {"density": 0.0}, {"density": 2.0}])
def test_hardware_that_cannot_be(bad):
    with pytest.raises(ValueError, match="share"):
        Hardware(**{"seed": 0, "variability": 0.5} | bad)


def test_nets_of_other_shapes():
    with pytest.raises(ValueError, match="layer sizes"):
        analogue_net((5,), Hardware(0, 0.0), seed=0)
    with pytest.raises(ValueError, match="same layers"):
        copy_weights(analogue_net((5, 3), Hardware(0, 0.0), seed=0), analogue_net((5, 4), Hardware(0, 0.0), seed=0))
