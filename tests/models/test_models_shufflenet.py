"""ShuffleNet against loops written out, hooks on the real net, and what groups may know of each other."""

import pytest
import torch
from torch import nn

from repro.models.shufflenet import Architecture, Unit, UnitPlan, channel_shuffle, counts, published, shufflenet

SMALL = Architecture(groups=3, stem=12, outputs=(48, 96), repeats=(2, 3), stem_stride=1, pool=False)


def test_channel_shuffle_is_the_loop():
    x = torch.arange(2 * 12 * 2 * 2.0).view(2, 12, 2, 2)
    shuffled = channel_shuffle(x, 3)
    for group in range(3):
        for channel in range(4):
            assert torch.equal(shuffled[:, channel * 3 + group], x[:, group * 4 + channel])
    assert torch.equal(channel_shuffle(shuffled, 4), x)


def hooked(net: nn.Module, channels: int, size: int) -> tuple[int, int]:
    """Multiply-adds of convolutions and of linear layers, counted while the net runs."""
    found = {nn.Conv2d: 0, nn.Linear: 0}

    def count(module, _, output):
        found[type(module)] += module.weight.numel() * output[0, 0].numel()

    for module in net.modules():
        if isinstance(module, tuple(found)):
            module.register_forward_hook(count)
    with torch.no_grad():
        net.eval()(torch.zeros(1, channels, size, size))
    return found[nn.Conv2d], found[nn.Linear]


@pytest.mark.parametrize(
    ("net", "channels", "size"),
    [(SMALL, 1, 9), (published(8, 0.25), 3, 64), (published(4, 0.25), 3, 65), (published(1, 0.5), 3, 64)],
)
def test_counts_are_those_of_the_net(net, channels, size):
    model = shufflenet(net, 7, seed=0, channels=channels)
    found = counts(net, size, 7, channels)
    assert (found.convolution_multiply_adds, found.head_multiply_adds) == hooked(model, channels, size)
    assert found.parameters == sum(p.numel() for p in model.parameters())


def test_images_become_logits_with_gradients_everywhere():
    model = shufflenet(SMALL, 5, seed=0, channels=1)
    logits = model(torch.randn(4, 1, 8, 8))
    assert logits.shape == (4, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def hears(order: str) -> torch.Tensor:
    """[j, i]: whether group j of a unit's output depends on group i of its input."""
    torch.manual_seed(0)
    unit = Unit(UnitPlan(12, 12, 12, 1, 3, 3), order).eval()
    x = torch.randn(2, 12, 5, 5, requires_grad=True)
    out = unit(x)
    rows = []
    for group in range(3):
        (gradient,) = torch.autograd.grad(out[:, 4 * group : 4 * group + 4].sum(), x, retain_graph=True)
        rows.append(gradient.view(2, 3, -1).abs().sum((0, 2)) > 0)
    return torch.stack(rows)


def test_groups_hear_of_each_other_only_through_a_shuffle():
    assert torch.equal(hears("none"), torch.eye(3, dtype=torch.bool))
    assert bool(hears("shuffle").all())
    assert int(hears("random").sum()) > 3


def test_weights_are_keyed_by_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (shufflenet(SMALL, 5, seed=seed, order="random").state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    assert not torch.equal(first["3.order"], other["3.order"])


@pytest.mark.parametrize(
    "settings",
    [
        {"groups": 8, "stem": 12, "outputs": (96,), "repeats": (1,)},  # 84 do not divide by 8
        {"groups": 3, "stem": 24, "outputs": (24,), "repeats": (1,)},  # nothing left beside the averaged input
        {"groups": 1, "stem": 24, "outputs": (48, 96), "repeats": (1,)},
        {"groups": 1, "stem": 24, "outputs": (48,), "repeats": (0,)},
    ],
)
def test_channels_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError):
        Architecture(**settings)


def test_the_paper_has_no_five_groups():
    with pytest.raises(ValueError, match="groups must be one of 1, 2, 3, 4, 8, not 5"):
        published(5, 1.0)
