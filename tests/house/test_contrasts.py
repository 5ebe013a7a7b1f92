"""What claims are made of, against resampling and hand-made cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.compare import t_interval
from repro.contrasts import beyond_share, least_in_sum, minus, one_per_teacher, over, shares

GAINS = st.lists(st.floats(0.5, 2), min_size=3, max_size=6)


def test_students_of_one_teacher_count_once():
    errors = {0: 98.0, 1: 106.0, 2: 112.0, 3: 100.0, 4: 110.0}
    assert one_per_teacher(errors, 3) == {0: 99.0, 1: 108.0, 2: 112.0}


def test_a_student_without_a_fellow_stands_for_its_teacher():
    errors = {seed: float(seed) for seed in range(4)}
    assert one_per_teacher(errors, 4) == one_per_teacher(errors, 9) == errors


def test_no_teachers_are_refused():
    with pytest.raises(ValueError, match="at least one teacher"):
        one_per_teacher({0: 1.0}, 0)


def test_differences_are_over_common_seeds():
    assert minus({0: 5.0, 2: 7.0, 3: 1.0}, {2: 3.0, 0: 1.0, 4: 9.0}) == {0: 4.0, 2: 4.0}


@given(GAINS, st.floats(0.1, 0.9))
def test_the_same_share_of_every_gain_is_that_share(gains, share):
    whole = dict(enumerate(gains))
    kept = {seed: share * gain for seed, gain in whole.items()}
    assert shares(kept, whole) == pytest.approx([share] * len(gains))
    assert beyond_share(kept, whole, share) == pytest.approx([0.0] * len(gains), abs=1e-12)


@given(GAINS, GAINS)
def test_pseudo_values_are_tukeys(kept, whole):
    n = min(len(kept), len(whole))
    k, w = np.array(kept[:n]), np.array(whole[:n])
    out = ~np.eye(n, dtype=bool)
    expected = [n * k.mean() / w.mean() - (n - 1) * k[left].mean() / w[left].mean() for left in out]
    assert shares(dict(enumerate(k)), dict(enumerate(w))) == pytest.approx(expected)


def test_a_seed_with_next_to_no_gain_does_not_rule_the_share():
    kept, whole = {0: 0.9, 1: 1.1, 2: 0.1}, {0: 1.0, 1: 1.2, 2: 0.001}  # of the last seed alone: 100
    assert t_interval(shares(kept, whole))[0] == pytest.approx(0.95, abs=0.1)


def test_no_gain_has_no_share_and_still_a_contrast():
    kept, whole = {0: 0.1, 1: 0.2}, {0: -0.3, 1: 0.1}
    assert all(map(math.isnan, shares(kept, whole)))
    assert beyond_share(kept, whole, 0.5) == pytest.approx((0.25, 0.15))


def test_ratios_are_over_common_seeds():
    assert over({0: 6.0, 1: 8.0, 3: 1.0}, {1: 2.0, 0: 3.0, 4: 1.0}) == {0: 2.0, 1: 4.0}


def test_the_setting_with_the_least_sum_is_chosen_once_all_seeds_of_all_ran():
    values = {0.1: {0: 5.0, 1: 6.0}, 0.2: {0: 4.0, 1: 7.0}, 0.4: {0: 9.0, 1: 9.0}}
    assert least_in_sum(values, 2) == 0.1  # the smaller of two that tie
    assert least_in_sum(values | {0.8: {0: 1.0}}, 2) is None
    assert least_in_sum(values | {0.8: {0: 1.0, 1: 1.0}}, 2) == 0.8
    assert least_in_sum({}, 2) is None


def test_one_seed_has_its_ratio():
    assert shares({4: 1.0}, {4: 2.0}) == (0.5,)
    assert shares({}, {}) == ()
