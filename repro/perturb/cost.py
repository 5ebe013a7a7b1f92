"""What a step costs by counting: multiply-adds for each case, numbers kept from the pass to the update."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from repro.perturb.nets import Layer, Net


@dataclass(frozen=True)
class _Counts:
    """Of one case: all linear maps; those above the first layer, through which something has to travel; heads."""

    forward: int
    above: int
    head: int


def _map(net: Net, layer: Layer) -> int:
    """Multiply-adds of a layer's linear map for one case."""
    per_row = layer.units * layer.inputs // layer.groups
    return per_row * (net.channels if layer.mix == "tokens" else net.tokens)


def _counts(net: Net) -> _Counts:
    maps = [_map(net, layer) for layer in net.layers]
    return _Counts(sum(maps), sum(maps[1:]), net.channels * net.classes)


def _rank_one(net: Net, counts: _Counts, directions: int) -> int:
    vectors = sum(net.tokens * (layer.inputs + layer.units) for layer in net.layers)
    return counts.forward + directions * (counts.above + vectors) + 2 * counts.head


def _heads(net: Net, counts: _Counts) -> int:
    """Forward, exact gradient and the error below, of every local head and the final one."""
    return 3 * counts.head * (net.blocks + 1)


# Forward, then: tangents or errors through the maps above the first layer, gradients of all weights. With local losses
# nothing travels through the first layer of a block.
METHODS: Mapping[str, Callable[[Net, _Counts], int]] = {
    "bp": lambda net, c: 2 * c.forward + c.above + 3 * c.head,
    "fa": lambda net, c: 2 * c.forward + c.above + 3 * c.head,
    "dfa": lambda net, c: 2 * c.forward + 2 * c.head + len(net.layers) * c.head,
    "lg_bp": lambda net, c: 2 * c.forward + _within(net) + _heads(net, c),
    "wp8": lambda net, c: _rank_one(net, c, 8),
    "fg_w": lambda net, c: 2 * c.forward + c.above + 3 * c.head,
    "fg_a": lambda net, c: 2 * c.forward + c.above + 3 * c.head,
    "lg_fg_w": lambda net, c: 2 * c.forward + _within(net) + _heads(net, c),
    "lg_fg_a": lambda net, c: 2 * c.forward + _within(net) + _heads(net, c),
    "frozen": lambda net, c: c.forward + 2 * c.head,
}


def _within(net: Net) -> int:
    """Maps that are not the first of their block."""
    pairs = zip(net.layers, net.layers[1:], strict=False)
    return sum(_map(net, layer) for below, layer in pairs if layer.block == below.block)


def multiply_adds(net: Net, method: str) -> int:
    """Multiply-adds of a training step for each case, linear maps only, by the paper's name of a method."""
    return METHODS[method](net, _counts(net))


def kept_numbers(net: Net, method: str, cases: int) -> int:
    """Numbers kept between the forward pass and the update, beside weights and their gradient: inputs of all linear
    maps and which units were active, where the method needs them, and its noise."""
    inputs = sum(cases * net.tokens * (net.channels if layer.mix == "tokens" else layer.inputs) for layer in net.layers)
    units = sum(cases * net.tokens * net.channels_after(number) for number in range(len(net.layers)))
    weights = net.parameter_count()
    found = {
        "fg_a": inputs + 2 * units,
        "lg_fg_a": inputs + 2 * units,
        "fg_w": inputs + units + weights,
        "lg_fg_w": inputs + units + weights,
        "wp8": inputs + units + 8 * units,
        "frozen": cases * net.channels,
    }
    return found.get(method, inputs + units)
