"""Frozen features of images: responses to random whitened patches, pooled (Coates, Lee, Ng 2011).

Nothing here is trained by labels: filters are patches of the images themselves, whitened. On top of such features a
small net learns in seconds what a convolutional net would learn in minutes, at some loss of accuracy.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.training.keys import generator_seed

WHITENING = 0.1  # added to the patches' variances, relative to their mean
THRESHOLD = 0.25  # of a response, in standard deviations
STRIDE = 2
SAMPLED_PATCHES = 50_000
BATCH = 500


@dataclass(frozen=True)
class PatchFeatures:
    """Filters (patches, channels, side, side) with biases, then a projection onto principal components."""

    kernels: Tensor
    biases: Tensor
    centre: Tensor
    projection: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) as float32 features (N, dimensions) of mean 0 and variance 1 where fitted."""
        return torch.cat([(self._pooled(batch) - self.centre) @ self.projection for batch in images.split(BATCH)])

    def _pooled(self, images: Tensor) -> Tensor:
        responses = F.conv2d(_normalised(images), self.kernels, self.biases, stride=STRIDE)
        both = torch.cat([F.relu(responses - THRESHOLD), F.relu(-responses - THRESHOLD)], 1)
        return F.adaptive_avg_pool2d(both, 2).flatten(1)


def fit_patch_features(images: Tensor, *, patches: int, side: int, dimensions: int, seed: int) -> PatchFeatures:
    """Filters from random patches of ``images`` (N, C, H, W) uint8; all is keyed by ``seed``.

    Raises:
        ValueError: patches larger than the images, or more dimensions than there are pooled responses (8 a patch).
    """
    if images.dim() != 4 or side > min(images.shape[-2:]):
        raise ValueError(f"patches of side {side} do not fit into images of shape {tuple(images.shape)}")
    if dimensions > 8 * patches:
        raise ValueError(f"{patches} patches give {8 * patches} responses; {dimensions} dimensions are more")
    generator = torch.Generator().manual_seed(generator_seed(seed, "patches"))
    channels, height, width = images.shape[1:]
    chosen = torch.randint(len(images), (SAMPLED_PATCHES,), generator=generator)
    rows = torch.randint(height - side + 1, (SAMPLED_PATCHES,), generator=generator)
    columns = torch.randint(width - side + 1, (SAMPLED_PATCHES,), generator=generator)
    windows = images.unfold(2, side, 1).unfold(3, side, 1)[chosen, :, rows, columns]
    # An image's own mean and contrast, as in _normalised, for the images that were drawn.
    pixels = images.flatten(1)[chosen].float()
    patch = (windows.flatten(1).float() - pixels.mean(1, keepdim=True)) / pixels.std(1, keepdim=True).clamp_min(1)
    mean = patch.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patch.T))
    whiten = vectors @ torch.diag((values + WHITENING * values.mean()).rsqrt()) @ vectors.T
    filters = F.normalize((patch[:patches] - mean) @ whiten, dim=1) @ whiten
    kernels = filters.view(patches, channels, side, side)
    unprojected = PatchFeatures(kernels, -(filters @ mean), torch.zeros(8 * patches), torch.eye(8 * patches))
    sample = torch.randperm(len(images), generator=generator)[: max(5 * 8 * patches, 5000)]
    pooled = unprojected(images[sample])
    values, vectors = torch.linalg.eigh(torch.cov(pooled.T))
    scale = values[-dimensions:].clamp_min(1e-12).rsqrt()
    return PatchFeatures(kernels, unprojected.biases, pooled.mean(0), vectors[:, -dimensions:] * scale)


def _normalised(images: Tensor) -> Tensor:
    """Every image to mean 0 and standard deviation 1."""
    flat = images.flatten(1).float()
    flat = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True).clamp_min(1)
    return flat.view(images.shape)
