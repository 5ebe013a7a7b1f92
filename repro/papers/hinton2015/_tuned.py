"""Settings that the program chooses: a grid of short arms on held-out cases, of which others take the best.

Chosen are a learning rate and what a grid varies with it: the temperature of soft targets, the smoothing of labels, the
number of epochs. An arm that needs a grid records none of them among its settings; what it took is among its metrics,
and what the grid was is part of its digest through its needs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from repro.errors import UserError
from repro.experiment import Arm, Context, Need
from repro.files import write_text
from repro.training.settings import Training

_FILE = "tried.json"
_ERRORS = "validation_errors"


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
    """What an arm needs to take the best of a grid, or of several at once."""
    return tuple(Need(arm.name, seed=seed) for arm in arms for seed in range(arm.seeds))


def without_rate(settings: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Settings of an arm whose rate, and ``others`` of its settings or of its training's, come from a grid."""
    training = {key: value for key, value in settings["training"].items() if key not in ("learning_rate", *others)}
    return {key: value for key, value in settings.items() if key not in others} | {"training": training}


def leave(context: Context, settings: Mapping[str, Any], validation_errors: float, *others: str) -> None:
    """Say, in the folder of a grid's arm, how its rate did, with the ``others`` of its settings that vary."""
    write_text(context.work / _FILE, json.dumps(told(settings, *others) | {_ERRORS: validation_errors}))


def with_best(settings: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The settings with a rate: their own, or all that was tried with the fewest validation errors in the needed grid,
    summed over its seeds (the lowest rate of several, then the lowest of what was tried with it).

    Raises:
        UserError: no rate, and no grid among the inputs.
    """
    if "learning_rate" in settings["training"]:
        return dict(settings)
    files = [folder / _FILE for folder in context.inputs.values()]
    tried = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    if not tried:
        raise UserError(f"{context.name}: has no learning rate and needs no grid of them")
    errors: dict[tuple[tuple[str, float], ...], float] = {}
    for one in tried:
        these = tuple((name, value) for name, value in one.items() if name != _ERRORS)
        errors[these] = errors.get(these, 0) + one[_ERRORS]
    fewest = min(errors, key=lambda these: (errors[these], these))
    of_training = {name: value for name, value in fewest if name in Training.model_fields}
    others = {name: value for name, value in fewest if name not in of_training}
    return {**settings, "training": {**settings["training"], **of_training}, **others}


def told(settings: Mapping[str, Any], *others: str) -> dict[str, float]:
    """The rate that was taken, and ``others`` of the settings or of the training's, for the metrics of a run."""
    whole = {**settings["training"], **settings}
    return {name: whole[name] for name in ("learning_rate", *others)}
