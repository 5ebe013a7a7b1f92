"""Compute-time distributions, each given by one inverse survival function.

`inverse_survival(p)` is the time exceeded with probability p: it falls as p rises, so the slowest of many
workers is the one with the smallest draw, and one logarithm per step suffices. All times are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, isfinite
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from simulation.draws import Floats, Ints
from simulation.errors import UserError

LONGEST_NS = 2.0**55
"""Draws are capped here (417 days), so that sums of a heavy tail stay inside 64 bits."""


@dataclass(frozen=True)
class Constant:
    """Always the same time."""

    value_ns: float
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _number("constant.value_ns", self.value_ns, 0.0)

    @property
    def mean_ns(self) -> float:
        """Expected time."""
        return self.value_ns

    def inverse_survival(self, survival: Floats) -> Floats:
        """Time exceeded with the given probability."""
        return np.full(np.shape(survival), float(self.value_ns))

    def survival(self, time_ns: Floats) -> Floats:
        """Probability of a longer time."""
        return (np.asarray(time_ns) < self.value_ns).astype(np.float64)

    def scaled(self, factor: float) -> Constant:
        """The distribution of factor times this time."""
        return Constant(self.value_ns * factor)


@dataclass(frozen=True)
class ShiftedExponential:
    """`shift_ns` plus an exponential of mean `tail_mean_ns` (Lee et al. 2018, speeding up with codes)."""

    shift_ns: float
    tail_mean_ns: float
    kind: ClassVar[str] = "shifted_exponential"

    def __post_init__(self) -> None:
        _number("shifted_exponential.shift_ns", self.shift_ns, 0.0)
        _number("shifted_exponential.tail_mean_ns", self.tail_mean_ns, 0.0, strictly=True)

    @property
    def mean_ns(self) -> float:
        """Expected time."""
        return self.shift_ns + self.tail_mean_ns

    def inverse_survival(self, survival: Floats) -> Floats:
        """Time exceeded with the given probability."""
        time_ns: Floats = np.log(survival)
        time_ns *= -self.tail_mean_ns
        time_ns += self.shift_ns
        return time_ns

    def survival(self, time_ns: Floats) -> Floats:
        """Probability of a longer time."""
        return np.exp(-np.maximum(np.asarray(time_ns) - self.shift_ns, 0.0) / self.tail_mean_ns)

    def scaled(self, factor: float) -> ShiftedExponential:
        """The distribution of factor times this time."""
        return ShiftedExponential(self.shift_ns * factor, self.tail_mean_ns * factor)


@dataclass(frozen=True)
class LogNormal:
    """exp of a normal: half of all times exceed `median_ns`; `sigma` is the s.d. of the logarithm."""

    median_ns: float
    sigma: float
    kind: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        _number("lognormal.median_ns", self.median_ns, 0.0, strictly=True)
        _number("lognormal.sigma", self.sigma, 0.0, strictly=True)

    @property
    def mean_ns(self) -> float:
        """Expected time."""
        return self.median_ns * exp(self.sigma**2 / 2)

    def inverse_survival(self, survival: Floats) -> Floats:
        """Time exceeded with the given probability."""
        result: Floats = self.median_ns * np.exp(-self.sigma * ndtri(survival))
        return result

    def survival(self, time_ns: Floats) -> Floats:
        """Probability of a longer time."""
        with np.errstate(divide="ignore"):
            log_ratio = np.log(np.maximum(np.asarray(time_ns, dtype=np.float64), 0.0) / self.median_ns)
        result: Floats = ndtr(-log_ratio / self.sigma)
        return result

    def scaled(self, factor: float) -> LogNormal:
        """The distribution of factor times this time."""
        return LogNormal(self.median_ns * factor, self.sigma)


@dataclass(frozen=True)
class Pareto:
    """At least `scale_ns`; survival (scale/t)^shape. The shape must exceed 1, else no mean exists."""

    scale_ns: float
    shape: float
    kind: ClassVar[str] = "pareto"

    def __post_init__(self) -> None:
        _number("pareto.scale_ns", self.scale_ns, 0.0, strictly=True)
        _number("pareto.shape", self.shape, 1.0, strictly=True)

    @property
    def mean_ns(self) -> float:
        """Expected time."""
        return self.scale_ns * self.shape / (self.shape - 1.0)

    def inverse_survival(self, survival: Floats) -> Floats:
        """Time exceeded with the given probability."""
        result: Floats = self.scale_ns * np.exp(np.log(survival) / -self.shape)
        return result

    def survival(self, time_ns: Floats) -> Floats:
        """Probability of a longer time."""
        result: Floats = (self.scale_ns / np.maximum(np.asarray(time_ns), self.scale_ns)) ** self.shape
        return result

    def scaled(self, factor: float) -> Pareto:
        """The distribution of factor times this time."""
        return Pareto(self.scale_ns * factor, self.shape)


@dataclass(frozen=True)
class Empirical:
    """A measured sample: every observed time is equally likely."""

    times_ns: tuple[float, ...] = field(repr=False)
    kind: ClassVar[str] = "empirical"

    def __post_init__(self) -> None:
        if not self.times_ns:
            raise UserError("empirical.times_ns: the sample is empty; give at least one time")
        for value in self.times_ns:
            _number("empirical.times_ns", value, 0.0)
        object.__setattr__(self, "times_ns", tuple(sorted(map(float, self.times_ns))))
        object.__setattr__(self, "_sorted", np.asarray(self.times_ns, dtype=np.float64))

    @classmethod
    def of(cls, times_ns: Sequence[float]) -> Empirical:
        """From any sequence of times."""
        return cls(tuple(float(value) for value in times_ns))

    @classmethod
    def from_file(cls, path: Path, unit_ns: float = 1.0) -> Empirical:
        """From a text file with one time per line, in units of `unit_ns` nanoseconds; # begins a comment.

        Raises:
            UserError: the file is missing, empty, or holds something that is not a number.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such file; it should hold one time per line")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); it should hold one time per line") from None
        values = []
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                value = float(text) * unit_ns
            except ValueError:
                raise UserError(f"{path}:{number}: {text!r} is not a number; one time per line") from None
            if not (isfinite(value) and value >= 0):
                raise UserError(f"{path}:{number}: {text} is not a time of zero or more; correct it")
            values.append(value)
        if not values:
            raise UserError(f"{path}: holds no times; one per line")
        return cls(tuple(values))

    @property
    def mean_ns(self) -> float:
        """Expected time."""
        return float(np.mean(self._sample))

    @property
    def _sample(self) -> Floats:
        sample: Floats = self.__dict__["_sorted"]
        return sample

    def inverse_survival(self, survival: Floats) -> Floats:
        """Time exceeded with the given probability."""
        sample = self._sample
        index = np.floor((1.0 - np.asarray(survival)) * len(sample)).astype(np.int64)
        result: Floats = sample[np.minimum(index, len(sample) - 1)]
        return result

    def survival(self, time_ns: Floats) -> Floats:
        """Probability of a longer time."""
        return 1.0 - np.searchsorted(self._sample, time_ns, side="right") / len(self._sample)

    def scaled(self, factor: float) -> Empirical:
        """The distribution of factor times this time."""
        return Empirical(tuple(value * factor for value in self.times_ns))


Distribution = Constant | ShiftedExponential | LogNormal | Pareto | Empirical


def whole_ns(time_ns: Floats) -> Ints:
    """Rounded to whole nanoseconds and capped at `LONGEST_NS`: sums are then exact, and ties are ties."""
    rounded: Floats = np.minimum(time_ns, LONGEST_NS)
    np.rint(rounded, out=rounded)
    return rounded.astype(np.int64)


def _number(name: str, value: object, least: float, strictly: bool = False) -> None:
    good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not good or not isfinite(value) or value < least or (strictly and value == least):  # type: ignore[arg-type, operator]
        raise UserError(f"{name}: {value!r} must be a number {'>' if strictly else '>='} {least:g}")
