"""How long one message takes over one link: alpha-beta, or a measured table.

Both models have one method, ``seconds(n_bytes)``; everything above them only calls that.

* ``AlphaBeta``: ``latency + bytes / bandwidth`` (Hockney 1994). One latency and one bandwidth miss measured
  all-reduces by a fifth between 32 kB and 32 MB, so a measurement is preferred wherever there is one.
* ``Table``: measured ``(bytes, seconds)`` pairs, straight lines between them in log-log.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless the condition holds: one line naming key and remedy."""
    if not condition:
        raise ValueError(message)


def require_positive(**values: float) -> None:
    """Refuse values that are not finite numbers above zero, naming the first."""
    for key, value in values.items():
        require(math.isfinite(value) and value > 0, f"{key} must be above zero, not {value:g}")


def require_non_negative(**values: float) -> None:
    """Refuse values that are not finite numbers of zero or more, naming the first."""
    for key, value in values.items():
        require(math.isfinite(value) and value >= 0, f"{key} must be zero or more, not {value:g}")


@dataclass(frozen=True)
class AlphaBeta:
    """``latency_s + bytes / bandwidth_bytes_per_s``; the bandwidth is that of one direction."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by the YAML reader, not a field

    latency_s: float
    bandwidth_bytes_per_s: float

    def __post_init__(self) -> None:
        require_non_negative(latency_s=self.latency_s)
        require_positive(bandwidth_bytes_per_s=self.bandwidth_bytes_per_s)

    def seconds(self, n_bytes: float) -> float:
        """Seconds for one message of ``n_bytes``."""
        return self.latency_s + n_bytes / self.bandwidth_bytes_per_s


@dataclass(frozen=True)
class Table:
    """Measured seconds by message size, interpolated in log-log.

    Below the smallest size the time stays what it was there (latency); above the largest it grows in
    proportion to the bytes (bandwidth): beyond the measurement nothing is promised but those two limits.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    bytes: tuple[float, ...]
    seconds_measured: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.bytes) == len(self.seconds_measured) and len(self.bytes) >= 2,
            f"a table needs as many seconds as bytes and at least two of each, "
            f"not {len(self.bytes)} bytes and {len(self.seconds_measured)} seconds",
        )
        for n_bytes, seconds in zip(self.bytes, self.seconds_measured, strict=True):
            require_positive(bytes=n_bytes, seconds_measured=seconds)
        require(
            all(a < b for a, b in zip(self.bytes, self.bytes[1:], strict=False)),
            "bytes must grow from row to row: sort the table and drop repeated sizes",
        )

    def seconds(self, n_bytes: float) -> float:
        """Seconds for one message of ``n_bytes``."""
        sizes, times = self.bytes, self.seconds_measured
        if n_bytes <= sizes[0]:
            return times[0]
        if n_bytes >= sizes[-1]:
            return times[-1] * n_bytes / sizes[-1]
        right = bisect_right(sizes, n_bytes)
        left = right - 1
        share = math.log(n_bytes / sizes[left]) / math.log(sizes[right] / sizes[left])
        return times[left] * math.pow(times[right] / times[left], share)

    def held_out(self) -> list[tuple[float, float, float]]:
        """Bytes, seconds, and the seconds that the table without every other row interpolates there.

        First without rows 1, 3, ..., then without 2, 4, ...; the two ends always stay: what is checked is
        interpolation.
        """
        found = []
        for first in (1, 2):
            held = range(first, len(self.bytes) - 1, 2)
            kept = [i for i in range(len(self.bytes)) if i not in held]
            table = Table(tuple(self.bytes[i] for i in kept), tuple(self.seconds_measured[i] for i in kept))
            found += [(self.bytes[i], self.seconds_measured[i], table.seconds(self.bytes[i])) for i in held]
        return found


Link = AlphaBeta | Table


def fit_alpha_beta(sizes: tuple[float, ...], times: tuple[float, ...]) -> AlphaBeta:
    """The latency and bandwidth that fit measured times best, each time weighted by its own size.

    Minimises ``sum ((a + b * bytes - t) / t)**2``, so that a microsecond counts as much at 1 kB as a
    millisecond at 1 GB. A latency that comes out below zero is set to zero and the bandwidth refitted.
    """
    Table(sizes, times)  # the same requirements
    s_w = s_x = s_xx = s_y = s_xy = 0.0
    for x, t in zip(sizes, times, strict=True):
        w = 1.0 / t**2
        s_w, s_x, s_xx, s_y, s_xy = s_w + w, s_x + w * x, s_xx + w * x * x, s_y + w * t, s_xy + w * x * t
    determinant = s_w * s_xx - s_x * s_x
    slope = (s_w * s_xy - s_x * s_y) / determinant
    latency = (s_y - slope * s_x) / s_w
    if latency < 0:
        latency, slope = 0.0, s_xy / s_xx
    if slope <= 0:
        raise ValueError("the times do not grow with the bytes: measure larger messages")
    return AlphaBeta(latency, 1.0 / slope)
