"""Accuracy over examples: laws recovered from planted numbers, what the two sweeps hold equal, and the claims."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import curve_fit

from repro.compare import judge
from repro.config import load as load_config
from repro.errors import UserError
from repro.experiment import Arm, Context
from repro.machine import ROOT
from repro.papers.sun2017 import data_size
from repro.papers.sun2017._laws import Law, fit_log, fit_power, fit_saturating, left_out_error, rms
from repro.papers.sun2017._learning import fit
from repro.papers.sun2017.data_size import Config, accuracies, arms
from repro.published import load
from repro.training.settings import Training

SIZES = [200, 500, 2000, 5000, 20000, 50000]
SMALL = {
    "seeds": 2,
    "tasks": [{"data": "digits", "held_out": 297}],
    "sizes": [20, 40, 100, 200, 400],
    "nets": [{"name": "small", "hidden": [4]}, {"name": "large", "hidden": [32]}],
    "rates": [0.2],
    "training": {"epochs": 3, "batch_size": 20, "precision": "float32"},
}


def planted(law, sizes=SIZES):
    return {n: law.accuracy(n) for n in sizes}


def power(factor, exponent, floor=0.0):
    return {n: 100 - floor - factor * n**-exponent for n in SIZES}


@given(st.lists(st.floats(0, 100), min_size=6, max_size=6))
def test_the_straight_line_is_that_of_numpy(values):
    points = dict(zip(SIZES, values, strict=True))
    slope, level = np.polyfit(np.log10(SIZES), values, 1)
    law = fit_log(points)
    assert (law.slope, law.level) == (pytest.approx(slope, abs=1e-8), pytest.approx(level, abs=1e-7))


@given(st.floats(20, 200), st.floats(0.05, 1.5))
@settings(max_examples=25)
def test_a_planted_power_law_is_found_again(factor, exponent):
    points = power(factor, exponent)
    law = fit_power(points)
    assert law.bend == pytest.approx(exponent, rel=1e-3)
    assert law.accuracy(10**7) == pytest.approx(100 - factor * 1e7**-exponent, abs=1e-3)
    assert left_out_error(points, fit_power) == pytest.approx(0, abs=1e-3)


def test_a_floor_is_found_as_by_scipy():
    noise = np.random.default_rng(0).normal(0, 0.1, len(SIZES))
    points = {n: value + e for (n, value), e in zip(power(150, 0.5, floor=8).items(), noise, strict=True)}
    theirs, _ = curve_fit(lambda n, e, c, b: 100 - e - c * n**-b, SIZES, list(points.values()), p0=(5, 100, 0.4))
    law = fit_saturating(points)
    ceiling = law.level + law.slope / (law.bend * math.log(10))
    assert (100 - ceiling, law.bend) == (pytest.approx(theirs[0], rel=1e-3), pytest.approx(theirs[2], rel=1e-3))


@given(st.lists(st.floats(10, 100), min_size=6, max_size=6))
@settings(max_examples=25)
def test_the_family_fits_no_worse_than_its_members(values):
    points = dict(zip(SIZES, sorted(values), strict=True))
    assert rms(fit_saturating(points), points) <= rms(fit_log(points), points) + 1e-6


def test_the_logarithm_is_the_limit_of_the_family():
    law, near = Law(50.0, 8.0), Law(50.0, 8.0, 1e-9)
    assert near.accuracy(50_000) == pytest.approx(law.accuracy(50_000))
    assert fit_saturating(planted(law)).bend == pytest.approx(0, abs=1e-3)


def test_a_law_predicts_the_largest_size_from_the_others():
    assert left_out_error(planted(Law(40.0, 10.0)), fit_log) == pytest.approx(0, abs=1e-9)
    assert left_out_error(power(150, 0.5), fit_log) > 2  # the line goes on rising where the power law does not
    assert data_size.law_error(power(150, 0.5)) > 0 > data_size.law_error(planted(Law(40.0, 10.0)))
    for fitted, sizes in ((fit_log, SIZES[:1]), (fit_power, SIZES[:1]), (fit_saturating, SIZES[:2])):
        with pytest.raises(ValueError, match="sizes: a law of"):
            fitted(planted(Law(40.0, 10.0), sizes))


def test_straightness_is_1_for_a_logarithm_and_less_for_a_power():
    assert data_size.straightness(planted(Law(40.0, 10.0))) == pytest.approx(1)
    assert 0 < data_size.straightness(power(150, 0.5)) < 0.5
    lower, upper = data_size.halves(dict.fromkeys([1, 2, 3, 4, 5], 0.0))
    assert (list(lower), list(upper)) == ([1, 2], [4, 5])


def test_the_printed_gains_a_decade():
    gains = data_size.printed_gains(load())
    assert gains == pytest.approx([3 / math.log10(3), 4 / math.log10(10 / 3), 2 / math.log10(3)])


def test_one_sweep_holds_updates_equal_and_the_other_epochs():
    config = Config.model_validate(load_config(ROOT / "config" / "paper.yaml").section("sun2017.data_size").config)
    batch = config.training.batch_size
    for arm in arms(config):
        epochs = arm.settings["training"]["epochs"]
        if arm.name.endswith(".epochs"):
            assert epochs == config.training.epochs
        else:
            assert epochs * (arm.settings["size"] // batch) == config.training.epochs * config.sizes[-1] // batch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [20, 50, 100, 200, 400]}, "size 50 must be a multiple of batch_size 20"),
        ({"sizes": [20, 60, 100, 160, 400]}, "size 160 must be a multiple .* 1200 examples"),
        ({"sizes": [40, 20, 100, 200, 400]}, "rise"),
    ],
)
def test_sizes_that_cannot_have_equal_updates_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(SMALL | change)


def run_of(rates, size=100):
    training = Training(epochs=3, batch_size=20, precision="float32").model_dump(mode="json")
    arm = Arm("a", {"hidden": [8], "size": size, "held_out": 297, "rates": rates, "training": training}, 1)
    return fit(arm.settings, 0, Context("digits", {}, ROOT)).metrics


def test_the_rate_is_the_one_that_held_out_cases_choose():
    alone = {rate: run_of([rate]) for rate in (0.0001, 0.1)}
    best = max(alone, key=lambda rate: alone[rate]["held_out_accuracy"])
    assert run_of([0.0001, 0.1]) == alone[best]
    assert best == 0.1


def test_more_cases_than_there_are_is_a_clear_line():
    with pytest.raises(UserError, match="1001 cases asked for, 1000 are there"):
        run_of([0.1], size=1001)


def test_recorded_runs_make_claims_and_a_figure(record):
    results = record("sun2017.data_size", SMALL)
    config = Config.model_validate(results.config)
    updates = {row["updates"] for row in results.rows if not row["arm"].endswith(".epochs")}
    assert updates == {60}
    large = accuracies(results, config, "digits", "large")
    control = accuracies(results, config, "digits", "large", equal_epochs=True)
    assert sorted(large) == sorted(control) == [0, 1]
    assert all(large[seed][400] == control[seed][400] for seed in large)  # where both sweeps meet
    rows = {row.id: row for row in (judge(a, load(), same_data=False) for a in data_size.claims(results))}
    assert {load()[name.split(".")[0]].id for name in rows} == {"PS304"}  # nothing is said to JFT's own numbers
    assert rows["PS304.digits.large.epochs"].verdict == "holds"  # three updates teach nothing
    gained = [data_size.slope(points) for points in large.values()]
    assert rows["PS304.digits.large.slope"].ours == pytest.approx(np.mean(gained))
    names = {row["panel"] for row in data_size.figure(results).data}
    assert names == {"accuracy", "gain", "equal epochs"}
