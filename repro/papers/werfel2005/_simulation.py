"""The three rules run as they stand, many replicates at once.

Only the weight error D = W - W* (replicates, M, N) is kept: with a linear teacher the loss of a case x is |D x|^2 / 2.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from repro.papers.werfel2005._maps import RULES

Array = NDArray[np.float64]


def simulate(
    rule: str,
    outputs: int,
    inputs: int,
    *,
    step: float,
    noise_sd: float,
    observe: Sequence[int],
    replicates: int,
    generator: np.random.Generator,
) -> Array:
    """Errors |D|^2 / 2 of every replicate after each number of steps in ``observe``: (len(observe), replicates).

    Every replicate begins with its own D of independent N(0, 1) entries, scaled to an error of exactly 1. ``observe``
    must rise; ``noise_sd`` zero stands for exact directional derivatives.
    """
    if list(observe) != sorted(set(observe)) or not observe or observe[0] < 0:
        raise ValueError("the steps to observe must rise from 0 or more")
    estimate = ESTIMATES[rule]
    deviation = generator.standard_normal((replicates, outputs, inputs))
    deviation *= np.sqrt(1 / error(deviation))[:, None, None]
    found = np.empty((len(observe), replicates))
    done = 0
    for row, until in enumerate(observe):
        for _ in range(until - done):
            x = generator.standard_normal((replicates, inputs))
            deviation -= step * estimate(deviation, x, noise_sd, generator)
        done = until
        found[row] = error(deviation)
    return found


def error(deviation: Array) -> Array:
    """|D|^2 / 2 of every replicate."""
    squares: Array = np.einsum("rij,rij->r", deviation, deviation)
    return 0.5 * squares


def gradient(deviation: Array, x: Array, noise_sd: float, generator: np.random.Generator) -> Array:
    """D x x^T, the gradient of one case; nothing is perturbed."""
    return _output_errors(deviation, x)[:, :, None] * x[:, None, :]


def node(deviation: Array, x: Array, noise_sd: float, generator: np.random.Generator) -> Array:
    """All outputs perturbed at once by one vector; each weight moves with its own output's noise and its input."""
    output_error = _output_errors(deviation, x)
    noise = generator.standard_normal(output_error.shape)
    scaled = noise * _slope(output_error, noise, noise_sd)[:, None]
    return scaled[:, :, None] * x[:, None, :]


def weight(deviation: Array, x: Array, noise_sd: float, generator: np.random.Generator) -> Array:
    """All weights perturbed at once by one matrix."""
    noise = generator.standard_normal(deviation.shape)
    slope = _slope(_output_errors(deviation, x), _output_errors(noise, x), noise_sd)
    noise *= slope[:, None, None]
    return noise


ESTIMATES: Mapping[str, Callable[[Array, Array, float, np.random.Generator], Array]] = dict(
    zip(RULES, (gradient, node, weight), strict=True)
)


def _output_errors(matrix: Array, x: Array) -> Array:
    product: Array = np.matmul(matrix, x[:, :, None])
    return product[:, :, 0]


def _slope(output_error: Array, change: Array, noise_sd: float) -> Array:
    """(loss perturbed - loss) / s for outputs moved by s times ``change``; its limit where s is zero."""
    if not noise_sd:
        return _dot(output_error, change)
    moved = output_error + noise_sd * change
    return (_dot(moved, moved) - _dot(output_error, output_error)) / (2 * noise_sd)


def _dot(a: Array, b: Array) -> Array:
    product: Array = np.einsum("ri,ri->r", a, b)
    return product
