"""``retriever.*``: how fast texts are indexed and questions answered on one core, beside the plain way.

The plain way is what the paper's release does for each text: n-grams in a Python loop, scikit-learn's murmur3 for each,
a counter; and for each question a row of its own times the matrix. Both are timed in this process, in CPU seconds, the
best of three. Texts are seeded: words drawn by Zipf's law from as many as SQuAD's development set has, in paragraphs
and questions as long as its own, so that no data are needed.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from repro.bench import Measurement
from repro.retrieval.index import Index, tf_idf
from repro.retrieval.ngrams import Hashed, counts
from repro.retrieval.words import STOP_WORDS, carries_nothing, words

PARAGRAPHS, QUESTIONS = 2000, 10_000
PARAGRAPH_WORDS, QUESTION_WORDS, VOCABULARY = 123, 10, 23_000
BINS = 2**24
ORDER, FOUND = 2, 5
PLAIN_SHARE = 10  # the plain way is timed on a tenth of the texts


def texts(number: int, length: int, seed: int) -> list[str]:
    """Seeded texts of ``length`` words: Zipf's law over stop words first, then made words; one comma in eleven."""
    draw = np.random.default_rng(seed)
    vocabulary = np.array([*sorted(STOP_WORDS), *(f"w{i:x}ord" for i in range(VOCABULARY))])
    chance = 1 / np.arange(1, len(vocabulary) + 1)
    chosen = vocabulary[draw.choice(len(vocabulary), (number, length), p=chance / chance.sum())]
    chosen[:, 10::11] = ","
    return [" ".join(row) + "." for row in chosen]


def build(paragraphs: Sequence[str]) -> Index:
    """The index, from texts to weights."""
    numbering = Hashed(BINS)
    return tf_idf(counts(paragraphs, ORDER, numbering), ORDER, numbering)


def plain_counts(text: str) -> Counter[int]:
    """Hashed n-grams of one text, one at a time."""
    from sklearn.utils import murmurhash3_32

    found = words(text)
    grams = [
        " ".join(found[i : i + n])
        for i in range(len(found))
        for n in range(1, ORDER + 1)
        if i + n <= len(found) and not any(carries_nothing(word) for word in found[i : i + n])
    ]
    return Counter(murmurhash3_32(gram, positive=True) % BINS for gram in grams)


def plain_matrix(paragraphs: Sequence[str]) -> csr_array:
    """Counts of all texts, (texts, bins)."""
    rows = [plain_counts(text) for text in paragraphs]
    row = [number for number, found in enumerate(rows) for _ in found]
    column = [c for found in rows for c in found]
    return csr_array(([n for found in rows for n in found.values()], (row, column)), shape=(len(rows), BINS))


def plain_search(index: Index, questions: Sequence[str]) -> list[Any]:
    """The best documents of each question, one question at a time."""
    found = []
    for question in questions:
        scores = (index.queries([question]) @ index.postings).toarray()[0]
        found.append(np.argsort(-scores, kind="stable")[:FOUND])
    return found


def best_cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of this process, user and system: the least of some times."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def measure() -> list[Measurement]:
    """All rows of ``retriever.*``, in about ten CPU-seconds."""
    paragraphs, questions = texts(PARAGRAPHS, PARAGRAPH_WORDS, 0), texts(QUESTIONS, QUESTION_WORDS, 1)
    some, few = paragraphs[: PARAGRAPHS // PLAIN_SHARE], questions[: QUESTIONS // PLAIN_SHARE]
    index = build(paragraphs)
    indexing = PARAGRAPHS / best_cpu_seconds(lambda: build(paragraphs)) * 60
    plain_indexing = len(some) / best_cpu_seconds(lambda: plain_matrix(some)) * 60
    searching = QUESTIONS / best_cpu_seconds(lambda: index.search(questions, FOUND))
    plain_searching = len(few) / best_cpu_seconds(lambda: plain_search(index, few), 1)
    return [
        Measurement("retriever.index", "paragraphs a CPU-minute", indexing, "paragraphs/min", ">= 200000"),
        Measurement("retriever.index", "times the plain way", indexing / plain_indexing, "x"),
        Measurement(
            "retriever.search", f"questions a CPU-second, {PARAGRAPHS} paragraphs", searching, "1/s", ">= 1000"
        ),
        Measurement("retriever.search", "times one question at a time", searching / plain_searching, "x"),
    ]
