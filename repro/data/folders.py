"""Image sets that lie as one JPEG a file, one folder a class: ImageNet and its subsets.

``$REPRO_DATA/<set>/train/<class>/*.JPEG`` and ``.../val/<class>/*.JPEG``; labels follow the sorted names of the class
folders. Nothing is downloaded: ImageNet is given out by its publisher alone.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from repro.errors import UserError
from repro.training.keys import generator_seed

SETS = ("imagenet", "tiny-imagenet-25")
SUFFIXES = (".jpeg", ".jpg")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training pixels, in [0, 1]
Wanted = tuple[Tensor, int]


@dataclass(frozen=True)
class Part:
    """Files and labels (n,) int64 of one part of a set, by class and then by name."""

    files: tuple[Path, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Tensor) -> "Part":
        """The pictures of these rows, in their order."""
        return Part(tuple(self.files[row] for row in rows.tolist()), self.labels[rows])


@dataclass(frozen=True)
class FolderSet:
    """A set in folders; ``sha256`` is of the list of classes, file names and sizes, not of all pixels."""

    name: str
    train: Part
    val: Part
    classes: tuple[str, ...]
    sha256: Mapping[str, str]


def load(name: str) -> FolderSet:
    """The folder set ``name`` under REPRO_DATA.

    Raises:
        UserError: no such folder, classes that differ between train and val, a class without images, no Pillow.
    """
    if name not in SETS:
        raise UserError(f"no folder of images is called {name!r}: choose one of {', '.join(SETS)}")
    _pillow()
    root = os.environ.get("REPRO_DATA")
    if not root:
        raise UserError(f"{name}: set REPRO_DATA to a folder that has {name}/train/<class>/*.JPEG and {name}/val/...")
    return read(Path(root) / name, name)


def read(folder: Path, name: str) -> FolderSet:
    """The folder set in ``folder``; raises as ``load``."""
    classes = {part: _classes(folder / part) for part in ("train", "val")}
    if classes["train"] != classes["val"]:
        odd = sorted(set(classes["train"]) ^ set(classes["val"]))
        where = "train" if odd[0] in classes["train"] else "val"
        raise UserError(f"{folder}: class {odd[0]} is in {where} alone; train and val must have the same classes")
    parts = {part: _part(folder / part, names) for part, names in classes.items()}
    listing = hashlib.sha256()
    for part in parts.values():
        for file in part.files:
            listing.update(f"{file.relative_to(folder)}:{file.stat().st_size}\n".encode())
    return FolderSet(name, parts["train"], parts["val"], classes["train"], {"listing": listing.hexdigest()})


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; lay the set out as train/<class>/*.JPEG and val/<class>/*.JPEG")
    found = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if not found:
        raise UserError(f"{folder}: holds no folder of a class")
    return found


def _part(folder: Path, classes: tuple[str, ...]) -> Part:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        own = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not own:
            raise UserError(f"{folder / name}: holds no JPEG; every class needs some")
        files += own
        labels += [label] * len(own)
    return Part(tuple(files), torch.tensor(labels))


@dataclass(frozen=True)
class Pixels:
    """Turns files into a batch: (n, 3, size, size) float32, ImageNet's mean and standard deviation taken out.

    In training a random rectangle (8 to 100 % of the area, sides 3:4 to 4:3) is scaled to the size and mirrored half
    of the time (Szegedy et al. 2015, as in Goyal et al. 2017); else the middle of the picture, whose shorter side is
    scaled to 8/7 of the size. What is random is keyed by (key, place in the batch).
    """

    part: Part
    size: int
    training: bool

    def __call__(self, rows: Tensor, key: int) -> tuple[Tensor, Tensor]:
        pixels = np.stack([self._one(int(row), generator_seed(key, place)) for place, row in enumerate(rows.tolist())])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        return ((x - mean) / std).contiguous(), self.part.labels[rows]

    def _one(self, row: int, seed: int) -> Any:
        image_module = _pillow()
        path = self.part.files[row]
        try:
            with image_module.open(path) as file:
                picture = file.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as an image ({error}); restore or remove it") from None
        box = _random_box(picture.size, seed) if self.training else _middle_box(picture.size)
        picture = picture.resize((self.size, self.size), image_module.Resampling.BILINEAR, box=box)
        pixels = np.asarray(picture, dtype=np.uint8)
        return pixels[:, ::-1] if self.training and seed % 2 else pixels


def _random_box(size: tuple[int, int], seed: int) -> tuple[float, float, float, float]:
    width, height = size
    draw = np.random.Generator(np.random.PCG64(seed))
    for _ in range(10):
        area = width * height * draw.uniform(0.08, 1.0)
        ratio = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = float(np.sqrt(area * ratio)), float(np.sqrt(area / ratio))
        if w <= width and h <= height:
            left, top = draw.uniform(0, width - w), draw.uniform(0, height - h)
            return (left, top, left + w, top + h)
    return _middle_box(size)


def _middle_box(size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    side = min(width, height) * 7 / 8
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)


class _Ahead(Dataset[Any]):
    """A data set whose item is a whole batch, so that one worker process prepares it; or why it cannot be had.

    An error that leaves a worker process has its whole traceback as its text.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __getitem__(self, wanted: Wanted) -> tuple[Tensor, Tensor] | str:
        try:
            return self.pixels(*wanted)
        except UserError as error:
            return str(error)


def ahead(pixels: Pixels, processes: int) -> Callable[[Iterable[Wanted]], Iterator[tuple[Tensor, Tensor]]]:
    """Prepares batches in order, several processes ahead of what is wanted; 0 processes: when wanted.

    What it returns raises UserError at the batch that has an unreadable picture.
    """

    def prepare(wanted: Iterable[Wanted]) -> Iterator[tuple[Tensor, Tensor]]:
        # The sampler hands on (rows, key) pairs where others hand on indices.
        # Forked, since only its children notice that a process was killed, and end.
        method = "fork" if processes else None
        loader = DataLoader(
            _Ahead(pixels), batch_size=None, sampler=wanted, num_workers=processes, multiprocessing_context=method
        )
        for batch in loader:
            if isinstance(batch, str):
                raise UserError(batch)
            yield batch

    return prepare


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise UserError("JPEG folders need Pillow, which is not installed: pip install pillow") from None
    return Image
