"""The bench times two ways to the same numbers; how fast they are is no matter of tests."""

from repro.bench import retriever as bench
from repro.retrieval.ngrams import Hashed, counts


def entries(matrix):
    found = matrix.tocoo()
    return sorted(zip(found.coords[0].tolist(), found.coords[1].tolist(), found.data.tolist(), strict=True))


def test_the_plain_way_counts_and_finds_the_same():
    paragraphs, questions = bench.texts(30, 40, 0), bench.texts(8, 10, 1)
    plain = entries(bench.plain_matrix(paragraphs))
    assert plain == entries(counts(paragraphs, bench.ORDER, Hashed(bench.BINS)))
    index = bench.build(paragraphs)
    found = index.search(questions, bench.FOUND)
    for row, ranked in zip(found, bench.plain_search(index, questions), strict=True):
        kept = row[row >= 0]
        assert kept.tolist() == ranked[: len(kept)].tolist()


def test_texts_are_seeded_and_as_long_as_asked():
    assert bench.texts(3, 20, 5) == bench.texts(3, 20, 5)
    assert bench.texts(3, 20, 5) != bench.texts(3, 20, 6)
    assert {len(text.split()) for text in bench.texts(3, 20, 5)} == {20}
