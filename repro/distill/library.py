"""A library of scikit-learn models to select ensembles from (Caruana et al. 2004), named by family and parameters.

Every family of the paper is there: support vector machines, nearest neighbours, trees bagged, boosted and at random,
boosted stumps, single trees, neural nets, logistic regression, naive Bayes. A recipe's name and a seed decide its
model, so that an ensemble is remembered as names and weights and fitted again where it is needed.
"""

import itertools
import pickle
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError
from repro.training.keys import generator_seed

Inputs = NDArray[np.floating]
Floats = NDArray[np.float64]
Labels = NDArray[np.integer]
CHUNK = 20_000  # cases predicted at a time, which bounds the memory of kernels


@dataclass(frozen=True)
class Member:
    """A fitted model; ``probability(inputs)`` is that of class 1, (cases,), and ``model`` all it rests on."""

    name: str
    model: Any
    predict: Callable[[Any, Inputs], Floats]

    def probability(self, inputs: Inputs) -> Floats:
        parts = [self.predict(self.model, inputs[i : i + CHUNK]) for i in range(0, len(inputs), CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def size_bytes(self) -> int:
        """Bytes of the model as scikit-learn's users store it, pickled; measured in memory, nothing is written."""
        return len(pickle.dumps(self.model, protocol=5))


@dataclass(frozen=True)
class Ensemble:
    """A weighted mean of members' probabilities; weights sum to 1."""

    members: tuple[Member, ...]
    weights: tuple[float, ...]

    def probability(self, inputs: Inputs) -> Floats:
        """Of class 1, (cases,)."""
        pairs = zip(self.members, self.weights, strict=True)
        return np.asarray(sum(weight * member.probability(inputs) for member, weight in pairs))

    @property
    def size_bytes(self) -> int:
        return sum(member.size_bytes for member in self.members)


def _class_one(model: Any, inputs: Inputs) -> Floats:
    return np.asarray(model.predict_proba(inputs)[:, 1], dtype=np.float64)


def _sigmoid_of_kernel(model: Any, inputs: Inputs) -> Floats:
    """A support vector machine's decision by one product of matrices, and Platt's sigmoid over it."""
    machine, sigmoid = model
    return _class_one(sigmoid, _decision(machine, inputs))


def _decision(machine: Any, inputs: Inputs) -> Floats:
    """(cases, 1): the decision of a machine with Gaussian kernel, in float32, which the sigmoid does not notice."""
    x, vectors = inputs.astype(np.float32), machine.support_vectors_.astype(np.float32)
    kernel = x @ (2 * machine.gamma * vectors.T).astype(np.float32)
    kernel -= np.float32(machine.gamma) * np.square(vectors).sum(1)
    kernel -= np.float32(machine.gamma) * np.square(x).sum(1)[:, None]
    np.exp(kernel, out=kernel)
    return np.asarray(kernel @ machine.dual_coef_[0] + machine.intercept_)[:, None]


def _as_they_are(model: Any, inputs: Inputs, labels: Labels, _x: Inputs, _y: Labels) -> tuple[Any, Any]:
    return model.fit(inputs, labels), _class_one


def _with_platts_sigmoid(model: Any, inputs: Inputs, labels: Labels, x: Inputs, y: Labels) -> tuple[Any, Any]:
    """The machine, and a logistic regression of held-out labels on its decisions (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    machine = model.fit(inputs, labels)
    return (machine, LogisticRegression(C=1e3).fit(_decision(machine, x), y)), _sigmoid_of_kernel


@dataclass(frozen=True)
class Recipe:
    """``make(seed)`` gives an unfitted model; ``fit`` says how it learns and becomes a probability."""

    make: Callable[[int], Any]
    fit: Callable[[Any, Inputs, Labels, Inputs, Labels], tuple[Any, Any]] = _as_they_are
    least_cases: int = 2


def _recipes() -> dict[str, Recipe]:
    """All recipes by name. The import takes a second that nobody else need wait for."""
    from sklearn.ensemble import (
        BaggingClassifier,
        ExtraTreesClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    found: dict[str, Recipe] = {"naive_bayes": Recipe(lambda seed: GaussianNB(var_smoothing=1e-3))}
    for k in (1, 5, 15, 50, 150):
        make = partial(_seedless, KNeighborsClassifier, n_neighbors=k, algorithm="brute")
        found[f"neighbours.{k}"] = Recipe(make, least_cases=k)
    for c in (0.01, 0.1, 1, 10):
        found[f"logistic.{c:g}"] = Recipe(partial(_seedless, LogisticRegression, C=c, max_iter=500))
    for leaf in (1, 5, 20, 50):
        found[f"tree.leaf{leaf}"] = Recipe(partial(_seeded, DecisionTreeClassifier, min_samples_leaf=leaf))
    for leaf, (name, forest) in itertools.product(
        (1, 5), (("forest", RandomForestClassifier), ("extra_trees", ExtraTreesClassifier))
    ):
        for share in ("sqrt", 0.3):
            options = {"n_estimators": 100, "min_samples_leaf": leaf, "max_features": share}
            found[f"{name}.{share}.leaf{leaf}"] = Recipe(partial(_seeded, forest, **options))
    found["bagged_trees"] = Recipe(partial(_seeded, BaggingClassifier, n_estimators=50))
    for depth, rounds in ((1, 100), (1, 400), (3, 50), (3, 200), (6, 50), (6, 200)):
        options = {"max_depth": depth, "max_iter": rounds, "early_stopping": False}
        name = f"stumps.{rounds}" if depth == 1 else f"boosted.depth{depth}.{rounds}"
        found[name] = Recipe(partial(_seeded, HistGradientBoostingClassifier, **options))
    for gamma, c in itertools.product((0.01, 0.05, 0.25), (0.3, 3, 30)):
        found[f"svm.{gamma:g}.{c:g}"] = Recipe(partial(_seedless, SVC, gamma=gamma, C=c), _with_platts_sigmoid)
    for units, decay in itertools.product((8, 32, 128), (1e-3, 1.0)):
        options = {"hidden_layer_sizes": (units,), "alpha": decay, "early_stopping": True, "max_iter": 100}
        options |= {"learning_rate_init": 3e-3, "n_iter_no_change": 8}
        found[f"net.{units}.{decay:g}"] = Recipe(partial(_seeded, MLPClassifier, **options))
    return found


def _seeded(kind: Any, seed: int, **options: Any) -> Any:
    return kind(random_state=seed, **options)


def _seedless(kind: Any, seed: int, **options: Any) -> Any:
    return kind(**options)


def names() -> tuple[str, ...]:
    """All recipes' names."""
    return tuple(_recipes())


def fit(
    chosen: Sequence[str], inputs: Inputs, labels: Labels, held_out: Inputs, held_out_labels: Labels, seed: int
) -> list[Member]:
    """The models called ``chosen``, fitted to inputs (cases, features) and labels 0/1 (cases,).

    The held-out cases serve the sigmoid of models that have no probabilities of their own.

    Raises:
        UserError: a name that no recipe has, a recipe that needs more cases, or labels of a single class.
    """
    recipes = _recipes()
    if unknown := [name for name in chosen if name not in recipes]:
        raise UserError(f"library: no recipe is called {unknown[0]!r}; there are {', '.join(recipes)}")
    if lacking := [name for name in chosen if recipes[name].least_cases > len(inputs)]:
        raise UserError(f"library: {lacking[0]} needs more than {len(inputs)} cases; leave it out of the members")
    if len(np.unique(labels)) < 2 or len(np.unique(held_out_labels)) < 2:
        raise UserError("library: the cases are all of one class; draw more of them, or another task")
    members = []
    for name in chosen:
        recipe = recipes[name]
        with warnings.catch_warnings():
            # A net stopped before it has converged is a member like any other.
            warnings.filterwarnings("ignore", "(?s).*(converge|reached)", category=UserWarning)
            unfitted = recipe.make(generator_seed(seed, "library", name) % 2**32)
            members.append(Member(name, *recipe.fit(unfitted, inputs, labels, held_out, held_out_labels)))
    return members


def ensemble(members: Sequence[Member], weights: Mapping[str, float]) -> Ensemble:
    """The members that have a weight, and their weights."""
    kept = [member for member in members if weights.get(member.name)]
    return Ensemble(tuple(kept), tuple(weights[member.name] for member in kept))


def cpu_seconds(predict: Callable[[Inputs], object], inputs: Inputs, repeats: int = 3, least_s: float = 0.2) -> float:
    """CPU seconds of one prediction of all ``inputs``: the fastest of several rounds, each of as many predictions as
    last ``least_s`` or longer, for the clock is too coarse for a small net's."""
    taken = []
    for _ in range(repeats):
        start, count = time.process_time(), 0
        while not count or time.process_time() - start < least_s:
            predict(inputs)
            count += 1
        taken.append((time.process_time() - start) / count)
    return min(taken)
