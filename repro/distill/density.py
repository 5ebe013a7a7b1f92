"""MUNGE's rivals: cases drawn from a density of the training cases (Bucila et al. 2006, section 2).

RANDOM draws every attribute from its own marginal. NBE (naive Bayes estimation, Lowd and Domingos 2005) draws from
a mixture in whose components the attributes are independent, fitted by EM.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.data.tables import Columns, Table, demand_unit_range
from repro.errors import UserError
from repro.training.keys import generator_seed

Floats = NDArray[np.float64]
LEAST_VARIANCE = 1e-4  # added to each variance of attributes in [0, 1], so that a constant one has a density
PSEUDO_COUNT = 1.0  # of every category in every component


def random_cases(table: Table, cases: int, seed: int) -> Table:
    """``cases`` cases whose attributes are drawn apart, each from the values that ``table`` has there.

    Raises:
        UserError: an empty table, or fewer than one case asked for.
    """
    _demand(table, cases)
    rng = np.random.default_rng(generator_seed(seed, "random"))
    continuous = [rng.choice(column, cases) for column in table.continuous.T]
    nominal = [rng.choice(column, cases) for column in table.nominal.T]
    return Table(
        table.columns,
        np.array(continuous, dtype=np.float64).reshape(-1, cases).T,
        np.array(nominal, dtype=np.int64).reshape(-1, cases).T,
    )


@dataclass(frozen=True)
class NaiveBayesMixture:
    """P(x) = sum_k w_k prod_a P(x_a | k): normal for continuous attributes, a table of odds for nominal ones.

    ``log_weights`` (K,), ``means`` and ``variances`` (K, c), ``log_tables``: per nominal attribute (K, categories).
    """

    columns: Columns
    log_weights: Floats
    means: Floats
    variances: Floats
    log_tables: tuple[Floats, ...]

    def log_joint(self, table: Table) -> Floats:
        """log(w_k P(x | k)) of every case and component: (cases, K)."""
        x, precision = table.continuous, 1 / self.variances
        # The exponent (x - m)^2 / v as three products, in float64.
        squares = np.square(x) @ precision.T - 2 * x @ (self.means * precision).T + (self.means**2 * precision).sum(1)
        joint: Floats = self.log_weights - 0.5 * (squares + np.log(2 * np.pi * self.variances).sum(1))
        for codes, log_table in zip(table.nominal.T, self.log_tables, strict=True):
            joint += log_table.T[codes]
        return joint

    def log_density(self, table: Table) -> Floats:
        """log P(x) of every case: (cases,)."""
        joint = self.log_joint(table)
        return np.asarray(np.logaddexp.reduce(joint, axis=1))

    def sample(self, cases: int, seed: int) -> Table:
        """``cases`` cases drawn from the mixture."""
        rng = np.random.default_rng(generator_seed(seed, "nbe", "sample"))
        component = rng.choice(len(self.log_weights), cases, p=np.exp(self.log_weights))
        noise = rng.standard_normal((cases, self.means.shape[1]))
        nominal = np.empty((cases, len(self.log_tables)), dtype=np.int64)
        for number, log_table in enumerate(self.log_tables):
            # Inverse of the cumulative odds; the last category takes what rounding leaves.
            edges = np.exp(log_table).cumsum(1)[:, :-1]
            nominal[:, number] = (rng.random(cases)[:, None] > edges[component]).sum(1)
        return Table(self.columns, self.means[component] + np.sqrt(self.variances[component]) * noise, nominal)


def naive_bayes(table: Table, responsibilities: Floats) -> NaiveBayesMixture:
    """The mixture that ``responsibilities`` (cases, K) make of a table: EM's maximisation step."""
    mass = responsibilities.sum(0) + 10 * np.finfo(np.float64).eps
    means = responsibilities.T @ table.continuous / mass[:, None]
    variances = responsibilities.T @ np.square(table.continuous) / mass[:, None] - means**2
    tables = []
    for codes, count in zip(table.nominal.T, table.columns.categories, strict=True):
        counted = responsibilities.T @ (codes[:, None] == np.arange(count)).astype(np.float64) + PSEUDO_COUNT
        tables.append(np.log(counted / counted.sum(1, keepdims=True)))
    variances = np.maximum(variances, 0) + LEAST_VARIANCE
    return NaiveBayesMixture(table.columns, np.log(mass / mass.sum()), means, variances, tuple(tables))


def step(mixture: NaiveBayesMixture, table: Table) -> NaiveBayesMixture:
    """One round of EM."""
    joint = mixture.log_joint(table)
    return naive_bayes(table, np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None]))


def fit(table: Table, components: int, *, rounds: int, seed: int) -> NaiveBayesMixture:
    """A mixture of ``components`` after ``rounds`` of EM, begun at random training cases as centres.

    Raises:
        UserError: an empty table, components not in 1..cases, or a continuous attribute outside [0, 1], for which
            ``LEAST_VARIANCE`` is meant.
    """
    _demand(table, 1)
    demand_unit_range(table, "naive Bayes")
    if not 1 <= components <= len(table):
        raise UserError(f"naive Bayes: {components} components for {len(table)} cases; choose 1 to {len(table)}")
    rng = np.random.default_rng(generator_seed(seed, "nbe", "centres"))
    centres = table.take(rng.choice(len(table), components, replace=False).astype(np.int64))
    # A component begins as its centre, spread as widely as all cases are.
    whole = naive_bayes(table, np.ones((len(table), 1)))
    tables = []
    for codes, log_table in zip(centres.nominal.T, whole.log_tables, strict=True):
        own = (codes[:, None] == np.arange(log_table.shape[1])).astype(np.float64)
        tables.append(np.log((own + np.exp(log_table)) / 2))
    mixture = NaiveBayesMixture(
        table.columns,
        np.full(components, -np.log(components)),
        centres.continuous,
        np.repeat(whole.variances, components, axis=0),
        tuple(tables),
    )
    for _ in range(rounds):
        mixture = step(mixture, table)
    return mixture


def estimate(table: Table, held_out: Table, *, most_components: int, rounds: int, seed: int) -> NaiveBayesMixture:
    """NBE: components doubled from one, as long as the held-out cases become likelier, up to ``most_components``."""
    best = fit(table, 1, rounds=rounds, seed=seed)
    reached = best.log_density(held_out).mean()
    components = 2
    while components <= min(most_components, len(table)):
        candidate = fit(table, components, rounds=rounds, seed=seed)
        likelihood = candidate.log_density(held_out).mean()
        if likelihood <= reached:
            break
        best, reached, components = candidate, likelihood, 2 * components
    return best


def _demand(table: Table, cases: int) -> None:
    if not len(table) or cases < 1:
        raise UserError(f"density: {cases} cases from a table of {len(table)}; both must be at least 1")
