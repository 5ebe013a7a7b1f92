"""Printed results that the simulator does not predict, each with the reason.

The reasons stand in order: the first that fits a row is its own.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from simulation.published_rows import Row, published_rows


@dataclass(frozen=True)
class Reason:
    """Why rows that ``fits`` are not predicted."""

    words: str
    fits: Callable[[Row], bool]


def _of(paper: str, *quantities: str) -> Callable[[Row], bool]:
    """Rows of papers that begin so, and of quantities that begin so where any are given."""
    return lambda r: r.paper.startswith(paper) and (not quantities or r.quantity.startswith(quantities))


REASONS = (
    Reason("recollection: shown, never judged", lambda r: r.confidence == "unverified"),
    Reason("the input pipeline is not modelled", lambda r: r.data == "real"),
    Reason("the base that its larger runs are measured against", lambda r: r.data == "synthetic" and r.workers == 1),
    Reason(
        "time to accuracy mixes speed with the number of epochs",
        lambda r: r.quantity.startswith(("time to train", "time to 75.9%", "training time")),
    ),
    Reason(
        "a property of learning, not of time",
        lambda r: r.quantity.startswith(("epochs of", "reduction in steps", "speed-up in fitting", "critical batch")),
    ),
    Reason("made from the same measurement as its efficiency", _of("Goyal", "time per", "increase in time")),
    Reason("an input: the workload's measured step is made of it", _of("Goyal", "backprop time")),
    Reason(
        "reported because the network was badly configured",
        lambda r: _of("nccl-tests")(r) and r.where == "GitHub thread 527",
    ),
    Reason("an end of its table, from which the points between are predicted", _of("nccl-tests", "time")),
    Reason("an input: the shelf's NVLink runs at it", _of("NVIDIA maintainer", "peak busbw ring")),
    Reason("reduction inside the switch is not modelled", _of("NVIDIA maintainer")),
    Reason("one run without its one-GPU throughput", _of("Horovod", "throughput")),
    Reason("one number for two models, or a speed-up without its base", _of("Sergeev")),
    Reason("the step time of a P40 by batch is not public", lambda r: "P40" in r.system),
    Reason("one number for a range of models", _of("Zhang")),
    Reason("the straggler distribution behind it is printed as a picture alone", _of("Chen")),
    Reason("the machines and their network are not described", lambda r: _of("Mikolov")(r) or _of("Linden Li")(r)),
    Reason("a federated clock: no traces of its devices are on the shelf", _of("FedScale")),
    Reason("the noise scale is not measured here", lambda r: "noise scale" in r.quantity),
    Reason("counts measurements: nothing to predict", _of("Shallue")),
)


def unpredicted(predicted: Collection[str]) -> dict[str, str]:
    """Reason by id of every printed result that is not among the predicted ids.

    Raises:
        LookupError: a row that nothing says a reason for.
    """
    found = {}
    for row in published_rows().values():
        if row.role != "result" or row.id in predicted:
            continue
        reason = next((reason.words for reason in REASONS if reason.fits(row)), None)
        if reason is None:
            raise LookupError(f"{row.id} ({row.paper}, {row.quantity}): neither predicted nor a reason why not")
        found[row.id] = reason
    return found
