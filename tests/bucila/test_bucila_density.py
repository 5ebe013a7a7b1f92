"""RANDOM and NBE against marginals, scikit-learn's mixture and a plain loop."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from repro.data.tables import Columns, Table
from repro.distill import density
from repro.errors import UserError


def clusters(cases: int, seed: int) -> Table:
    """Two clusters in two continuous attributes and a nominal one of three categories."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 2, cases)
    x = np.array([[0.2, 0.3], [0.8, 0.6]])[which] + rng.normal(0, [0.05, 0.1], (cases, 2))
    codes = np.where(rng.random(cases) < 0.9, which, 2)
    return Table(Columns(("a", "b"), {"n": ("p", "q", "r")}), x, codes[:, None].astype(np.int64))


def continuous_part(table: Table) -> Table:
    return Table(Columns(table.columns.continuous, {}), table.continuous, table.nominal[:, :0])


def test_random_cases_keep_marginals_and_lose_what_ties_them():
    table = clusters(2000, 0)
    made = density.random_cases(table, 20_000, seed=1)
    assert len(made) == 20_000
    assert set(made.continuous[:, 0]) <= set(table.continuous[:, 0])
    assert np.allclose(made.continuous.mean(0), table.continuous.mean(0), atol=0.01)
    share = np.bincount(table.nominal[:, 0]) / len(table)
    assert np.allclose(np.bincount(made.nominal[:, 0]) / len(made), share, atol=0.015)
    assert np.corrcoef(table.continuous.T)[0, 1] > 0.7
    assert abs(np.corrcoef(made.continuous.T)[0, 1]) < 0.03


def test_em_on_continuous_attributes_is_scikit_learns():
    table = continuous_part(clusters(300, 2))
    begun = density.fit(table, 3, rounds=0, seed=0)
    theirs = GaussianMixture(
        3,
        covariance_type="diag",
        reg_covar=density.LEAST_VARIANCE,
        max_iter=12,
        tol=0.0,
        weights_init=np.exp(begun.log_weights),
        means_init=begun.means,
        precisions_init=1 / begun.variances,
    )
    with pytest.warns(match="did not converge"):
        theirs.fit(table.continuous)
    ours = density.fit(table, 3, rounds=12, seed=0)
    assert np.allclose(np.exp(ours.log_weights), theirs.weights_, atol=1e-9)
    assert np.allclose(ours.means, theirs.means_, atol=1e-9)
    assert np.allclose(ours.variances, theirs.covariances_, atol=1e-9)
    assert np.allclose(ours.log_density(table), theirs.score_samples(table.continuous), atol=1e-8)


def test_a_step_on_mixed_attributes_is_the_plain_loop():
    table = clusters(40, 3)
    start = density.fit(table, 2, rounds=1, seed=0)
    responsibilities = np.empty((40, 2))
    for i in range(40):
        for k in range(2):
            likelihood = np.exp(start.log_weights[k])
            for a in range(2):
                likelihood *= norm.pdf(table.continuous[i, a], start.means[k, a], start.variances[k, a] ** 0.5)
            responsibilities[i, k] = likelihood * np.exp(start.log_tables[0][k, table.nominal[i, 0]])
        responsibilities[i] /= responsibilities[i].sum()
    ours = density.step(start, table)
    for k in range(2):
        weight = responsibilities[:, k]
        mean = (weight[:, None] * table.continuous).sum(0) / weight.sum()
        variance = (weight[:, None] * (table.continuous - mean) ** 2).sum(0) / weight.sum()
        counts = np.array([weight[table.nominal[:, 0] == code].sum() for code in range(3)]) + 1
        assert np.isclose(np.exp(ours.log_weights[k]), weight.mean())
        assert np.allclose(ours.means[k], mean)
        assert np.allclose(ours.variances[k], variance + density.LEAST_VARIANCE)
        assert np.allclose(np.exp(ours.log_tables[0][k]), counts / counts.sum())


def test_em_never_makes_the_cases_less_likely():
    table = continuous_part(clusters(200, 4))
    reached = [density.fit(table, 4, rounds=n, seed=1).log_density(table).mean() for n in range(8)]
    assert all(later > earlier - 1e-3 for earlier, later in pairwise(reached))
    assert reached[-1] > reached[0]


def test_estimate_finds_the_clusters_and_samples_from_them():
    mixture = density.estimate(clusters(600, 5), clusters(300, 6), most_components=8, rounds=40, seed=0)
    assert 2 <= len(mixture.log_weights) <= 8
    made = mixture.sample(20_000, seed=2)
    truth = clusters(20_000, 7)
    assert np.allclose(made.continuous.mean(0), truth.continuous.mean(0), atol=0.03)
    assert np.allclose(np.cov(made.continuous.T), np.cov(truth.continuous.T), atol=0.01)
    for code in range(3):  # the nominal attribute goes with the cluster
        one, other = (t.continuous[t.nominal[:, 0] == code].mean(0) for t in (made, truth))
        assert np.allclose(one, other, atol=0.05)


def test_the_mixture_does_not_depend_on_the_order_of_attributes():
    table = clusters(120, 8)
    turned = Table(Columns(("b", "a"), table.columns.nominal), table.continuous[:, ::-1].copy(), table.nominal)
    one, other = (density.fit(t, 3, rounds=6, seed=0).log_density(t) for t in (table, turned))
    assert np.allclose(one, other)


@pytest.mark.parametrize("components", [0, 41])
def test_components_out_of_range_are_refused(components):
    with pytest.raises(UserError, match="choose 1 to 40"):
        density.fit(clusters(40, 0), components, rounds=1, seed=0)


def test_categories_kept_as_numbers_are_refused():
    table = Table(Columns(("country",), {}), np.array([[0.0], [40.0], [7.0]]), np.empty((3, 0), dtype=np.int64))
    with pytest.raises(UserError, match=r"naive Bayes: country runs from 0 to 40; scale .* as nominal"):
        density.fit(table, 1, rounds=1, seed=0)


def test_no_cases_are_refused():
    with pytest.raises(UserError, match="both must be at least 1"):
        density.random_cases(clusters(10, 0), 0, seed=0)
