"""Steps to a target: what the paper's figures are read for. Needs no torch."""

from collections.abc import Sequence
from itertools import pairwise

from repro.results import Results

NEVER = float("inf")


def steps_to(curve: Sequence[tuple[int, float]], target: float) -> float:
    """The step at which a curve of (step, value) first falls to ``target``, linear between evaluations.

    ``NEVER`` where it does not; the first evaluation where that is below already.
    """
    for (before, high), (after, low) in pairwise(curve):
        if high <= target:
            return float(before)
        if low <= target:
            return before + (after - before) * (high - target) / (high - low)
    return float(curve[-1][0]) if curve and curve[-1][1] <= target else NEVER


def elapsed_s(step: float, step_s: float, burn_in_step_s: float, burn_in_steps: int) -> float:
    """Seconds until ``step`` where the first ``burn_in_steps``, without teachers, take ``burn_in_step_s`` each."""
    untaught = min(step, burn_in_steps)
    return untaught * burn_in_step_s + (step - untaught) * step_s


def curve_of(results: Results, arm: str, seed: int, split: str, metric: str) -> list[tuple[int, float]]:
    """Evaluations of one run by step."""
    wanted = (arm, seed, split, metric)
    rows = [r for r in results.curves if (r["arm"], r["seed"], r["split"], r["metric"]) == wanted]
    return sorted((row["step"], row["value"]) for row in rows)


def value_at(curve: Sequence[tuple[int, float]], step: float) -> float:
    """What a curve of (step, value) has at ``step``, linear between evaluations; its first or last value outside."""
    for (before, first), (after, second) in pairwise(curve):
        if step <= before:
            return first
        if step < after:
            return first + (second - first) * (step - before) / (after - before)
    return curve[-1][1]


def times_fewer(results: Results, arm: str, baseline: str, split: str, metric: str, steps: int) -> tuple[float, ...]:
    """How many times fewer steps ``arm`` needs to what ``baseline`` reaches after ``steps`` steps, seed by seed.

    ``steps`` over the steps until ``arm`` has the baseline's value there; 0 where ``arm`` never has.
    """
    found = []
    seeds = results.values(arm, metric).keys() & results.values(baseline, metric).keys()
    for seed in sorted(seeds):
        target = value_at(curve_of(results, baseline, seed, split, metric), steps)
        needed = steps_to(curve_of(results, arm, seed, split, metric), target)
        found.append(steps / needed if needed < NEVER else 0.0)
    return tuple(found)
