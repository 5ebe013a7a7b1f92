"""Frozen patch features: their moments, an independent convolution, and failure paths."""

import pytest
import torch

from repro.models.patches import THRESHOLD, fit_patch_features

IMAGES = torch.randint(0, 256, (400, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_features_are_centred_and_of_variance_one():
    features = fit_patch_features(IMAGES, patches=6, side=4, dimensions=10, seed=1)(IMAGES)
    assert features.shape == (400, 10)
    torch.testing.assert_close(features.mean(0), torch.zeros(10), atol=2e-3, rtol=0)
    torch.testing.assert_close(torch.cov(features.T), torch.eye(10), atol=2e-2, rtol=0)


def test_features_depend_on_the_seed_alone():
    one, same, other = (
        fit_patch_features(IMAGES, patches=6, side=4, dimensions=10, seed=s)(IMAGES[:5]) for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_responses_are_those_of_a_plain_loop_over_places():
    fitted = fit_patch_features(IMAGES, patches=3, side=4, dimensions=24, seed=1)
    image = IMAGES[7].float()
    image = (image - image.mean()) / image.std()
    places = range(0, 9, 2)  # five places on each axis
    grid = torch.zeros(6, 5, 5)
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            response = (fitted.kernels * image[:, y : y + 4, x : x + 4]).sum((1, 2, 3)) + fitted.biases
            grid[:, row, column] = torch.cat([response - THRESHOLD, -response - THRESHOLD]).clamp_min(0)
    quarters = [grid[:, a, b].mean((1, 2)) for a in (slice(0, 3), slice(2, 5)) for b in (slice(0, 3), slice(2, 5))]
    pooled = torch.stack(quarters, 1).flatten()
    torch.testing.assert_close(
        fitted(IMAGES[7:8])[0], (pooled - fitted.centre) @ fitted.projection, atol=1e-3, rtol=1e-3
    )


def test_filters_respond_alike_on_average():
    """Whitened: over random patches a response has mean 0 and variance near 1, whatever the filter."""
    fitted = fit_patch_features(IMAGES, patches=8, side=4, dimensions=8, seed=1)
    flat = IMAGES.flatten(1).float()
    normal = ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).view(IMAGES.shape)
    response = torch.nn.functional.conv2d(normal, fitted.kernels, fitted.biases)
    assert response.mean((0, 2, 3)).abs().max() < 0.1
    assert 0.7 < float(response.std((0, 2, 3)).min()) < float(response.std((0, 2, 3)).max()) < 1.2


@pytest.mark.parametrize("bad", [{"side": 13}, {"dimensions": 49}])
def test_what_does_not_fit_is_refused(bad):
    with pytest.raises(ValueError, match=r"fit|dimensions"):
        fit_patch_features(IMAGES, **{"patches": 6, "side": 4, "dimensions": 10, "seed": 0} | bad)
