"""What claims are made of: one number for each thing that was drawn anew."""

import math
from collections.abc import Mapping

BySeed = Mapping[int, float]


def one_per_teacher(values: BySeed, teachers: int) -> dict[int, float]:
    """Means over the students of each of ``teachers`` teachers, by teacher; student s learns from teacher s mod
    ``teachers``.

    Students of one teacher share its mistakes: an interval over students would speak of that teacher alone.

    Raises:
        ValueError: no teachers.
    """
    if teachers < 1:
        raise ValueError(f"students need at least one teacher, not {teachers}")
    of: dict[int, list[float]] = {}
    for seed, value in sorted(values.items()):
        of.setdefault(seed % teachers, []).append(value)
    return {teacher: math.fsum(found) / len(found) for teacher, found in of.items()}


def minus(a: BySeed, b: BySeed) -> dict[int, float]:
    """Differences a - b over the seeds that both have, by seed."""
    return {seed: a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())}


def over(a: BySeed, b: BySeed) -> dict[int, float]:
    """Ratios a / b over the seeds that both have, by seed."""
    return {seed: a[seed] / b[seed] for seed in sorted(a.keys() & b.keys())}


def least_in_sum(values: Mapping[float, BySeed], seeds: int) -> float | None:
    """The setting with the least sum over its seeds, the smaller one if two tie; None before all have so many seeds."""
    if any(len(by_seed) < seeds for by_seed in values.values()):
        return None
    return min(values, key=lambda setting: (math.fsum(values[setting].values()), setting), default=None)


def beyond_share(kept: BySeed, whole: BySeed, share: float) -> tuple[float, ...]:
    """``kept - share * whole`` by seed: above zero where more than ``share`` of a gain is kept.

    The ratio says the same of a single seed, but its mean over seeds is ruled by the seed with the least to keep a
    share of (``shares``), and where there is nothing to keep it is no number.
    """
    return tuple(kept[seed] - share * whole[seed] for seed in sorted(kept.keys() & whole.keys()))


def shares(kept: BySeed, whole: BySeed) -> tuple[float, ...]:
    """The mean of ``kept`` over the mean of ``whole``, as jackknife pseudo-values, one a seed both have.

    Their mean is the ratio of the means, less its first-order bias, and their t-interval its own (Tukey 1958): a seed
    with next to nothing to keep a share of does not rule them, as it would a mean of ratios. No numbers where
    leaving out one seed leaves no gain. A single seed's is its ratio.
    """
    seeds = sorted(kept.keys() & whole.keys())
    n, all_kept, all_whole = len(seeds), math.fsum(kept[s] for s in seeds), math.fsum(whole[s] for s in seeds)
    left = [(all_kept - kept[s], all_whole - whole[s]) for s in seeds] if n > 1 else []
    if all_whole <= 0 or any(gain <= 0 for _, gain in left):
        return (math.nan,) * n
    return tuple(n * all_kept / all_whole - (n - 1) * k / w for k, w in left) or (all_kept / all_whole,)
