"""The paper's machines and its net, as the simulator describes them. No experiment, as its underscore says."""

from dataclasses import replace
from functools import cache

from simulation.cluster import Cluster, ParameterServers, ShiftedExponential
from simulation.costs import Cost, cost
from simulation.description import load_cluster, load_workload
from simulation.protocols import Protocol
from simulation.workload import Workload

SHELF_SIDE_PIXELS = 224  # of the shelf's nets
SHELF_CATEGORIES = 1000


@cache
def machines(servers: int, bytes_per_s: float, straggler_extra_fraction: float) -> Cluster:
    """The shelf's one-K80 nodes, and parameter servers on nodes of their own, every node on a link of this speed."""
    shelf = load_cluster("cloud-k80")
    assert shelf.parameter_servers is not None
    (level,) = shelf.links
    return replace(
        shelf,
        links=(replace(level, bandwidth_bytes_per_s=bytes_per_s),),
        parameter_servers=ParameterServers(
            servers,
            bytes_per_s,
            latency_s=shelf.parameter_servers.latency_s,
            incast_s_per_doubling=shelf.parameter_servers.incast_s_per_doubling,
        ),
        straggler=ShiftedExponential("shifted_exponential", straggler_extra_fraction),
    )


@cache  # reading a hundred layers takes longer than playing the schedule
def net(side_pixels: int, categories: int) -> Workload:
    """The shelf's ResNet-101 for images of another side and with another number of categories."""
    shelf = load_workload("resnet-101")
    *convolutions, last = shelf.layers
    area = (side_pixels / SHELF_SIDE_PIXELS) ** 2
    wider = categories / SHELF_CATEGORIES
    return replace(
        shelf,
        layers=(
            *(replace(c, forward_flop_per_example=c.forward_flop_per_example * area) for c in convolutions),
            replace(
                last,
                parameters=round(last.parameters * wider),
                forward_flop_per_example=last.forward_flop_per_example * wider,
            ),
        ),
    )


def priced(
    protocol: Protocol,
    *,
    servers: int,
    bytes_per_s: float,
    straggler_extra_fraction: float,
    side_pixels: int,
    categories: int,
    batch_size: int,
) -> Cost:
    """What a step of the paper's net costs under a protocol, each worker computing on ``batch_size`` images."""
    cluster = machines(servers, bytes_per_s, straggler_extra_fraction)
    return cost(cluster, net(side_pixels, categories), protocol, batch_size)
