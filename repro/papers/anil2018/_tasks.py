"""The problems of the experiments, as tasks that one process or many can train.

The leading underscore says that it is no experiment.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.codistill.task import Batch, Metrics, Task, Wanted
from repro.data import folders, tables, texts
from repro.data.hashed import hashed
from repro.data.sets import hold_out, load_once
from repro.data.texts import TextSet
from repro.distill.transfer import balanced_subset
from repro.models.convnet import convnet
from repro.models.lstm_lm import LanguageModel
from repro.models.mlp import mlp
from repro.models.resnet import resnet
from repro.training.inputs import flat_float
from repro.training.keys import generator_seed

EVALUATED_AT_ONCE = 2000


@dataclass(frozen=True)
class Cases:
    """Inputs (cases, features) float32 and labels (cases,) int64 of three parts of a table."""

    train_x: Tensor
    train_y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    test_x: Tensor
    test_y: Tensor

    def held_out(self, part: str) -> tuple[Tensor, Tensor]:
        """Inputs and labels of ``validation`` or ``test``."""
        x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        return x, y


@cache
def table_cases(name: str, validation: int, test: int, buckets: int) -> Cases:
    """A table's cases, split at random once for all seeds.

    Continuous attributes become sign(x) log(1 + |x|), standardised by the training cases; categories are hashed.
    """
    found = tables.load(name)
    rest, test_rows = hold_out(len(found.cases), test, seed=0)
    kept, held = hold_out(len(rest), validation, seed=1)
    train_rows, validation_rows = rest[kept], rest[held]
    values = found.cases.continuous
    values = np.sign(values) * np.log1p(np.abs(values))
    own = values[train_rows.numpy()]
    values = (values - own.mean(0)) / np.maximum(own.std(0), 1e-12)
    x = torch.from_numpy(np.concatenate([values.astype(np.float32), hashed(found.cases, buckets)], axis=1))
    y = torch.from_numpy(found.labels)
    parts = [part for rows in (train_rows, validation_rows, test_rows) for part in (x[rows], y[rows])]
    return Cases(*parts)


def table(name: str, hidden: tuple[int, ...], *, validation: int, test: int, buckets: int) -> tuple[Task, Cases]:
    """A net of ReLUs on a table of two classes, and its cases."""
    cases = table_cases(name, validation, test, buckets)

    def model(seed: int) -> nn.Module:
        return mlp((cases.train_x.shape[1], *hidden, 2), seed=seed)

    def batch(rows: Tensor, key: int) -> Batch:
        return cases.train_x[rows], cases.train_y[rows]

    return Task(model, len(cases.train_y), batch), cases


@cache
def _rows(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    data = load_once(name)
    return flat_float(data.train.images), data.train.labels, flat_float(data.test.images), data.test.labels


def images(name: str, hidden: tuple[int, ...], *, cases: int | None = None, held_out: int = 0) -> Task:
    """A net of ReLUs on an image set; errors in per cent and loss on its test cases.

    With ``held_out`` so many training cases are judged on instead (split ``validation``) and not learned from; of
    the others ``cases`` are, chosen once for all seeds.
    """
    x, y, test_x, test_y = _rows(name)
    split = "test"
    if held_out:
        kept, held = hold_out(len(x), held_out, seed=0)
        split, test_x, test_y, x, y = "validation", x[held], y[held], x[kept], y[kept]
    if cases is not None:
        chosen = balanced_subset(y, cases, seed=0)
        x, y = x[chosen], y[chosen]
    classes = len(load_once(name).classes)

    def batch(rows: Tensor, key: int) -> Batch:
        return x[rows], y[rows]

    def evaluate(model: nn.Module) -> Metrics:
        device = next(model.parameters()).device
        logits = torch.cat([model(part.to(device)).float().cpu() for part in test_x.split(EVALUATED_AT_ONCE)])
        wrong = 100 * float((logits.argmax(1) != test_y).double().mean())
        return {split: {"error_percent": wrong, "loss": float(F.cross_entropy(logits, test_y))}}

    return Task(lambda seed: mlp((x.shape[1], *hidden, classes), seed=seed), len(y), batch, evaluate=evaluate)


def _convolutional(name: str, net: Mapping[str, Any], held_out: int) -> Task:
    """The task of `images` with pictures kept in their shape and a convolutional net; pixels less their mean."""
    flat = images(name, (), held_out=held_out)
    found = tuple(load_once(name).train.images.shape[1:])
    shape = found if len(found) == 3 else (1, *found)
    classes = len(load_once(name).classes)

    class Shaped(nn.Module):
        """Flat rows as pictures."""

        def __init__(self, seed: int) -> None:
            super().__init__()
            self.net = convnet(shape[0], net["widths"], classes, seed=seed)

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.net((rows.view(-1, *shape) - 0.5) / 0.25)
            return logits

    return replace(flat, model=Shaped)


LOADERS = 8
PICTURES_A_PIECE = 512
"""A larger batch is put together from pieces of so many: one of 16,384 takes 9.9 GB, and many are on their way."""


@dataclass(frozen=True)
class InPieces:
    """Batches of pictures in pieces that several processes prepare; up to one piece as `Pixels` has them."""

    pixels: folders.Pixels
    loaders: int

    def __call__(self, rows: Tensor, key: int) -> tuple[Tensor, Tensor]:
        return _joined(len(rows), (self.pixels(*piece) for piece in self._pieces(rows, key)))

    def ahead(self, wanted: Iterable[Wanted]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of all that is wanted, in order, each as if asked for alone."""
        sizes: deque[int] = deque()

        def pieces() -> Iterator[Wanted]:
            for rows, key in wanted:
                sizes.append(len(rows))
                yield from self._pieces(rows, key)

        prepared = folders.ahead(self.pixels, self.loaders)(pieces())
        for first in prepared:
            yield _joined(sizes.popleft(), chain([first], prepared))

    def _pieces(self, rows: Tensor, key: int) -> list[Wanted]:
        parts = rows.split(PICTURES_A_PIECE)
        return [(part, generator_seed(key, "piece", number) if number else key) for number, part in enumerate(parts)]


def _joined(size: int, pieces: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The next pieces, so many that they have ``size`` rows, as one; a single one as it is."""
    x, y = next(pieces)
    if len(y) == size:
        return x, y
    all_x, all_y = x.new_empty(size, *x.shape[1:]), y.new_empty(size)
    filled = 0
    while True:
        all_x[filled : filled + len(y)], all_y[filled : filled + len(y)] = x, y
        filled += len(y)
        if filled == size:
            return all_x, all_y
        x, y = next(pieces)


def _from_folder(name: str, net: Mapping[str, Any], held_out: int, loaders: int) -> Task:
    """Pictures of a folder; errors in per cent and loss on its val part, or on training pictures held out.

    ``loaders``: processes that read pictures ahead, for training and for every evaluation; 0: whoever learns reads.
    """
    found = folders.load(name)
    split, judged = "test", found.val
    rows = torch.arange(len(found.train))
    if held_out:
        rows, held = hold_out(len(found.train), held_out, seed=0)
        split, judged = "validation", found.train.take(held)
    pixels = InPieces(folders.Pixels(found.train.take(rows), net["size"], training=True), loaders)
    middle = folders.Pixels(judged, net["size"], training=False)

    def evaluate(model: nn.Module) -> Metrics:
        device = next(model.parameters()).device
        wrong, total = 0, 0.0
        wanted = [(part, 0) for part in torch.arange(len(judged)).split(250)]
        for x, y in folders.ahead(middle, loaders)(wanted):
            logits = model(x.to(device)).float().cpu()
            wrong += int((logits.argmax(1) != y).sum())
            total += float(F.cross_entropy(logits, y, reduction="sum"))
        return {split: {"error_percent": 100 * wrong / len(judged), "loss": total / len(judged)}}

    def model(seed: int) -> nn.Module:
        return resnet(len(found.classes), seed=seed, blocks=net["blocks"], width=net["width"])

    return Task(model, len(rows), pixels, evaluate=evaluate, loader=pixels.ahead)


PICTURES: Mapping[str, Callable[[str, Mapping[str, Any], int, int], Task]] = {
    "mlp": lambda name, net, held_out, _: images(name, tuple(net["hidden"]), held_out=held_out),
    "convnet": lambda name, net, held_out, _: _convolutional(name, net, held_out),
    "resnet": _from_folder,
}


def pictures(name: str, net: Mapping[str, Any], *, held_out: int = 0, loaders: int = LOADERS) -> Task:
    """An image set and a net as the large-batch experiments' configs describe it.

    ``loaders``: processes that read ahead where pictures are files; others lie in memory.
    """
    return PICTURES[net["kind"]](name, net, held_out, loaders)


@cache
def text(name: str, words: int) -> TextSet:
    """A text with so many words, read once per process."""
    return texts.limited(texts.load(name), words)


def language(
    name: str,
    *,
    words: int,
    embedding: int,
    hidden: int,
    layers: int,
    length: int,
    judged_on: str = "test",
    judged_tokens: int | None = None,
    half: int | None = None,
) -> Task:
    """A recurrent net on stretches of ``length`` tokens; its loss on the first ``judged_tokens`` of a held-out part.

    With ``half`` only every second stretch is learned from, beginning with that one.
    """
    found = text(name, words)
    x, y = texts.sequences(found.train, length)
    if half is not None:
        x, y = x[half::2], y[half::2]
    held_x, held_y = texts.sequences(getattr(found, judged_on)[:judged_tokens], length)
    at_once = max(1, 1024 // length)

    def model(seed: int) -> nn.Module:
        return LanguageModel(len(found.words), embedding=embedding, hidden=hidden, layers=layers, seed=seed)

    def batch(rows: Tensor, key: int) -> Batch:
        return x[rows], y[rows]

    def evaluate(model: nn.Module) -> Metrics:
        device = next(model.parameters()).device
        total = 0.0
        for part_x, part_y in zip(held_x.split(at_once), held_y.split(at_once), strict=True):
            logits = model(part_x.to(device)).flatten(0, 1).float()
            total += float(F.cross_entropy(logits, part_y.to(device).flatten(), reduction="sum"))
        return {judged_on: {"loss": total / held_y.numel()}}

    return Task(model, len(x), batch, evaluate=evaluate)
