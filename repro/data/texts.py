"""Texts as token indices: `load("ptb").train` is one long row of them."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from repro.data import fetch, sources
from repro.errors import UserError

UNKNOWN = "<unk>"
END = "<eos>"
PYDOC_WORDS = 1000
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")


@dataclass(frozen=True)
class TextSet:
    """Tokens (n,) int64 of each part in reading order; `words[token]` is a token's word.

    `sha256` maps what was read to its sum, for the record of a run.
    """

    name: str
    train: Tensor
    valid: Tensor
    test: Tensor
    words: tuple[str, ...]
    sha256: Mapping[str, str]


def load(name: str) -> TextSet:
    """The text `name`, downloaded if it is not on this machine: `ptb`, or `pydoc`, which comes with Python.

    Raises:
        UserError: an unknown name, or data that cannot be had or are not as published.
    """
    if name not in LOADERS:
        raise UserError(f"no text is called {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](name)


def limited(text: TextSet, words: int) -> TextSet:
    """The text with the first ``words`` words of its vocabulary, every other one unknown.

    Raises:
        UserError: fewer words than it takes to have the unknown among them.
    """
    unknown = text.words.index(UNKNOWN)
    if words <= unknown:
        raise UserError(f"words: {words} leaves {UNKNOWN!r} out, which is number {unknown} of {text.name}; take more")
    train, valid, test = (torch.where(part < words, part, unknown) for part in (text.train, text.valid, text.test))
    return TextSet(text.name, train, valid, test, text.words[:words], text.sha256)


def sequences(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (n, length): consecutive stretches, the target being the next token; a rest is dropped.

    Raises:
        UserError: a text shorter than one stretch.
    """
    count = (len(tokens) - 1) // length
    if count < 1:
        raise UserError(f"a text of {len(tokens)} tokens has no stretch of {length} and its next token")
    span = count * length
    return tokens[:span].view(count, length), tokens[1 : span + 1].view(count, length)


def unigram(tokens: Tensor, words: int) -> Tensor:
    """Relative frequency of every word, (words,) float32, each counted once more than it occurs."""
    counts = torch.bincount(tokens, minlength=words).double() + 1
    return (counts / counts.sum()).float()


def _indexed(name: str, parts: Sequence[Sequence[str]], words: Iterable[str], sums: Mapping[str, str]) -> TextSet:
    vocabulary = tuple(words)
    place = {word: index for index, word in enumerate(vocabulary)}
    unknown = place[UNKNOWN]
    train, valid, test = (torch.tensor([place.get(word, unknown) for word in part]) for part in parts)
    return TextSet(name, train, valid, test, vocabulary, sums)


def read_words(path: Path) -> list[str]:
    """Words of a text of one sentence a line, an end after each.

    Raises:
        UserError: the file cannot be read, or holds nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    found = [word for line in lines for word in (*line.split(), END)]
    if not found:
        raise UserError(f"{path}: is empty; fetch it again")
    return found


def _load_ptb(name: str) -> TextSet:
    """Mikolov's Penn Treebank; words by falling frequency in the training part."""
    folder = fetch.locate(name)
    parts = [read_words(folder / f"ptb.{part}.txt") for part in ("train", "valid", "test")]
    sums = {file.path: file.sha256 for file in sources.named(name).files}
    return _indexed(name, parts, _by_frequency(parts[0]), sums)


def _load_pydoc(name: str) -> TextSet:
    """Python's own language reference, as `help()` shows it: 79 topics, the 1,000 commonest words.

    Every eighth topic goes to validation, the one after it to test. The text differs a little between versions of
    Python; `sha256` says which was read.
    """
    from pydoc_data.topics import topics

    texts = [topics[topic].lower() for topic in sorted(topics)]
    parts: list[list[str]] = [[], [], []]
    for number, text in enumerate(texts):
        part = {0: 1, 1: 2}.get(number % 8, 0)
        parts[part] += [word for line in text.splitlines() for word in (*_WORD.findall(line), END)]
    words = [UNKNOWN, *_by_frequency(parts[0])][:PYDOC_WORDS]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return _indexed(name, parts, words, {"pydoc_data.topics": digest})


def _by_frequency(words: Sequence[str]) -> list[str]:
    counted = Counter(words)
    return sorted(counted, key=lambda word: (-counted[word], word))


LOADERS: Mapping[str, Callable[[str], TextSet]] = {"ptb": _load_ptb, "pydoc": _load_pydoc}
