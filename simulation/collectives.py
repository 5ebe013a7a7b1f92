"""Collectives as data: what each sends over which level of links, in which order.

A collective is a tuple of **stages** that follow each other; the **transfers** of one stage run side by side.
A transfer says how many messages follow each other on one link, how large each is, and how many links of that
level carry the same at the same time. Time, bytes per link and total bytes are then three sums, the same for
every algorithm, and a new algorithm is a function that returns stages.

A **shape** lists the members at each level, innermost first: ``(8, 44)`` is 8 devices in each of 44 nodes.
A link of level k belongs to one member of level k and is shared by all devices under it (a node's network
card).

Every all-reduce here moves ``2 (n - 1) B`` bytes in all, whatever the algorithm; they differ in how many
messages follow each other and in which links carry them. Sources: Patarasuk and Yuan 2009 (ring), Thakur,
Rabenseifner and Gropp 2005 (halving-doubling, binary blocks, scatter-gather broadcast), Sanders, Speck and
Traeff 2009 (two complementary trees).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from simulation.links import Link

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transfer:
    """Messages over one level of links: ``messages`` one after another of ``message_bytes`` on each link."""

    level: int
    messages: int
    message_bytes: float
    links: int

    @property
    def bytes_per_link(self) -> float:
        """Bytes that one link carries, in the direction that carries most."""
        return self.messages * self.message_bytes

    @property
    def total_bytes(self) -> float:
        """Bytes over all links of the level."""
        return self.bytes_per_link * self.links


Stage = tuple[Transfer, ...]
Stages = tuple[Stage, ...]
Algorithm = Callable[[Shape, float], Stages]


def seconds(stages: Stages, links: Sequence[Link]) -> float:
    """Time of a collective: stages in sequence, the slowest transfer of each."""
    return sum(
        max((t.messages * links[t.level].seconds(t.message_bytes) for t in stage), default=0.0) for stage in stages
    )


def seconds_by_level(stages: Stages, links: Sequence[Link]) -> tuple[float, ...]:
    """The same time by the level of each stage's slowest transfer."""
    taken = [0.0] * len(links)
    for stage in stages:
        times = [(t.messages * links[t.level].seconds(t.message_bytes), t.level) for t in stage]
        longest, level = max(times, default=(0.0, 0))
        taken[level] += longest
    return tuple(taken)


def bytes_per_link(stages: Stages, levels: int) -> tuple[float, ...]:
    """Bytes that the busiest link of each level carries."""
    carried = [0.0] * levels
    for stage in stages:
        for level in {t.level for t in stage}:
            carried[level] += max(t.bytes_per_link for t in stage if t.level == level)
    return tuple(carried)


def total_bytes(stages: Stages, levels: int) -> tuple[float, ...]:
    """Bytes over all links of each level."""
    total = [0.0] * levels
    for stage in stages:
        for transfer in stage:
            total[transfer.level] += transfer.total_bytes
    return tuple(total)


# One level: `n` members, each with its own link; `copies` such groups do the same at the same time.


def ring_reduce_scatter(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """n - 1 messages of B/n around the ring; afterwards member i holds the sum of part i."""
    return ((Transfer(level, n - 1, n_bytes / n, n * copies),),) if n > 1 else ()


def ring_all_gather(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """n - 1 messages of B/n, B being the gathered whole."""
    return ring_reduce_scatter(n, n_bytes, level, copies)


def ring_all_reduce(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """Reduce-scatter, then all-gather: 2(n-1) messages of B/n, hence 2(n-1)/n B on every link."""
    return ring_reduce_scatter(n, n_bytes, level, copies) + ring_all_gather(n, n_bytes, level, copies)


def halving_doubling_all_reduce(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """Recursive halving, then doubling; for n that is no power of two in binary blocks.

    The largest block exchanges B/2, B/4, ... B/p. A smaller block of s members finishes its own halving
    earlier, takes in what a still smaller one sends, and hands B/s per member to the next larger block. Only
    the hop into the largest block is fully on the critical path; those between smaller blocks run beside the
    first halving (an approximation: within 0.04 B of the exact path for 44 members).
    """
    if n == 1:
        return ()
    blocks = [1 << bit for bit in reversed(range(n.bit_length())) if n >> bit & 1]
    largest = blocks[0]
    stages: list[Stage] = []
    for k in range(1, largest.bit_length()):
        exchanges = [Transfer(level, 1, n_bytes / 2**k, largest * copies)]
        exchanges += [Transfer(level, 1, n_bytes / 2**k, s * copies) for s in blocks[1:] if 2**k <= s]
        if k == 1:
            exchanges += [Transfer(level, 1, n_bytes / s, s * copies) for s in blocks[2:]]
        stages.append(tuple(exchanges))
    if len(blocks) > 1:
        stages.append((Transfer(level, 1, n_bytes / blocks[1], blocks[1] * copies),))
    return tuple(stages) + tuple(reversed(stages))


def double_tree_all_reduce(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """Two complementary binary trees, half the data each, perfectly pipelined.

    2 ceil(log2 n) messages follow each other, and each link carries 2(n-1)/n B as in a ring: a member that is
    a leaf of one tree is an inner node of the other.
    """
    if n == 1:
        return ()
    messages = 2 * math.ceil(math.log2(n))
    return ((Transfer(level, messages, 2 * (n - 1) / n * n_bytes / messages, n * copies),),)


def tree_broadcast(n: int, n_bytes: float, level: int = 0, copies: int = 1) -> Stages:
    """Binomial tree: in round k the 2^(k-1) members that have the data send it whole."""
    stages = []
    holders = 1
    while holders < n:
        stages.append((Transfer(level, 1, n_bytes, min(holders, n - holders) * copies),))
        holders *= 2
    return tuple(stages)


# Several levels


def groups_at(shape: Shape, level: int) -> int:
    """How many groups of members there are at a level."""
    return math.prod(shape[level + 1 :])


def flat_ring(shape: Shape, n_bytes: float) -> Stages:
    """One ring over all devices that enters and leaves every node once: it runs at its slowest link."""
    n = math.prod(shape)
    if n == 1:
        return ()
    transfers = []
    for level in reversed(range(len(shape))):
        members = math.prod(shape[level:])  # each is left by one hop
        groups = groups_at(shape, level)
        leaving = groups if groups > 1 else 0  # of those hops, the ones that belong to a higher level
        if members > max(leaving, 1):
            transfers.append(Transfer(level, n - 1, n_bytes / n, members - leaving))
    return (tuple(transfers),) * 2


def hierarchical(
    shape: Shape,
    n_bytes: float,
    across: Callable[[int, float, int, int], Stages] = ring_all_reduce,
) -> Stages:
    """Reduce-scatter inside every group from the innermost level, all-reduce on top, all-gather back down.

    After the reduce-scatter the members of a group hold disjoint parts that together make B, so the link that
    they share carries what one all-reduce of B over that level carries.
    """
    used = [level for level, members in enumerate(shape) if members > 1]
    if not used:
        return ()
    *inner, top = used
    down: Stages = ()
    for level in inner:
        down += ring_reduce_scatter(shape[level], n_bytes, level, groups_at(shape, level))
    return down + across(shape[top], n_bytes, top, 1) + tuple(reversed(down))


def hierarchical_broadcast(shape: Shape, n_bytes: float) -> Stages:
    """From one device to all: across the outermost level first, then inside every group."""
    stages: Stages = ()
    for level in reversed(range(len(shape))):
        stages += tree_broadcast(shape[level], n_bytes, level, groups_at(shape, level))
    return stages


ALL_REDUCE: dict[str, Algorithm] = {
    "ring": flat_ring,
    "hierarchical": hierarchical,
    "halving_doubling": partial(hierarchical, across=halving_doubling_all_reduce),
    "double_tree": partial(hierarchical, across=double_tree_all_reduce),
}
