"""How much of an all-reduce hides behind the backward pass when gradients travel in buckets.

Gradients become ready from the last layer to the first. They are packed into buckets (PyTorch DDP: 25 MB,
the first 1 MB); a bucket leaves when its last gradient is ready and the one before it has arrived. Li et al.
2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section 3.2.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

DDP_BUCKET_BYTES = 25 * 2**20
DDP_FIRST_BUCKET_BYTES = 2**20


@dataclass(frozen=True)
class Bucket:
    """One message of gradients: its size and when it is ready, starts and ends, from the backward's start."""

    n_bytes: float
    ready_s: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Overlap:
    """What overlapping gives: all communication, and the part that stays after the backward pass."""

    buckets: tuple[Bucket, ...]
    communication_s: float
    exposed_s: float


def fill_buckets(
    gradient_bytes: Sequence[float],
    backward_s: Sequence[float],
    bucket_bytes: float,
    first_bucket_bytes: float | None = None,
) -> list[tuple[float, float]]:
    """Pack layers, given in forward order, from the last to the first: ``(bytes, ready_s)`` of every bucket.

    A bucket closes as soon as it holds its size, so one large layer makes one large bucket, as in DDP.
    """
    buckets: list[tuple[float, float]] = []
    filled = elapsed = 0.0
    limit = bucket_bytes if first_bucket_bytes is None else first_bucket_bytes
    for n_bytes, seconds in zip(reversed(gradient_bytes), reversed(backward_s), strict=True):
        elapsed += seconds
        filled += n_bytes
        if filled >= limit and filled > 0:
            buckets.append((filled, elapsed))
            filled, limit = 0.0, bucket_bytes
    if filled > 0:
        buckets.append((filled, elapsed))
    return buckets


def overlap_backward(
    gradient_bytes: Sequence[float],
    backward_s: Sequence[float],
    all_reduce_s: Callable[[float], float],
    bucket_bytes: float = DDP_BUCKET_BYTES,
    first_bucket_bytes: float | None = DDP_FIRST_BUCKET_BYTES,
) -> Overlap:
    """Send every bucket as early as it can go; one all-reduce at a time.

    Args:
        gradient_bytes: bytes of each layer's gradients, in forward order.
        backward_s: seconds of each layer's backward pass, in forward order.
        all_reduce_s: seconds of one all-reduce of so many bytes.
        bucket_bytes: a bucket's size; ``inf`` sends everything at the end.
        first_bucket_bytes: the first bucket's size, smaller so that the network starts early.
    """
    if len(gradient_bytes) != len(backward_s):
        raise ValueError(f"{len(gradient_bytes)} gradients but {len(backward_s)} backward times")
    free = communication = 0.0
    sent = []
    for n_bytes, ready in fill_buckets(gradient_bytes, backward_s, bucket_bytes, first_bucket_bytes):
        start = max(free, ready)
        duration = all_reduce_s(n_bytes)
        free = start + duration
        communication += duration
        sent.append(Bucket(n_bytes, ready, start, free))
    return Overlap(tuple(sent), communication, max(0.0, free - sum(backward_s)) if sent else 0.0)
