"""NASNet against counts by hand and a loop of its own, the authors' release, and what a cell may hear of."""

import dataclasses
import hashlib

import pytest
import torch
from torch import nn

from repro.models.counting import layer_counts, total
from repro.models.nasnet import (
    INPUTS,
    NASNET_A,
    OPERATIONS,
    Architecture,
    Block,
    Cell,
    CellLayer,
    CellPair,
    CellPlan,
    Halved,
    NASNet,
    for_imagenet,
    for_small_images,
    nasnet,
    random_cells,
    stage_filters,
)

TINY = for_small_images(1, (4, 8, 16))


def on_meta(net: Architecture, classes: int, channels: int = 3) -> NASNet:
    with torch.device("meta"):
        return NASNet(net, classes, channels)


# Learned, and learned or stored, of the authors' checkpoints as they were carried over to other frameworks.
@pytest.mark.parametrize(
    ("net", "size", "parameters", "with_stored"),
    [
        (for_imagenet(4, stage_filters(1056), 32), 224, 5_289_978, 5_326_716),
        (for_imagenet(6, stage_filters(4032), 96), 331, 88_753_150, 88_949_818),
    ],
)
def test_parameters_are_those_of_the_released_nets(net, size, parameters, with_stored):
    layers = layer_counts(on_meta(net, 1000), (3, size, size))
    assert total(layers).parameters == parameters
    assert parameters + sum(one.stored for one in layers) == with_stored


def test_a_normal_cell_has_the_counts_of_a_sum_by_hand():
    f, now, before, side = 6, 20, 14, 9
    pixels = side**2
    separable = sum(2 * (k**2 * f + f * f) for k in (5, 3, 5, 3, 3))  # five in the cell, each twice
    fits = now * f + before * f
    norms = 2 * (5 * 2 * f + 2 * f)
    with torch.device("meta"):
        layer = CellLayer(CellPlan(NASNET_A.normal, f, 1), now, before, shrunk=False)
        counted = total(layer_counts(Alone(layer, before, now), (now, side, side)))
    assert counted.parameters == separable + fits + norms
    assert counted.multiply_adds == pixels * (separable + fits)


def test_a_reduction_cell_has_the_counts_of_a_sum_by_hand():
    f, now, before, side = 6, 20, 14, 9
    whole, half = side**2, 5**2
    separable = sum(2 * (k**2 * f + f * f) for k in (5, 7, 7, 5, 3))  # all at half the resolution
    with torch.device("meta"):
        layer = CellLayer(CellPlan(NASNET_A.reduction, f, 2), now, before, shrunk=False)
        counted = total(layer_counts(Alone(layer, before, now), (now, side, side)))
    assert counted.multiply_adds == half * separable + whole * (now + before) * f
    assert layer.outputs == 4 * f


class Alone(nn.Module):
    """A cell that takes one image twice, the second time with other channels."""

    def __init__(self, layer: CellLayer, before: int, now: int) -> None:
        super().__init__()
        self.layer, self.before = layer, before
        assert before < now

    def forward(self, x):
        return self.layer(x, x[:, : self.before])


def naive_multiply_adds(net: Architecture, size: int, classes: int) -> int:
    """A second count, from the cells' words alone: no module is built."""

    def half(side: int) -> int:
        return (side + 1) // 2

    def products(operation: str, inputs: int, f: int, side: int) -> int:
        name, _, kernel = operation.partition("_")
        if name == "separable":
            k = int(kernel[0])
            return side**2 * (k * k * (inputs + f) + f * (inputs + f))
        if name in ("average", "max"):
            return side**2 * inputs * f if inputs != f else 0
        return {
            "identity": 0,  # as long as it neither halves nor fits, see the assertion below
            "conv_1x1": inputs * f, "conv_3x3": 9 * inputs * f, "dilated_3x3": 9 * inputs * f,
        }[operation] * side**2  # fmt: skip

    side = (size + 2 * net.stem_padding - 3) // net.stem_stride + 1
    count = 27 * net.stem * side**2
    now, before, before_side = (net.stem, side), None, side
    for plan in net.plans():
        f = plan.filters
        out = half(now[1]) if plan.stride == 2 else now[1]
        count += now[0] * f * now[1] ** 2
        channels = [f, f]
        if before is None:
            channels[1] = now[0]
        elif before_side != now[1] or before != f:
            count += before * f * now[1] ** 2  # two halves at half the resolution are as many as one at the whole
        for block in plan.cell.blocks:
            for state, operation in block.sides:
                inputs = channels[state] if state < INPUTS else f
                assert operation != "identity" or (inputs == f and (state >= INPUTS or plan.stride == 1))
                count += products(operation, inputs, f, out)
        if 1 in plan.cell.concatenated and channels[1] != f:
            count += channels[1] * f * out**2
        before, before_side, now = now[0], now[1], (f * len(plan.cell.concatenated), out)
    return count + now[0] * classes


# In the first cell on small images the identity on h_(i-1) has to fit the stem's channels: left to the net.
@pytest.mark.parametrize(
    ("net", "size"),
    [
        (for_imagenet(4, stage_filters(1056), 32), 224),
        (for_imagenet(1, (8, 16, 32), 12), 75),
        (Architecture(2, (6, 12), 6), 17),
        (Architecture(2, (6, 12), 6, cells=dataclasses.replace(NASNET_A, normal=NASNET_A.reduction)), 17),
    ],
)
def test_a_naive_count_agrees(net, size):
    assert total(layer_counts(on_meta(net, 7), (3, size, size))).multiply_adds == naive_multiply_adds(net, size, 7)


def shapes(net: nn.Module, image: torch.Tensor) -> list[tuple[int, int]]:
    found = []
    for cell in net.cells:
        cell.register_forward_hook(lambda _, __, output: found.append(tuple(output.shape[1:3])))
    with torch.no_grad():
        net.eval()(image)
    return found


def test_channels_and_resolution_at_each_stage():
    small = for_small_images(2, stage_filters(768))
    assert shapes(on_meta(small, 10), torch.zeros(1, 3, 32, 32, device="meta")) == [
        (192, 32), (192, 32), (256, 16), (384, 16), (384, 16), (512, 8), (768, 8), (768, 8),
    ]  # fmt: skip
    mobile = shapes(on_meta(for_imagenet(4, stage_filters(1056), 32), 1000), torch.zeros(1, 3, 224, 224, device="meta"))
    assert mobile[:3] == [(44, 56), (88, 28), (264, 28)]
    assert len(mobile) == 2 + 3 * 4 + 2
    assert mobile[-1] == (1056, 7)


@pytest.mark.parametrize("cells", [NASNET_A, random_cells(0), random_cells(3)])
def test_images_become_logits_with_gradients_everywhere(cells):
    model = nasnet(for_small_images(1, (4, 8, 16), cells), 5, seed=0, channels=1)
    logits = model(torch.randn(4, 1, 9, 9))
    assert logits.shape == (4, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    if cells is NASNET_A:
        assert all(bool(p.grad.abs().sum() > 0) for p in model.parameters())


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 4, 2), (6, 4, 1), (6, 4, 2)])
def test_every_operation_fits_channels_and_resolution(operation, inputs, outputs, stride):
    x = torch.randn(2, inputs, 7, 7)
    before = x.clone()
    made = OPERATIONS[operation](inputs, outputs, stride)(x)
    assert made.shape == (2, outputs, 7, 7) if stride == 1 else (2, outputs, 4, 4)
    assert torch.equal(x, before), "other operations take the same state"


def test_halving_uses_even_and_odd_pixels():
    halved = Halved(1, 2).eval()
    nn.init.ones_(halved.even.weight)
    nn.init.ones_(halved.odd.weight)
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    even, odd = halved(x)[0] * (1 + halved.norm.eps) ** 0.5
    torch.testing.assert_close(even, x[0, 0, ::2, ::2])
    torch.testing.assert_close(odd, x[0, 0, 1::2, 1::2])


def test_weights_are_keyed_by_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (nasnet(TINY, 5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_random_cells_are_the_same_for_ever_and_give_out_what_nobody_took():
    first = random_cells(0)
    assert first == random_cells(0) != random_cells(1)
    five = repr([random_cells(number) for number in range(5)])
    assert hashlib.sha256(five.encode()).hexdigest()[:16] == "493f92748bdbbbd9", "rows on record are of other cells"
    drawn = set()
    for number in range(60):
        for cell in (random_cells(number).normal, random_cells(number).reduction):
            taken = {state for block in cell.blocks for state, _ in block.sides}
            assert set(cell.concatenated) == set(range(INPUTS, INPUTS + 5)) - taken
            drawn |= {operation for block in cell.blocks for _, operation in block.sides}
    assert drawn == set(OPERATIONS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Cell((Block(0, "magic", 1, "identity"),), (2,)), "no operation 'magic'"),
        (lambda: Cell((Block(0, "identity", 2, "identity"),), (2,)), "takes state 2; there are 0 to 1"),
        (lambda: Cell((Block(0, "identity", -1, "identity"),), (2,)), "takes state -1"),
        (lambda: Cell((Block(0, "identity", 1, "identity"),), ()), "concatenated must be"),
        (lambda: Cell((Block(0, "identity", 1, "identity"),), (3,)), "concatenated must be"),
        (lambda: CellPair(NASNET_A.normal, NASNET_A.normal), "gives out its blocks alone"),
        (lambda: for_small_images(0, (4, 8, 16)), "1 or more"),
        (lambda: for_imagenet(1, (2, 4, 8), 8), "1 or more"),  # a quarter of two filters
        (lambda: stage_filters(1000), "multiple of 24, not 1000"),
        (lambda: stage_filters(1), "multiple of 24, not 1"),
    ],
)
def test_bad_cells_and_nets_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_a_layer_without_a_rule_is_not_passed_over():
    with torch.device("meta"):
        strange = nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU())
        twice = nn.Conv2d(3, 3, 1)
        shared = nn.Sequential(twice, twice)
    with pytest.raises(TypeError, match="PReLU"):
        layer_counts(strange, (3, 5, 5))
    with pytest.raises(TypeError, match="used 2 times"):
        layer_counts(shared, (3, 5, 5))
    assert not any(module._forward_hooks for module in shared.modules())
