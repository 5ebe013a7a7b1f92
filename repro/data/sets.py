"""Image sets as whole tensors: `load("mnist").train.images`."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from repro.data import cifar, digits, fetch, hierarchy, idx, sources
from repro.errors import UserError


@dataclass(frozen=True)
class LabelledImages:
    """Images (N, H, W) or (N, C, H, W) uint8, 0 black to 255 white, and their labels (N,) int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.labels.dtype != torch.int64:
            raise TypeError(f"images {self.images.dtype}, labels {self.labels.dtype}: uint8 and int64 expected")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"{len(self.images)} images, labels of shape {tuple(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageSet:
    """A labelled image set in the publisher's split; `classes[label]` is a label's name.

    `sha256` maps what it was read from to its sum, for the record of a run. Where classes are grouped by the
    publisher, `superclasses[label]` is the index of a label's group in `superclass_names`.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    superclasses: tuple[int, ...] = ()
    superclass_names: tuple[str, ...] = ()


def load(name: str) -> ImageSet:
    """The image set `name`, downloaded if it is not on this machine.

    Names: `mnist`, `fashion-mnist`, `cifar-100` (fine labels), `cifar-100-coarse` (the same images, 20 coarse labels),
    `digits`, which comes with scikit-learn, and `hierarchy`, made by a seeded generator.
    Raises UserError, with one line, on an unknown name or data that cannot be had or are not as published.
    """
    if name not in LOADERS:
        raise UserError(f"no image set is called {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](name)


@cache
def load_once(name: str) -> ImageSet:
    """The same set at every call of a process: `load`, and what it gave before. Its tensors are shared: read only."""
    return load(name)


def hold_out(n: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Splits the indices 0..n-1 at random into those kept for training and `size` held out for validation.

    Both come back as int64 in ascending order. The choice depends on nothing but the arguments: it rests on
    `random.Random.random`, whose sequence Python guarantees, and on no library's shuffle.
    """
    if not 0 <= size < n:
        raise UserError(f"cannot hold {size} of {n} examples out: choose a number from 0 to {n - 1}")
    if seed < 0:
        raise UserError(f"seed {seed} is negative: choose one from 0 on")
    order = _shuffled(range(n), random.Random(seed))
    held_out, kept = sorted(order[:size]), sorted(order[size:])
    return torch.tensor(kept, dtype=torch.int64), torch.tensor(held_out, dtype=torch.int64)


def _shuffled(indices: range | list[int], draw: random.Random) -> list[int]:
    return [index for _, index in sorted((draw.random(), index) for index in indices)]


def _load_idx(name: str, classes: tuple[str, ...]) -> ImageSet:
    folder = fetch.locate(name)
    train, test = (
        LabelledImages(
            idx.read(folder / f"{stem}-images-idx3-ubyte.gz", dimensions=3),
            idx.read(folder / f"{stem}-labels-idx1-ubyte.gz", dimensions=1).to(torch.int64),
        )
        for stem in ("train", "t10k")
    )
    return ImageSet(name, train, test, classes, _sums(name))


def _load_cifar_100(name: str) -> ImageSet:
    folder = fetch.locate(name) / "cifar-100-binary"
    train, test = (cifar.read(folder / file) for file in ("train.bin", "test.bin"))
    return ImageSet(
        name,
        LabelledImages(train.images, train.fine),
        LabelledImages(test.images, test.fine),
        cifar.FINE_NAMES,
        _sums(name),
        cifar.superclasses(train),
        cifar.COARSE_NAMES,
    )


def _load_hierarchy(name: str) -> ImageSet:
    made = hierarchy.generate()
    train, test = (LabelledImages(*part) for part in (made.train, made.test))
    return ImageSet(
        name,
        train,
        test,
        hierarchy.CLASSES,
        {f"{hierarchy.__name__}.generate": hierarchy.digest(made)},
        hierarchy.SUPERCLASSES,
        hierarchy.SUPERCLASS_NAMES,
    )


def _load_cifar_100_coarse(name: str) -> ImageSet:
    folder = fetch.locate("cifar-100") / "cifar-100-binary"
    train, test = (cifar.read(folder / file) for file in ("train.bin", "test.bin"))
    return ImageSet(
        name,
        LabelledImages(train.images, train.coarse),
        LabelledImages(test.images, test.coarse),
        cifar.COARSE_NAMES,
        _sums("cifar-100"),
    )


DIGITS_TEST_SIZE = 500
_DIGITS_SEED = 0


def _load_digits(name: str) -> ImageSet:
    """The 1,797 8x8 digits inside scikit-learn, their values 0..16 scaled to 0..255.

    Split into 1,297 to train and 500 to test: each class gives its share of the 500, chosen at random under a
    fixed seed (`stratified`). Both parts keep scikit-learn's order; it records no writers, so both
    may hold digits of one writer.
    """
    values, labels, digest = digits.read()
    images = digits.scaled_to_bytes(values)
    test = stratified(labels.tolist(), DIGITS_TEST_SIZE, _DIGITS_SEED)
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[test] = True
    train_part, test_part = (
        LabelledImages(torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen]))
        for chosen in (~is_test, is_test)
    )
    return ImageSet(name, train_part, test_part, tuple("0123456789"), {"sklearn.datasets.load_digits": digest})


def stratified(labels: list[int], size: int, seed: int) -> list[int]:
    """Ascending indices of a random `size` of the examples in which every class has its share, rounded.

    What rounding down leaves goes to the classes with the largest remainders, the lower label first.
    """
    members: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for index, label in enumerate(labels):
        members[label].append(index)
    counts = {label: size * len(indices) // len(labels) for label, indices in members.items()}
    by_remainder = sorted(members, key=lambda label: (-(size * len(members[label]) % len(labels)), label))
    for label in by_remainder[: size - sum(counts.values())]:
        counts[label] += 1
    draw = random.Random(seed)
    chosen = [index for label in members for index in _shuffled(members[label], draw)[: counts[label]]]
    return sorted(chosen)


def _sums(name: str) -> dict[str, str]:
    return {file.path: file.sha256 for file in sources.named(name).files}


_FASHION = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

LOADERS: Mapping[str, Callable[[str], ImageSet]] = {
    "mnist": lambda name: _load_idx(name, tuple("0123456789")),
    "fashion-mnist": lambda name: _load_idx(name, _FASHION),
    "cifar-100": _load_cifar_100,
    "cifar-100-coarse": _load_cifar_100_coarse,
    "digits": _load_digits,
    "hierarchy": _load_hierarchy,
}
