"""A learning rate chosen inside a run: all rivals try the same rates, and a score on held-out cases decides."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from repro.training.loop import DivergedError
from repro.training.settings import Training

Made = TypeVar("Made")


def at_the_best_rate(
    settings: Mapping[str, Any], attempt: Callable[[Training], Made], score: Callable[[Made], float]
) -> tuple[Made, float]:
    """Of what ``attempt`` makes of ``settings["training"]`` at each of ``settings["rates"]``, that of the lowest score.

    Its rate comes with it. A rate at which the loss diverges is out; ties go to the rate that stands first.

    Raises:
        DivergedError: the loss diverges at every rate.
    """
    best: tuple[float, Made, float] | None = None
    failure: DivergedError | None = None
    for rate in settings["rates"]:
        try:
            made = attempt(Training(**settings["training"] | {"learning_rate": rate}))
        except DivergedError as error:
            failure = error
            continue
        scored = score(made)
        if best is None or scored < best[0]:
            best = (scored, made, rate)
    if best is None:
        raise failure or ValueError("a learner needs at least one rate")
    return best[1], best[2]
