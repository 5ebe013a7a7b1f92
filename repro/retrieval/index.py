"""Weighted n-grams as an inverted index, and the documents with the highest dot products.

Weightings: ``tf_idf`` is DrQA's (Chen et al. 2017, section 3.1 and code), log(1 + tf) max(0, log((N - n + .5) /
(n + .5))) in documents and questions alike, without normalising for length; ``bm25`` is Okapi's with the same idf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.retrieval.ngrams import Numbering, counts

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # a third of a second to import, which naming an experiment need not spend

Floats = NDArray[np.float64]
NONE = -1  # in place of a document, where fewer are found than asked for
_CELLS_AT_ONCE = 4_000_000  # scores held at a time


@dataclass(frozen=True)
class Index:
    """An inverted index: ``postings`` (columns in use, documents), the weights of documents.

    ``columns`` (ascending) are the numbers of the n-grams that some document has; the rows of the full matrix that
    are empty are not kept. A question's n-gram weighs ``query_weight[its row] * query_count(tf)``.
    """

    order: int
    numbering: Numbering
    columns: NDArray[np.int64]
    postings: csr_array
    query_weight: Floats
    query_count: Callable[[Floats], Floats]

    @property
    def documents(self) -> int:
        return int(self.postings.shape[1])

    def queries(self, texts: Iterable[str]) -> csr_array:
        """Weights of questions, (questions, columns in use)."""
        return self._weighted(counts(texts, self.order, self.numbering))

    def _weighted(self, found: csr_array) -> csr_array:
        from scipy.sparse import csr_array

        row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
        at = np.searchsorted(self.columns, found.indices)
        known = at < len(self.columns)
        known[known] = self.columns[at[known]] == found.indices[known]
        at = at[known]
        weights = self.query_weight[at] * self.query_count(found.data[known])
        return csr_array((weights, (row[known], at)), shape=(found.shape[0], len(self.columns)))

    def search(self, questions: Sequence[str], most: int) -> NDArray[np.int64]:
        """The ``most`` best documents of each question, best first: (questions, most).

        Of equal scores the earlier document comes first. A document that shares no weighted n-gram with the
        question is not found; what is missing is ``NONE``.

        Raises:
            ValueError: ``most`` below 1.
        """
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most}")
        weights = self.queries(questions)
        step = max(1, _CELLS_AT_ONCE // max(1, self.documents))
        parts = [
            best((weights[start : start + step] @ self.postings).toarray(), most)
            for start in range(0, len(questions), step)
        ]
        return np.concatenate(parts) if parts else np.empty((0, most), np.int64)


def best(scores: Floats, most: int) -> NDArray[np.int64]:
    """The columns of the ``most`` highest positive scores of each row, highest first, then lower column first."""
    rows, columns = scores.shape
    found = np.full((rows, most), NONE, np.int64)
    candidates = scores > 0
    if most < columns:
        candidates &= scores >= np.partition(scores, columns - most, axis=1)[:, columns - most, None]
    row, column = np.nonzero(candidates)
    ordered = np.lexsort((column, -scores[row, column], row))
    row, column = row[ordered], column[ordered]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < most
    found[row[kept], rank[kept]] = column[kept]
    return found


def inverse_frequency(documents: int, holding: NDArray[Any]) -> Floats:
    """max(0, log((N - n + .5) / (n + .5))) of n-grams that ``holding`` of N documents have."""
    return np.maximum(0.0, np.log((documents - holding + 0.5) / (holding + 0.5)))


def tf_idf(found: csr_array, order: int, numbering: Numbering, *, cosine: bool = False) -> Index:
    """An index of DrQA's weights from counts (documents, columns) made with the same order and numbering.

    ``cosine`` divides each document's weights by their Euclidean norm, which DrQA does not.
    """
    columns, at, idf = _in_use(found)
    weights = np.log1p(found.data) * idf[at]
    if cosine:
        row = _rows(found)
        norms = np.sqrt(np.bincount(row, weights**2, found.shape[0]))
        weights = weights / np.where(norms > 0, norms, 1.0)[row]
    return Index(order, numbering, columns, _inverted(found, at, weights, len(columns)), idf, np.log1p)


def bm25(found: csr_array, order: int, numbering: Numbering, *, k1: float = 1.2, b: float = 0.75) -> Index:
    """An index of Okapi BM25's weights, idf tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length)).

    A document's length is its number of counted n-grams; an n-gram that a question has twice counts twice.

    Raises:
        ValueError: a negative k1, or b outside of [0, 1].
    """
    if k1 < 0 or not 0 <= b <= 1:
        raise ValueError(f"k1 must not be negative and b must lie in [0, 1]: they are {k1:g} and {b:g}")
    columns, at, idf = _in_use(found)
    row = _rows(found)
    lengths = np.bincount(row, found.data, found.shape[0])
    mean = lengths.mean() if lengths.any() else 1.0
    damped = found.data * (k1 + 1) / (found.data + k1 * (1 - b + b * lengths[row] / mean))
    postings = _inverted(found, at, idf[at] * damped, len(columns))
    return Index(order, numbering, columns, postings, np.ones(len(columns)), lambda tf: tf)


def _in_use(found: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Columns that some document has, the place of each entry's column among them, and their idf."""
    columns, at = np.unique(found.indices, return_inverse=True)
    return columns.astype(np.int64), at, inverse_frequency(found.shape[0], np.bincount(at, minlength=len(columns)))


def _rows(found: csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))


def _inverted(found: csr_array, at: NDArray[np.int64], weights: Floats, columns: int) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array((weights, (at, _rows(found))), shape=(columns, found.shape[0]))
