"""The law of critical batches: recovered from planted numbers, and the race that finds its steps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import curve_fit

from repro.errors import UserError
from repro.papers.scaling import batch_size_law
from repro.papers.scaling._batch_size import (
    Law,
    PowerLaw,
    checkpoints,
    first_crossings,
    fit_law,
    fit_power_law,
    left_out_error,
)
from repro.papers.scaling._race import Race, fastest
from repro.papers.scaling.batch_size_law import Config, arms
from repro.training.replay_task import Task, loss

SIZES = [8, 32, 128, 512]


@settings(deadline=None)
@given(st.floats(1, 1e5), st.floats(1, 5000))
def test_planted_parameters_are_recovered_and_obey_the_law(least_steps, critical_batch):
    planted = Law(least_steps, critical_batch)
    steps = {b: planted.steps(b) for b in SIZES}
    for batch, s in steps.items():
        assert (s / least_steps - 1) * (batch * s / (least_steps * critical_batch) - 1) == pytest.approx(1)
    found = fit_law(steps)
    assert found.least_steps == pytest.approx(least_steps, rel=1e-3)
    assert found.critical_batch == pytest.approx(critical_batch, rel=1e-3)
    assert left_out_error(steps, fit_law) < 1e-3


def test_noisy_steps_are_fitted_as_scipy_fits_them():
    steps = {8: 231.0, 32: 98.0, 128: 74.0, 512: 55.0, 2048: 61.0}
    (log_least, log_critical), _ = curve_fit(
        lambda b, s, c: s + torch.log1p(torch.exp(torch.tensor(c)) / torch.tensor(b)).numpy(),
        list(steps), [math.log(s) for s in steps.values()], p0=(4.0, 3.0),
    )  # fmt: skip
    found = fit_law(steps)
    assert found.least_steps == pytest.approx(math.exp(log_least), rel=1e-4)
    assert found.critical_batch == pytest.approx(math.exp(log_critical), rel=1e-4)


def test_each_law_predicts_its_own_kind_best():
    hyperbola = {b: Law(50, 100).steps(b) for b in SIZES}
    line = {b: PowerLaw(300, 0.4).steps(b) for b in SIZES}
    assert left_out_error(hyperbola, fit_law) < left_out_error(hyperbola, fit_power_law)
    assert left_out_error(line, fit_power_law) < left_out_error(line, fit_law)
    found = fit_power_law(line)
    assert (found.factor, found.exponent) == pytest.approx((300, 0.4))


@pytest.mark.parametrize("fit", [fit_law, fit_power_law])
def test_two_batch_sizes_fix_nothing(fit):
    with pytest.raises(ValueError, match="three or more"):
        fit({8: 10.0, 16: 5.0})


def test_looks_are_dense_at_first_and_grow():
    looks = checkpoints(1.5)
    assert [next(looks) for _ in range(8)] == [1, 2, 3, 4, 6, 9, 14, 21]


def test_a_crossing_lies_between_two_looks_or_nowhere():
    curve = [(1, 2.0), (10, 1.0), (100, 1.5), (1000, 0.5)]
    first, middle, last, never = first_crossings(curve, [2.0, 1.5, 0.75, 0.1])
    assert first == 1
    assert middle == pytest.approx(10**0.5)  # half way in the loss, half way in the logarithm of steps
    assert last == pytest.approx(1000 / 10**0.25)
    assert never is None


def test_the_fastest_rate_is_that_of_its_slowest_net():
    assert fastest([[5.0, 3.0, 1.0], [6.0, 8.0, None]]) == (0, 6.0)
    assert fastest([[None, 3.0], [6.0, None]]) is None


def test_the_race_is_plain_sgd_at_every_rate():
    tasks = [Task("digits", (6,), 16, key, held_out=100) for key in (3, 4)]
    race = Race(tasks, (0.1, 0.5), tasks[0].held_out, spacing=1.1)
    race.run(lambda race: len(race.curves[0][0]) == 4, 100)
    for t, task in enumerate(tasks):
        for r, rate in enumerate((0.1, 0.5)):
            parameters = {name: value.requires_grad_() for name, value in task.start().items()}
            optimizer = torch.optim.SGD(parameters.values(), lr=rate)
            curve = []
            for step in range(4):
                x, y = task.batches(torch.zeros(1, dtype=torch.int64).numpy(), torch.tensor([step]).numpy())
                optimizer.zero_grad()
                loss(parameters, (x[0], y[0])).backward()
                optimizer.step()
                curve.append((step + 1, float(loss(parameters, task.held_out).detach())))
            assert [step for step, _ in race.curves[t][r]] == [1, 2, 3, 4]
            assert [value for _, value in race.curves[t][r]] == pytest.approx([value for _, value in curve], rel=1e-4)


def test_held_out_cases_are_not_trained_on():
    whole, task = Task("digits", (6,), 4, 0), Task("digits", (6,), 4, 0, held_out=300)
    assert len(task.x) == len(whole.x) - 300
    rows = [{tuple(row) for row in x.tolist()} for x in (task.x, task.held_out[0], whole.x)]
    assert rows[0] | rows[1] == rows[2]
    assert not rows[0] & rows[1]
    assert not len(whole.held_out[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_sizes": (32, 8, 128, 512)}, "rise"),
        ({"rates": (0.1, 0.1)}, "rise"),
        ({"targets": (0.3, 0.6)}, "fall"),
        ({"batch_sizes": (8, 16)}, "at least 4"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, said):
    good = {"batch_sizes": (8, 32, 128, 512), "rates": (0.1, 0.2), "targets": (0.6,), "held_out": 100}
    assert [arm.name for arm in arms(Config(**good))] == ["batch8", "batch32", "batch128", "batch512"]
    with pytest.raises(ValidationError, match=said):
        Config(**(good | change))


SETTINGS = "batch_sizes: [16, 32, 64, 128], rates: [0.5, 1.0], targets: [1.8, 1.5], runs: 1, held_out: 60, hidden: [8]"


def test_the_record_is_drawn_and_spoken_of(record):
    results = record("scaling.batch_size_law", f"{SETTINGS}, seeds: 2")
    assert len(results.rows) == 8
    drawing = batch_size_law.figure(results)
    assert {(row["target"], row["batch_size"]) for row in drawing.data} == {
        (t, b) for t in (1.8, 1.5) for b in (16, 32, 64, 128)
    }
    printed, law, grows = batch_size_law.claims(results)
    assert (printed.id, law.id, grows.id) == ("SC367", "SC367.law", "SC367.grows")
    assert all(value > 0 for value in printed.ours)
    assert len(printed.ours) == len(law.differences) == len(grows.differences) == 2


def test_a_target_out_of_reach_is_said(record):
    with pytest.raises(UserError, match=r"at no rate did all 1 nets reach a held-out loss of 0\.001 in 20 steps"):
        record("scaling.batch_size_law", SETTINGS.replace("[1.8, 1.5]", "[0.001]") + ", most_steps: 20")
