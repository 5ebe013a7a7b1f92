"""N-grams of many texts as sparse counts: every distinct n-gram is built and numbered once, not once a place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from repro.retrieval.murmur3 import murmur3_32
from repro.retrieval.words import carries_nothing, tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Numbering = Callable[[Sequence[str]], NDArray[np.int64]]
MOST_BINS = 2**32


@dataclass(frozen=True)
class Hashed:
    """Numbers n-grams by murmur3 modulo ``bins``; n-grams that meet in a bin are counted as one.

    Raises:
        ValueError: no bins, or more than the hash has values.
    """

    bins: int

    def __post_init__(self) -> None:
        if not 1 <= self.bins <= MOST_BINS:
            raise ValueError(f"bins must lie between 1 and 2^32, not {self.bins}")

    def __call__(self, grams: Sequence[str]) -> NDArray[np.int64]:
        return murmur3_32([gram.encode() for gram in grams]).astype(np.int64) % self.bins


class Numbered:
    """Numbers n-grams one by one as they are first met, so that none share a number."""

    def __init__(self) -> None:
        self._numbers = _FirstMet()

    def __call__(self, grams: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter(map(self._numbers.__getitem__, grams), np.int64, len(grams))


class _FirstMet(dict[str, int]):
    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number


def counts(texts: Iterable[str], order: int, numbering: Numbering, shuffle: int | None = None) -> csr_array:
    """How often each n-gram of up to ``order`` words stands in each text: (texts, columns) float64.

    A column is what ``numbering`` gives; there are as many as the largest number needs. N-grams with a stop word or
    punctuation in them are left out (``words.carries_nothing``). With ``shuffle``, a seed, the words of each text are
    put in random order first: the same words, and n-grams of words that did not stand together.

    Raises:
        ValueError: an order below 1.
    """
    from scipy.sparse import csr_array

    if order < 1:
        raise ValueError(f"order must be 1 or more, not {order}")
    spelt = _FirstMet()
    places: list[int] = []
    lengths = []
    for text in texts:
        before = len(places)
        places.extend(map(spelt.__getitem__, tokens(text)))
        lengths.append(len(places) - before)
    # Lower case by token, not by text: the small sigma depends on where a word ends.
    lower = _FirstMet()
    words_of = np.fromiter((lower[token.lower()] for token in spelt), np.int64, len(spelt))
    word = words_of[np.array(places, np.int64)]
    document = np.repeat(np.arange(len(lengths)), lengths)
    if shuffle is not None:
        draws = np.random.default_rng(shuffle).random(len(word))
        word = word[np.lexsort((draws, document))]
    vocabulary = list(lower)
    kept = ~np.fromiter(map(carries_nothing, vocabulary), np.bool_, len(vocabulary))[word]

    place = np.flatnonzero(kept)
    gram, spelling = word[place], vocabulary
    rows, columns = [document[place]], [_columns(gram, spelling, numbering)]
    for length in range(2, order + 1):
        last = place + length - 1
        going = last < len(word)
        going[going] = kept[last[going]] & (document[last[going]] == document[place[going]])
        place = place[going]
        pairs, gram = np.unique(gram[going] * len(vocabulary) + word[place + length - 1], return_inverse=True)
        heads, tails = np.divmod(pairs, len(vocabulary))
        spelling = [f"{spelling[h]} {vocabulary[t]}" for h, t in zip(heads.tolist(), tails.tolist(), strict=True)]
        rows.append(document[place])
        columns.append(_columns(gram, spelling, numbering))
    row, column = np.concatenate(rows), np.concatenate(columns)
    width = int(column.max(initial=-1)) + 1
    found = csr_array((np.ones(len(row)), (row, column)), shape=(len(lengths), width))
    found.sum_duplicates()
    return found


def _columns(gram: NDArray[np.int64], spelling: Sequence[str], numbering: Numbering) -> NDArray[np.int64]:
    """The columns of n-grams given by their place in ``spelling``; only those that occur are numbered."""
    used, inverse = np.unique(gram, return_inverse=True)
    return numbering([spelling[i] for i in used.tolist()])[inverse]
