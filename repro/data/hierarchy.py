"""Made-up pictures with classes in groups, by a seeded generator: no data, and labelled so wherever they are used.

Twenty classes in five superclasses. A superclass is a smooth coloured field, a class a weaker and finer field added to
it, and a picture its class's field, shifted by up to a pixel, changed in contrast and buried in noise. Classes of one
superclass are therefore confused with each other first, which is what specialists are about.
"""

import hashlib
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

GROUPS, CLASSES_OF_GROUP, SIDE = 5, 4, 12
TRAIN_OF_CLASS, TEST_OF_CLASS = 120, 50
OWN, NOISE = 0.35, 0.75  # of a class's own field and of the noise, beside a superclass's field of 1
SUPERCLASS_NAMES = tuple("ABCDE")
CLASSES = tuple(f"{group}{member + 1}" for group in SUPERCLASS_NAMES for member in range(CLASSES_OF_GROUP))
SUPERCLASSES = tuple(index // CLASSES_OF_GROUP for index in range(len(CLASSES)))
_SEED = 20


class Made(NamedTuple):
    """Images (N, 3, 12, 12) uint8 and labels (N,) int64 of either part."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def generate() -> Made:
    """The same pictures at every call."""
    generator = torch.Generator().manual_seed(_SEED)
    groups = _fields(GROUPS, 3, generator).repeat_interleave(CLASSES_OF_GROUP, 0)
    fields = groups + OWN * _fields(len(CLASSES), 6, generator)
    return Made(_pictures(fields, TRAIN_OF_CLASS, generator), _pictures(fields, TEST_OF_CLASS, generator))


def digest(made: Made) -> str:
    """SHA-256 of all bytes: a generator of another library version may draw otherwise, and the record shows it."""
    content = b"".join(t.numpy().tobytes() for part in made for t in part)
    return hashlib.sha256(content).hexdigest()


def _fields(count: int, grid: int, generator: torch.Generator) -> Tensor:
    """Random fields (count, 3, side + 2, side + 2), smooth over side / grid pixels, of unit variance."""
    coarse = torch.randn(count, 3, grid, grid, generator=generator)
    fields = F.interpolate(coarse, SIDE + 2, mode="bilinear", align_corners=True)
    return fields / fields.std((1, 2, 3), keepdim=True)


def _pictures(fields: Tensor, of_class: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(len(fields)).repeat(of_class)
    windows = fields.unfold(2, SIDE, 1).unfold(3, SIDE, 1).permute(0, 2, 3, 1, 4, 5)
    shifts = torch.randint(3, (2, len(labels)), generator=generator)
    pictures = windows[labels, shifts[0], shifts[1]]
    contrast = 0.6 + 0.8 * torch.rand(len(labels), 1, 1, 1, generator=generator)
    noisy = contrast * pictures + NOISE * torch.randn(pictures.shape, generator=generator)
    return (128 + 40 * noisy).round().clamp(0, 255).to(torch.uint8), labels
