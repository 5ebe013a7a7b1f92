"""Where the groups of codistillation sit, and over which links they meet.

Worker w is device w of the cluster; groups of equal size follow each other, so small groups share a node's
card and large ones fill whole nodes.
"""

import math
from dataclasses import dataclass

from simulation.cluster import Cluster
from simulation.collectives import Shape
from simulation.links import require


def shape_of_groups(cluster: Cluster, groups: int, per_group: int) -> Shape:
    """The members that so many groups of workers occupy at each level.

    Raises:
        ValueError: devices that are lacking or left over, or a group that lies across the border of a node.
    """
    total = groups * per_group
    shape = cluster.shape(total)
    devices = 1
    for level in cluster.links:
        devices *= level.members
        require(
            total <= devices or devices % per_group == 0 or per_group % devices == 0,
            f"groups of {per_group} workers do not fit whole groups of {devices} devices at level {level.level!r}: "
            f"choose a size that divides {devices} or is a multiple of it",
        )
    return shape


@dataclass(frozen=True)
class Meeting:
    """How groups meet over one level of links.

    Attributes:
        level: index of the level.
        peers: groups that each group meets here; over all levels they are all its peers.
        parts: how many sets of groups meet here that have met among themselves below: nodes, say.
        links: how many links of this level are in use; each is shared by `groups_per_link` groups (1 where a
            group has links of its own) and by `devices_per_link` devices.
    """

    level: int
    peers: int
    parts: int
    links: int
    groups_per_link: int
    devices_per_link: int


def meetings(cluster: Cluster, groups: int, per_group: int) -> tuple[Meeting, ...]:
    """Where each group meets its peers, from the innermost level at which there are any.

    Raises:
        ValueError: as `shape_of_groups`.
    """
    shape = shape_of_groups(cluster, groups, per_group)
    found = []
    inside = 1  # groups among which all have met already
    for level in range(len(shape)):
        together = max(1, math.prod(shape[: level + 1]) // per_group)
        below = math.prod(shape[:level])
        if together > inside:
            found.append(
                Meeting(
                    level=level,
                    peers=together - inside,
                    parts=together // inside,
                    links=groups * per_group // below,
                    groups_per_link=max(1, below // per_group),
                    devices_per_link=below,
                )
            )
        inside = together
    return tuple(found)
