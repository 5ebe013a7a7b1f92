"""The whole retriever against a naive one: Python loops, scikit-learn's hash, the full matrix of all bins."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.utils import murmurhash3_32

from repro.retrieval import index, ngrams
from repro.retrieval.words import carries_nothing, words

VOCABULARY = ("oil", "Oil", "price", "the", "of", "crisis", "1973", ",", "$", "caf\u00e9", "embargo", "rose")
TEXT = st.lists(st.sampled_from(VOCABULARY), max_size=15).map(" ".join)
TEXTS = st.lists(TEXT, min_size=1, max_size=8)


def grams_of(text, order):
    found = words(text)
    return [
        " ".join(found[start : start + length])
        for start in range(len(found))
        for length in range(1, order + 1)
        if start + length <= len(found) and not any(map(carries_nothing, found[start : start + length]))
    ]


def counted(text, order, bins):
    return Counter(murmurhash3_32(gram, positive=True) % bins for gram in grams_of(text, order))


def idf(documents, holding):
    return max(0.0, math.log((documents - holding + 0.5) / (holding + 0.5)))


def naive_tf_idf(texts, question, order, bins):
    found = [counted(text, order, bins) for text in texts]
    holding = Counter(column for document in found for column in document)
    asked = counted(question, order, bins)
    return [
        sum(
            math.log1p(asked[c]) * math.log1p(document[c]) * idf(len(texts), holding[c]) ** 2
            for c in asked
            if c in document
        )
        for document in found
    ]


def naive_bm25(texts, question, order, bins, k1, b):
    found = [counted(text, order, bins) for text in texts]
    holding = Counter(column for document in found for column in document)
    lengths = [sum(document.values()) for document in found]
    mean = sum(lengths) / len(lengths)
    scores = []
    for document, length in zip(found, lengths, strict=True):
        score = 0.0
        for column, times in counted(question, order, bins).items():
            tf = document[column]
            if tf:
                weight = idf(len(texts), holding[column]) * tf * (k1 + 1)
                score += times * weight / (tf + k1 * (1 - b + b * length / mean))
        scores.append(score)
    return scores


@given(texts=TEXTS, order=st.integers(1, 4), bits=st.sampled_from([2, 5, 24]))
def test_counts_are_those_of_the_naive_loop(texts, order, bits):
    found = ngrams.counts(texts, order, ngrams.Hashed(2**bits))
    assert found.shape[0] == len(texts)
    for row, text in enumerate(texts):
        part = found[[row]].tocoo()
        assert dict(zip(part.coords[1].tolist(), part.data.tolist(), strict=True)) == counted(text, order, 2**bits)


@settings(deadline=None)
@given(texts=TEXTS, question=TEXT, order=st.integers(1, 3), bits=st.sampled_from([3, 24]))
def test_scores_are_those_of_the_naive_formula(texts, question, order, bits):
    numbering = ngrams.Hashed(2**bits)
    found = ngrams.counts(texts, order, numbering)
    for built, expected in (
        (index.tf_idf(found, order, numbering), naive_tf_idf(texts, question, order, 2**bits)),
        (index.bm25(found, order, numbering, k1=1.5, b=0.6), naive_bm25(texts, question, order, 2**bits, 1.5, 0.6)),
    ):
        assert built.documents == len(texts)
        scores = (built.queries([question]) @ built.postings).toarray()[0]
        np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-12)


def test_the_index_is_the_full_matrix_less_its_empty_rows():
    """As the release stores it: all bins by documents, weights of a question times it."""
    texts = ["oil price rose", "the price of oil, the price", "embargo", "caf\u00e9 embargo crisis", "crisis 1973"]
    bins, numbering = 2**18, ngrams.Hashed(2**18)
    found = ngrams.counts(texts, 2, numbering)
    full = csr_array((found.data, found.indices, found.indptr), shape=(len(texts), bins)).T.tocsr()
    holding = np.diff(full.indptr)
    weights = np.maximum(0, np.log((len(texts) - holding + 0.5) / (holding + 0.5)))
    full.data = np.log1p(full.data) * np.repeat(weights, holding)
    question = counted("oil price crisis oil", 2, bins)
    row = np.zeros(bins)
    for column, times in question.items():
        row[column] = math.log1p(times) * weights[column]
    built = index.tf_idf(found, 2, numbering)
    scores = (built.queries(["oil price crisis oil"]) @ built.postings).toarray()[0]
    np.testing.assert_allclose(scores, row @ full, rtol=1e-12)
    assert scores.any()


@given(
    scores=st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=6, max_size=6), min_size=1, max_size=5),
    most=st.integers(1, 8),
)
def test_the_best_are_those_of_a_stable_sort(scores, most):
    found = index.best(np.array(scores), most)
    for row, values in zip(found.tolist(), scores, strict=True):
        expected = [i for i in sorted(range(6), key=lambda i: (-values[i], i)) if values[i] > 0][:most]
        assert row == expected + [index.NONE] * (most - len(expected))


def test_a_text_finds_itself_and_an_empty_question_nothing():
    texts = [f"word{i} word{i + 1} word{i * i} embargo" for i in range(40)]
    numbering = ngrams.Hashed(2**24)
    built = index.tf_idf(ngrams.counts(texts, 2, numbering), 2, numbering)
    assert built.search(texts, 1)[:, 0].tolist() == list(range(40))
    assert built.search(["the of", "unheard", ""], 3).tolist() == [[index.NONE] * 3] * 3
    assert built.search([], 3).shape == (0, 3)


def test_questions_in_many_batches_are_answered_as_in_one(monkeypatch):
    texts = [f"word{i % 7} word{i % 5} word{i}" for i in range(30)]
    numbering = ngrams.Hashed(2**12)
    built = index.tf_idf(ngrams.counts(texts, 2, numbering), 2, numbering)
    whole = built.search(texts, 5)
    monkeypatch.setattr(index, "_CELLS_AT_ONCE", 1)
    assert (built.search(texts, 5) == whole).all()


def test_numbered_n_grams_never_meet():
    texts = ["a1 b1 c1", "a1 b1 d1", "c1 a1"]
    found = ngrams.counts(texts, 2, ngrams.Numbered())
    assert len(np.unique(found.indices)) == len({gram for text in texts for gram in grams_of(text, 2)})
    one = ngrams.counts(texts, 2, ngrams.Hashed(1))
    assert one.toarray().ravel().tolist() == [5, 5, 3]


def test_numbered_and_widely_hashed_n_grams_rank_alike():
    texts = [f"word{i % 7} word{i % 5} word{i}" for i in range(30)]
    built = [
        index.tf_idf(ngrams.counts(texts, 2, numbering), 2, numbering)
        for numbering in (ngrams.Numbered(), ngrams.Hashed(2**32))
    ]
    assert (built[0].search(texts, 5) == built[1].search(texts, 5)).all()


def test_shuffling_keeps_each_texts_words_and_loses_their_order():
    texts = [" ".join(f"word{i}" for i in range(30 * k, 30 * k + 30)) for k in range(3)]
    numbering = ngrams.Numbered()
    plain, shuffled = ngrams.counts(texts, 1, numbering), ngrams.counts(texts, 1, numbering, shuffle=0)
    assert (plain.toarray() == shuffled.toarray()).all()
    two = ngrams.counts(texts, 2, numbering), ngrams.counts(texts, 2, numbering, shuffle=0)
    assert two[0].sum() == two[1].sum()
    assert len(np.intersect1d(two[0].indices, two[1].indices)) < 90 + 20
    again = ngrams.counts(texts, 2, numbering, shuffle=0)
    assert (again != two[1]).nnz == 0


def test_the_cosine_is_of_unit_documents():
    texts = ["oil price", "oil oil oil price rose", "embargo", "crisis", "1973"]
    numbering = ngrams.Numbered()
    built = index.tf_idf(ngrams.counts(texts, 1, numbering), 1, numbering, cosine=True)
    np.testing.assert_allclose(built.postings.power(2).sum(axis=0), 1.0)


def test_nothing_to_index_is_no_error():
    numbering = ngrams.Hashed(2**24)
    for texts in ([], ["", "the"]):
        found = ngrams.counts(texts, 2, numbering)
        assert found.shape[0] == len(texts)
        assert found.nnz == 0
    built = index.bm25(ngrams.counts(["", "the"], 2, numbering), 2, numbering)
    assert built.search(["oil"], 2).tolist() == [[index.NONE] * 2]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lambda: ngrams.Hashed(0), "bins must lie between"),
        (lambda: ngrams.Hashed(2**33), "bins must lie between"),
        (lambda: ngrams.counts(["oil"], 0, ngrams.Numbered()), "order must be 1 or more"),
        (lambda: index.bm25(csr_array((1, 1)), 1, ngrams.Numbered(), k1=-1), "k1 must not be negative"),
        (lambda: index.bm25(csr_array((1, 1)), 1, ngrams.Numbered(), b=2), "b must lie in"),
        (lambda: index.tf_idf(csr_array((1, 1)), 1, ngrams.Numbered()).search(["x"], 0), "most must be 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(what, told):
    with pytest.raises(ValueError, match=told):
        what()
