"""What a small collection is worth: P@5 against the number of articles searched.

The paper's P@5 of 78 % is over 5,075,182 articles. Here the questions about a few articles are asked while ever more
other articles join the collection; the questions stay the same. Where five documents are all there is, any retriever
finds the answer (``answer_at_5``, the paper's P@5); random documents say how much of it is chance. Seeds draw the
articles and the order in which they join.

Departures: none of it is printed; 48 articles end far from Wikipedia, and no line is drawn beyond them.

Cost at scale ``paper``: 70 CPU-seconds in all.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from repro.compare import Answer
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.papers.chen2017._collection import (
    DATA,
    PRINTED_DATA,
    RANKS,
    UNITS,
    Numbers,
    Section,
    at_random,
    collection,
    difference,
    outcome,
)
from repro.plots.drawing import Drawing
from repro.results import Results

__all__ = ["DATA", "PRINTED_DATA", "Config", "arms", "claims", "figure", "run"]

METHODS = ("bigrams", "unigrams", "random")
ORDERS = {"bigrams": 2, "unigrams": 1}


class Config(Section):
    """``articles``: sizes of the collection; the questions are those about the articles of the smallest."""

    seeds: int = Field(5, ge=1)
    articles: tuple[PositiveInt, ...] = Field(min_length=2)
    bins: int = Field(2**24, ge=1, le=2**32)

    @field_validator("articles")
    @classmethod
    def _growing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must be different numbers, the smallest first")
        return value


def arm_name(unit: str, method: str, articles: int) -> str:
    return f"{unit}.{method}.{articles}"


def arms(config: Config) -> list[Arm]:
    shared = {"least_articles": config.articles[0], "bins": config.bins}
    return [
        Arm(
            arm_name(unit, method, articles),
            {"unit": unit, "method": method, "articles": articles, **shared},
            config.seeds,
            seeds_per_job=config.seeds,
        )
        for unit in UNITS
        for method in METHODS
        for articles in config.articles
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    settings = arm.settings
    searched = collection(context.data, settings["unit"])
    there = len(searched.source.titles)
    if settings["articles"] > there:
        raise UserError(f"{context.name}: {settings['articles']} articles asked for, {context.data} has {there}")
    joining = np.random.default_rng(seed).permutation(there)
    questions = searched.questions_of(joining[: settings["least_articles"]])
    documents = np.flatnonzero(np.isin(searched.article_of, joining[: settings["articles"]]))
    texts = [searched.documents[i] for i in documents]
    asked = [searched.source.questions[i] for i in questions]
    found = _ranked(settings["method"], texts, asked, settings["bins"], seed)
    everywhere = np.append(documents, -1)[found]  # numbers in the whole collection; what is missing stays so
    return Result(outcome(searched, questions, everywhere) | {"documents": len(documents)})


def _ranked(method: str, texts: Sequence[str], asked: Sequence[str], bins: int, seed: int) -> Numbers:
    from repro.retrieval import index, ngrams

    if method not in ORDERS:
        return at_random(len(texts), len(asked), seed)
    numbering = ngrams.Hashed(bins)
    counted = ngrams.counts(texts, ORDERS[method], numbering)
    return index.tf_idf(counted, ORDERS[method], numbering).search(asked, max(RANKS))


def figure(results: Results) -> Drawing:
    from repro.papers.chen2017._figures import collection_size

    return collection_size(results)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    least, most = config.articles[0], config.articles[-1]
    return [
        difference(
            f"PS402.squad.inflation_{unit}",
            results,
            arm_name(unit, "bigrams", most),
            arm_name(unit, "bigrams", least),
            "answer_at_5",
            f"questions with an answer string in the top 5 {unit}: {most} articles minus {least}",
            direction="less",
            setting="the same questions",
        )
        for unit in UNITS
    ]
