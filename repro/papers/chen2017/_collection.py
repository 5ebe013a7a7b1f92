"""What the experiments share: a collection to search, and how well its questions are served."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from repro.compare import Claim
from repro.data.questions import QuestionSet, load
from repro.results import Results
from repro.retrieval.answers import Finder
from repro.retrieval.index import NONE

DATA = {"quick": "pydoc-topics", "paper": "squad-dev-1.1", "cluster": "squad-dev-1.1"}
PRINTED_DATA = "wikipedia-2016-12-21"  # 5,075,182 articles
UNITS = ("paragraphs", "articles")
RANKS = (1, 5, 20)

Unit = Literal["paragraphs", "articles"]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Collection:
    """Documents (paragraphs or whole articles), and the document that each question of the set was asked about."""

    source: QuestionSet
    documents: tuple[str, ...]
    article_of: Numbers  # of each document
    gold: Numbers  # of each question
    finder: Finder
    asked: dict[tuple[int, int], bool] = field(default_factory=dict)  # answers already looked for

    def questions_of(self, articles: Iterable[int]) -> Numbers:
        """The questions asked about these articles, in the set's order."""
        return np.flatnonzero(np.isin(self.article_of[self.gold], list(articles)))

    def has_answer(self, question: int, document: int) -> bool:
        """Whether the document contains an answer to the question as a string, wherever it was asked about."""
        if (question, document) not in self.asked:
            self.asked[question, document] = self.finder.contains(document, self.source.answers[question])
        return self.asked[question, document]


@cache  # within a process: every run of it asks
def collection(data: str, unit: Unit) -> Collection:
    """The documents of a set of questions; raises UserError as ``repro.data.questions.load``."""
    source = load(data)
    article_of = np.array(source.article_of, np.int64)
    gold = np.array(source.gold, np.int64)
    if unit == "articles":
        articles = np.arange(len(source.titles))
        return Collection(source, source.articles, articles, article_of[gold], Finder(source.articles))
    return Collection(source, source.paragraphs, article_of, gold, Finder(source.paragraphs))


def outcome(searched: Collection, questions: Numbers, found: Numbers) -> dict[str, float | int | str]:
    """Shares in percent of the questions of which the first k documents include the one asked about (``gold_at_k``),
    or any that contains an answer (``answer_at_k``, the paper's P@k).

    Args:
        questions: their numbers.
        found: the documents of each, best first, (questions, at least the largest rank).
    """
    gold = found == searched.gold[questions, None]
    answered = np.array(
        [
            [document != NONE and searched.has_answer(question, document) for document in row]
            for question, row in zip(questions.tolist(), found[:, : max(RANKS)].tolist(), strict=True)
        ],
        dtype=np.bool_,
    )
    metrics: dict[str, float | int | str] = {"questions": len(questions), "documents": len(searched.documents)}
    for name, hits in (("gold", gold), ("answer", answered)):
        metrics |= {f"{name}_at_{k}": 100 * float(hits[:, :k].any(axis=1).mean()) for k in RANKS}
    return metrics


def at_random(documents: int, questions: int, seed: int) -> Numbers:
    """Documents drawn without replacement for each question, (questions, largest rank or all documents)."""
    draws = np.random.default_rng(seed).random((questions, documents))
    return np.argsort(draws, axis=1)[:, : max(RANKS)]


def difference(id: str, results: Results, arm: str, other: str, metric: str, quantity: str, **more: Any) -> Claim:
    """A claim that ``arm`` has more of a metric than ``other``, in points, paired by seed."""
    return Claim(id, quantity, tuple(results.paired(arm, other, metric)), unit="points", **more)


def scope(results: Results) -> str:
    """The end of a caption."""
    return f"{'Questions made by a rule. ' if results.data == DATA['quick'] else ''}{results.scope}"
