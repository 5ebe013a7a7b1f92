"""The streamed covariance against numpy, however the cases are cut into batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.distill.covariance import StreamedCovariance, covariance
from repro.errors import UserError


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 2**31), st.sampled_from([0.0, 1e3]))
@settings(max_examples=40, deadline=None)
def test_equals_numpy_s_for_any_batches(sizes, seed, offset):
    sizes = [*sizes, 2]
    rows = np.random.default_rng(seed).normal(offset, 1.0, (sum(sizes), 6))
    batches = torch.from_numpy(rows).split(sizes)
    np.testing.assert_allclose(covariance(batches, 6), np.cov(rows.T), rtol=1e-9, atol=1e-9)


def test_float32_far_from_zero_loses_no_digits():
    rows = 1000 + torch.randn(5000, 4, generator=torch.Generator().manual_seed(0))
    found = covariance(rows.split(64), 4)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, np.cov(rows.double().numpy().T), rtol=0, atol=2e-5)


def test_order_of_cases_and_of_classes_do_not_matter():
    rows = torch.softmax(torch.randn(300, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1)
    whole = covariance([rows], 5)
    torch.testing.assert_close(covariance(rows.flip(0).split(7), 5), whole)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(covariance([rows[:, order]], 5), whole[order][:, order])
    torch.testing.assert_close(whole.sum(1), torch.zeros(5, dtype=torch.float64), atol=1e-15, rtol=0)  # rows sum to one


def test_refuses_other_shapes_and_too_few_cases():
    streamed = StreamedCovariance(3)
    with pytest.raises(ValueError, match=r"\(batch, 3\) expected"):
        streamed.update(torch.zeros(2, 4))
    streamed.update(torch.zeros(1, 3))
    with pytest.raises(UserError, match="1 cases seen"):
        streamed.covariance()
