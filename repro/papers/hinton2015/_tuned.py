"""Learning rates that the program chooses: a grid of short arms on held-out cases, of which others take the best.

An arm that needs a grid records no rate among its settings; the rate it took is among its metrics, and what the
grid was is part of its digest through its needs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from repro.errors import UserError
from repro.experiment import Arm, Context, Need
from repro.files import write_text

_FILE = "tried.json"


def grid(
    name: str,
    rates: Sequence[float],
    settings: Callable[[float], Mapping[str, Any]],
    *,
    seeds: int,
    data: str,
    needs: tuple[Need, ...] = (),
) -> list[Arm]:
    """One arm a rate, called ``<name>.rate<rate>``; several seeds find a rate out that fails now and then."""
    return [Arm(f"{name}.rate{rate:g}", settings(rate), seeds, needs, seeds, data) for rate in rates]


def wanted(arms: Sequence[Arm]) -> tuple[Need, ...]:
    """What an arm needs to take the best rate of a grid."""
    return tuple(Need(arm.name, seed=seed) for arm in arms for seed in range(arm.seeds))


def without_rate(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an arm whose rate comes from a grid."""
    training = {key: value for key, value in settings["training"].items() if key != "learning_rate"}
    return {**settings, "training": training}


def leave(context: Context, settings: Mapping[str, Any], validation_errors: float) -> None:
    """Say, in the folder of a grid's arm, how its rate did."""
    content = {"learning_rate": settings["training"]["learning_rate"], "validation_errors": validation_errors}
    write_text(context.work / _FILE, json.dumps(content))


def with_best_rate(settings: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The settings with a rate: their own, or that with the fewest validation errors of the needed grid, summed over
    its seeds (the lowest of several such rates).

    Raises:
        UserError: no rate, and no grid among the inputs.
    """
    if "learning_rate" in settings["training"]:
        return dict(settings)
    files = [folder / _FILE for folder in context.inputs.values()]
    tried = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    if not tried:
        raise UserError(f"{context.name}: has no learning rate and needs no grid of them")
    errors: dict[float, float] = {}
    for one in tried:
        errors[one["learning_rate"]] = errors.get(one["learning_rate"], 0) + one["validation_errors"]
    best = min(errors, key=lambda rate: (errors[rate], rate))
    return {**settings, "training": {**settings["training"], "learning_rate": best}}


def told(settings: Mapping[str, Any]) -> dict[str, float]:
    """The rate that was taken, for the metrics of a run."""
    return {"learning_rate": settings["training"]["learning_rate"]}
