"""The ways of training that are compared, as the simulator's protocols of so many workers.

The leading underscore says that it is no experiment.
"""

from collections.abc import Callable, Mapping

from simulation.protocols import AsyncSGD, Protocol, SyncSGD

WAYS: Mapping[str, Callable[[int], Protocol]] = {
    "async": AsyncSGD,
    "sync": lambda workers: SyncSGD(workers, "parameter_servers"),
    "one": lambda _: AsyncSGD(1),
}
