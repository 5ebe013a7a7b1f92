"""The mean learning curves of a linear layer under three rules, exactly.

A student W (M outputs, N inputs) learns a noiseless linear teacher W* from one fresh case x ~ N(0, I_N) a step. With
e = |W - W*|^2 / 2 and loss |(W - W*) x|^2 / 2, every rule maps the mean of e by

    e <- (1 - 2 h + h^2 k) e + h^2 f,

h the step, k the rule's noise factor and f what a finite perturbation adds:

=========  ==================  ===================================
rule       k                   8 f / s^2
=========  ==================  ===================================
gradient   N + 2               0
node       (M + 2)(N + 2)      N M (M + 2)(M + 4)
weight     (M N + 2)(N + 2)    M (M + 2) N (N + 2)(M N + 4)
=========  ==================  ===================================

s is the standard deviation of the Gaussian perturbation, of all outputs (node) or of all weights (weight), whose effect
is a one-sided finite difference; s = 0 is its limit, the exact directional derivative of forward mode. The factors come
from the fourth and sixth moments of Gaussians: E|x|^2 |Dx|^2 = (N + 2)|D|^2, E(u.v)^2 |u|^2 = (n + 2)|v|^2 for u
~ N(0, I_n), and so on. Werfel, Xie, Seung 2005 give the curves; to leading order k is N, M N and M N^2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAMES = {"gradient": "gradient descent", "node": "node perturbation", "weight": "weight perturbation"}
RULES = tuple(NAMES)

_NOISE_FACTORS: Mapping[str, Callable[[int, int], int]] = {
    "gradient": lambda m, n: n + 2,
    "node": lambda m, n: (m + 2) * (n + 2),
    "weight": lambda m, n: (m * n + 2) * (n + 2),
}
_FLOORS: Mapping[str, Callable[[int, int], int]] = {
    "gradient": lambda m, n: 0,
    "node": lambda m, n: n * m * (m + 2) * (m + 4),
    "weight": lambda m, n: m * (m + 2) * n * (n + 2) * (m * n + 4),
}


@dataclass(frozen=True)
class Map:
    """The map of one rule in a layer of ``outputs`` x ``inputs``, at a perturbation of s.d. ``noise_sd``."""

    rule: str
    outputs: int
    inputs: int
    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"there is no rule {self.rule!r}; choose one of {', '.join(RULES)}")
        if self.outputs < 1 or self.inputs < 1 or self.noise_sd < 0:
            raise ValueError(f"a layer has outputs and inputs, and noise of an s.d. of 0 or more: {self}")

    @property
    def noise_factor(self) -> int:
        """k: the mean squared length of the update over that of the mean update, for errors of all directions."""
        return _NOISE_FACTORS[self.rule](self.outputs, self.inputs)

    @property
    def best_step(self) -> float:
        """The step of the fastest decay at s = 0: 1/k. It is half the largest one at which errors do not grow."""
        return 1 / self.noise_factor

    def contraction(self, step: float) -> float:
        """By what the mean error is multiplied in a step, less the floor's share."""
        return 1 - 2 * step + step**2 * self.noise_factor

    def added(self, step: float) -> float:
        """What a step adds to the mean error because the perturbation is finite: h^2 f."""
        return step**2 * self.noise_sd**2 * _FLOORS[self.rule](self.outputs, self.inputs) / 8

    def error(self, start: float, step: float, steps: int) -> float:
        """Mean error after ``steps`` steps of size ``step`` from a mean error of ``start``."""
        rate = self.contraction(step)
        # The geometric sum, taken term by term where its closed form divides by zero.
        total = (1 - rate**steps) / (1 - rate) if rate != 1 else float(steps)
        return rate**steps * start + self.added(step) * total

    def floor(self, step: float) -> float:
        """The mean error that learning ends at.

        Raises:
            ValueError: at this step the error grows for ever.
        """
        if not 0 <= self.contraction(step) < 1:
            raise ValueError(f"a step of {step:g} is not below {2 * self.best_step:g}: the mean error grows")
        return self.added(step) / (1 - self.contraction(step))
