"""NASNet (Zoph, Vasudevan, Shlens, Le 2017, 1707.07012): two searched cells, repeated.

A cell has two inputs, the outputs of the cell before (h_i, state 0) and of the one before that (h_(i-1), state 1).
Each of its blocks takes two of the states so far, does an operation on each and adds the results, which is a new state
(section 3, Figure 3). A normal cell keeps the resolution; a reduction cell halves it, by strides in the operations on
its two inputs. A cell is data here (``Cell``), and so is the list of a net's cells (``Architecture.cells``).

What the paper's figures leave open follows the authors' release: the first cell takes the stem's output twice, the
second time as it is; where h_(i-1) has other channels than a cell's filters it is fitted by a 1x1 convolution, and
where it is twice as large by two of them with stride 2, on the even and on the odd pixels. The auxiliary head, dropped
paths and dropout, which only training uses, are left out.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from repro.training.keys import generator_seed

INPUTS = 2  # states that a cell begins with
BLOCKS = 5
STAGES = 3


def _convolved(outputs: int, *convolutions: nn.Module) -> nn.Sequential:
    """ReLU, the convolutions one after another, batch normalisation."""
    return nn.Sequential(nn.ReLU(), *convolutions, nn.BatchNorm2d(outputs))


class Every(nn.Module):
    """Every ``stride``-th pixel of rows and columns.

    Before a 1x1 convolution the same as its own stride. oneDNN's gradient of the latter, with channels last in memory,
    wrote beyond its tensors in PyTorch 2.13 (3 or 4 channels, 8x8 pixels, AVX2).
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride]


def _fit(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    sampled = [Every(stride)] if stride > 1 else []
    return _convolved(outputs, *sampled, nn.Conv2d(inputs, outputs, 1, bias=False))


def _identity(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The state itself; a 1x1 convolution where it must be halved or fitted."""
    return nn.Identity() if stride == 1 and inputs == outputs else _fit(inputs, outputs, stride)


def _pooled(pool: Callable[[int], nn.Module], inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs:
        return pool(stride)
    return nn.Sequential(pool(stride), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _average(size: int, stride: int) -> nn.Module:
    return nn.AvgPool2d(size, stride, size // 2, count_include_pad=False)


def _maximum(size: int, stride: int) -> nn.Module:
    return nn.MaxPool2d(size, stride, size // 2)


def _separable(size: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    """A convolution on each channel by itself and a 1x1 convolution, twice; the first one has the stride (A.4)."""

    def once(inputs: int, stride: int) -> nn.Sequential:
        depthwise = nn.Conv2d(inputs, inputs, size, stride, size // 2, groups=inputs, bias=False)
        return _convolved(outputs, depthwise, nn.Conv2d(inputs, outputs, 1, bias=False))

    return nn.Sequential(once(inputs, stride), once(outputs, 1))


def _whole(size: int, dilation: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    padding = dilation * (size // 2)
    return _convolved(outputs, nn.Conv2d(inputs, outputs, size, stride, padding, dilation=dilation, bias=False))


def _row_then_column(size: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    row = nn.Conv2d(inputs, outputs, (1, size), (1, stride), (0, size // 2), bias=False)
    return _convolved(outputs, row, nn.Conv2d(outputs, outputs, (size, 1), (stride, 1), (size // 2, 0), bias=False))


# The thirteen that the search chooses from (section 3): made of input channels, output channels and stride.
OPERATIONS: Mapping[str, Callable[[int, int, int], nn.Module]] = {
    "identity": _identity,
    "1x3_3x1": partial(_row_then_column, 3),
    "1x7_7x1": partial(_row_then_column, 7),
    "dilated_3x3": partial(_whole, 3, 2),
    "average_3x3": partial(_pooled, partial(_average, 3)),
    "max_3x3": partial(_pooled, partial(_maximum, 3)),
    "max_5x5": partial(_pooled, partial(_maximum, 5)),
    "max_7x7": partial(_pooled, partial(_maximum, 7)),
    "conv_1x1": _fit,
    "conv_3x3": partial(_whole, 3, 1),
    "separable_3x3": partial(_separable, 3),
    "separable_5x5": partial(_separable, 5),
    "separable_7x7": partial(_separable, 7),
}


@dataclass(frozen=True)
class Block:
    """The sum of ``left_operation`` on state ``left`` and ``right_operation`` on state ``right``."""

    left: int
    left_operation: str
    right: int
    right_operation: str

    @property
    def sides(self) -> tuple[tuple[int, str], tuple[int, str]]:
        return (self.left, self.left_operation), (self.right, self.right_operation)


@dataclass(frozen=True)
class Cell:
    """Blocks in their order, the first making state 2, and the states whose concatenation the cell gives out.

    Raises:
        ValueError: an operation that is not of ``OPERATIONS``, or a state that is not there yet.
    """

    blocks: tuple[Block, ...]
    concatenated: tuple[int, ...]

    def __post_init__(self) -> None:
        for number, block in enumerate(self.blocks):
            for state, operation in block.sides:
                if operation not in OPERATIONS:
                    raise ValueError(f"block {number}: no operation {operation!r}; there are {', '.join(OPERATIONS)}")
                if not 0 <= state < INPUTS + number:
                    raise ValueError(f"block {number}: takes state {state}; there are 0 to {INPUTS + number - 1}")
        states = INPUTS + len(self.blocks)
        if not self.concatenated or not all(0 <= state < states for state in self.concatenated):
            raise ValueError(f"concatenated must be some of the states 0 to {states - 1}, not {self.concatenated}")


@dataclass(frozen=True)
class CellPair:
    """A normal cell and a reduction cell, as one search finds them.

    Raises:
        ValueError: the reduction cell gives out one of its inputs, which has not been halved.
    """

    normal: Cell
    reduction: Cell

    def __post_init__(self) -> None:
        if min(self.reduction.concatenated) < INPUTS:
            raise ValueError(f"a reduction cell gives out its blocks alone, not {self.reduction.concatenated}")


# Figure 4, as the authors' release has it; the normal cell gives out h_(i-1) too.
NASNET_A = CellPair(
    Cell(
        (
            Block(0, "separable_5x5", 1, "separable_3x3"),
            Block(1, "separable_5x5", 1, "separable_3x3"),
            Block(0, "average_3x3", 1, "identity"),
            Block(1, "average_3x3", 1, "average_3x3"),
            Block(0, "separable_3x3", 0, "identity"),
        ),
        (1, 2, 3, 4, 5, 6),
    ),
    Cell(
        (
            Block(0, "separable_5x5", 1, "separable_7x7"),
            Block(0, "max_3x3", 1, "separable_7x7"),
            Block(0, "average_3x3", 1, "separable_5x5"),
            Block(3, "identity", 2, "average_3x3"),
            Block(2, "separable_3x3", 0, "max_3x3"),
        ),
        (3, 4, 5, 6),
    ),
)


def random_cells(number: int) -> CellPair:
    """Pair ``number`` of those drawn at random from the search space: states and operations uniformly and
    independently, five blocks a cell, the states of blocks that no other block takes concatenated (section 3).

    Of the two ways to combine that the space has, sum and concatenation, only the sum is drawn: all of NASNet-A's are.
    """
    draw = random.Random(number)
    names = list(OPERATIONS)

    def below(n: int) -> int:
        return int(n * draw.random())  # whose sequence Python guarantees

    def cell() -> Cell:
        blocks = []
        for count in range(INPUTS, INPUTS + BLOCKS):
            blocks.append(Block(below(count), names[below(len(names))], below(count), names[below(len(names))]))
        taken = {state for block in blocks for state, _ in block.sides}
        return Cell(tuple(blocks), tuple(s for s in range(INPUTS, INPUTS + BLOCKS) if s not in taken))

    return CellPair(cell(), cell())


@dataclass(frozen=True)
class CellPlan:
    """One cell of a net: ``filters`` are the channels of each of its states, ``stride`` 2 if it is a reduction."""

    cell: Cell
    filters: int
    stride: int


@dataclass(frozen=True)
class Architecture:
    """``repeats`` normal cells of ``filters[k]`` filters in stage k, a reduction cell before every stage but the first.

    ``stem`` channels come out of the first 3x3 convolution, of ``stem_stride``, padded or not; ``stem_filters`` are
    those of the reduction cells that follow it at once.

    Raises:
        ValueError: fewer than one repeat, filter or stem channel.
    """

    repeats: int
    filters: tuple[int, ...]
    stem: int
    stem_stride: int = 1
    stem_padding: int = 1
    stem_filters: tuple[int, ...] = ()
    cells: CellPair = NASNET_A

    def __post_init__(self) -> None:
        if not self.filters or min(self.repeats, self.stem, self.stem_stride, *self.filters, *self.stem_filters) < 1:
            raise ValueError(f"repeats, stem and filters must be 1 or more: {self}")

    def plans(self) -> Iterator[CellPlan]:
        """All cells in their order."""
        for filters in self.stem_filters:
            yield CellPlan(self.cells.reduction, filters, 2)
        for stage, filters in enumerate(self.filters):
            if stage:
                yield CellPlan(self.cells.reduction, filters, 2)
            for _ in range(self.repeats):
                yield CellPlan(self.cells.normal, filters, 1)


def stage_filters(penultimate: int) -> tuple[int, ...]:
    """Filters of NASNet-A's stages by the channels that its last cell concatenates, the F of "N @ F".

    They double from stage to stage. 1538, which the paper prints once, is not six times a multiple of four; the
    nearest, 1536, is.

    Raises:
        ValueError: F is further than 2 from such a number.
    """
    last = len(NASNET_A.normal.concatenated) * 2 ** (STAGES - 1)
    first = round(penultimate / last)
    if first < 1 or abs(first * last - penultimate) > 2:
        raise ValueError(f"penultimate filters must be a multiple of {last}, not {penultimate}")
    return tuple(first * 2**stage for stage in range(STAGES))


def for_small_images(
    repeats: int, filters: tuple[int, ...], cells: CellPair = NASNET_A, stem_stride: int = 1
) -> Architecture:
    """Figure 2, left: for images of 32x32. The stem has three times the first stage's filters."""
    return Architecture(repeats, filters, 3 * filters[0], stem_stride, cells=cells)


def for_imagenet(repeats: int, filters: tuple[int, ...], stem: int) -> Architecture:
    """Figure 2, right: a convolution of stride 2 without padding, then two reduction cells at a quarter and half of
    the first stage's filters."""
    return Architecture(repeats, filters, stem, 2, 0, (filters[0] // 4, filters[0] // 2))


class Halved(nn.Module):
    """Half the channels from the even pixels, half from the odd ones: nothing is skipped on both ways."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.every = Every(2)
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        shifted = nn.functional.pad(x, (-1, 1, -1, 1))
        out: Tensor = self.norm(torch.cat((self.even(self.every(x)), self.odd(self.every(shifted))), 1))
        return out


class CellLayer(nn.Module):
    """A cell on ``now`` channels of the cell before and ``before`` of the one before that.

    ``before`` is None in the first cell, which takes its one input twice; ``shrunk`` says that the cell before has
    halved the resolution.
    """

    def __init__(self, plan: CellPlan, now: int, before: int | None, *, shrunk: bool) -> None:
        super().__init__()
        filters = plan.filters
        self.blocks, self.concatenated = plan.cell.blocks, plan.cell.concatenated
        self.fit_now = _fit(now, filters)
        self.fit_before: nn.Module = nn.Identity()
        channels = [filters] * (INPUTS + len(self.blocks))
        if before is None:
            channels[1] = now
        elif shrunk:
            self.fit_before = Halved(before, filters)
        elif before != filters:
            self.fit_before = _fit(before, filters)
        self.operations = nn.ModuleList(
            OPERATIONS[operation](channels[state], filters, plan.stride if state < INPUTS else 1)
            for block in self.blocks
            for state, operation in block.sides
        )
        self.fit_out: nn.Module = nn.Identity()  # of h_(i-1), where it is given out and has not been fitted
        if 1 in self.concatenated and channels[1] != filters:
            self.fit_out = nn.Sequential(nn.Conv2d(channels[1], filters, 1, bias=False), nn.BatchNorm2d(filters))
        self.outputs = filters * len(self.concatenated)

    def forward(self, now: Tensor, before: Tensor | None) -> Tensor:
        states = [self.fit_now(now), now if before is None else self.fit_before(before)]
        operations = iter(self.operations)
        for block in self.blocks:
            left = next(operations)(states[block.left])
            states.append(left + next(operations)(states[block.right]))
        return torch.cat([self.fit_out(states[s]) if s == 1 else states[s] for s in self.concatenated], 1)


class NASNet(nn.Module):
    """Images (batch, channels, height, width) to logits (batch, classes)."""

    def __init__(self, net: Architecture, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, net.stem, 3, net.stem_stride, net.stem_padding, bias=False), nn.BatchNorm2d(net.stem)
        )
        self.cells = nn.ModuleList()
        before, now, shrunk = None, net.stem, False
        for plan in net.plans():
            cell = CellLayer(plan, now, before, shrunk=shrunk)
            self.cells.append(cell)
            before, now, shrunk = now, cell.outputs, plan.stride > 1
        self.last = nn.Linear(now, classes)

    def forward(self, x: Tensor) -> Tensor:
        before, now = None, self.stem(x)
        for cell in self.cells:
            before, now = now, cell(now, before)
        logits: Tensor = self.last(torch.relu(now).mean((2, 3)))
        return logits


def nasnet(net: Architecture, classes: int, *, seed: int, channels: int = 3) -> NASNet:
    """The net with weights drawn as PyTorch draws them, keyed by ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        return NASNet(net, classes, channels)
