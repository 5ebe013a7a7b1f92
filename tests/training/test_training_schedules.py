"""Schedules against closed forms, and their continuity and monotonicity."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from repro.training.schedules import learning_rate, momentum
from repro.training.settings import Training

SCHEDULES = ("constant", "linear", "cosine")


def rates(steps: int, **told: object) -> list[float]:
    training = Training(epochs=1, **told)
    return [learning_rate(training, step, steps) for step in range(steps)]


def test_closed_forms_without_warm_up() -> None:
    told = {"learning_rate": 0.3, "warmup_fraction": 0.0}
    assert rates(4, schedule="constant", **told) == [0.3] * 4
    assert rates(4, schedule="linear", **told) == pytest.approx([0.3, 0.225, 0.15, 0.075])
    cosine = [0.15 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert rates(4, schedule="cosine", **told) == pytest.approx(cosine)


def test_closed_forms_with_warm_up() -> None:
    told = {"learning_rate": 1.0, "warmup_fraction": 0.4}
    assert rates(10, schedule="constant", **told) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])
    # The decay's clock starts where the warm-up ends, so its last step is one short of zero.
    linear = [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert rates(10, schedule="linear", **told) == pytest.approx(linear)


@given(
    st.integers(1, 300),
    st.floats(0, 0.999),
    st.sampled_from(SCHEDULES),
    st.floats(1e-4, 10),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_rises_to_the_peak_and_falls_without_a_jump(steps: int, warmup: float, schedule: str, peak: float) -> None:
    found = rates(steps, schedule=schedule, learning_rate=peak, warmup_fraction=warmup)
    top = found.index(max(found))
    assert found[top] == pytest.approx(peak)
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in found)
    assert all(a < b for a, b in pairwise(found[: top + 1]))
    assert all(a >= b for a, b in pairwise(found[top:]))
    if schedule == "constant":
        assert found[-1] == pytest.approx(peak)
    warmup_steps = warmup * steps
    rise = peak / max(warmup_steps, 1)
    fall = peak * {"constant": 0, "linear": 1, "cosine": math.pi / 2}[schedule] / max(steps - warmup_steps, 1)
    assert all(-fall - 1e-12 <= b - a <= rise + 1e-12 for a, b in pairwise(found))


def test_momentum_ramp() -> None:
    training = Training(epochs=1, momentum=0.9, momentum_start=0.5, momentum_ramp_fraction=0.4)
    found = [momentum(training, step, 10) for step in range(10)]
    assert found == pytest.approx([0.5, 0.6, 0.7, 0.8, *[0.9] * 6])
    assert [momentum(Training(epochs=1, momentum=0.7), step, 5) for step in range(5)] == [0.7] * 5


@given(st.integers(1, 200), st.floats(0, 0.99), st.floats(0, 0.99), st.floats(0.001, 1))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_momentum_goes_one_way_and_stays_between_its_ends(steps: int, start: float, end: float, ramp: float) -> None:
    training = Training(epochs=1, momentum=end, momentum_start=start, momentum_ramp_fraction=ramp)
    found = [momentum(training, step, steps) for step in range(steps)]
    assert found[0] == pytest.approx(start)
    sign = 1 if end >= start else -1
    assert all(sign * (b - a) >= -1e-12 for a, b in pairwise(found))
    assert all(min(start, end) - 1e-12 <= value <= max(start, end) + 1e-12 for value in found)
    assert momentum(training, steps, steps) == pytest.approx(end)


@pytest.mark.parametrize(
    "told",
    [
        {"epochs": 0},
        {"epochs": 1, "batch_size": 0},
        {"epochs": 1, "learning_rate": 0},
        {"epochs": 1, "warmup_fraction": 1.0},
        {"epochs": 1, "momentum": 1.0},
        {"epochs": 1, "schedule": "step"},
        {"epochs": 1, "max_norm_squared": 0},
        {"epochs": 1, "dropout_input": 1.0},
        {"epochs": 1, "jitter_pixels": -1},
        {"epochs": 1, "precision": "float16"},
        {"epochs": 1, "epoch": 3},
        {"epochs": 1, "momentum_start": 0.5},
        {"epochs": 1, "momentum_ramp_fraction": 0.5},
    ],
)
def test_settings_that_mean_nothing_are_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Training(**told)
