"""What a small collection is worth: P@5 against the number of articles searched.

The paper's P@5 of 78 % is over 5,075,182 articles. Here the questions about a few articles are asked while ever more
other articles join the collection; the questions stay the same. Where five documents are all there is, any retriever
finds the answer (``answer_at_5``, the paper's P@5); random documents say how much of it is chance. Seeds draw the
articles and the order in which they join.

Departures: none of it is printed; 48 articles end far from Wikipedia, and no line is drawn beyond them.

Cost at scale ``paper``: 70 CPU-seconds in all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from repro.compare import Answer, t_interval
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.papers.chen2017._collection import (
    DATA,
    PRINTED_DATA,
    RANKS,
    UNITS,
    Numbers,
    at_random,
    collection,
    difference,
    outcome,
    scope,
)
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

__all__ = ["DATA", "PRINTED_DATA", "Config", "arms", "claims", "figure", "run"]

METHODS = ("bigrams", "unigrams", "random")
ORDERS = {"bigrams": 2, "unigrams": 1}
LINES: tuple[tuple[str, float, Any], ...] = (("answer_at_5", 0.97, "-"), ("gold_at_5", 1.03, ":"))  # and a shift


class Config(Options):
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
            device="cpu",
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
    """Answer strings and documents found against the number of articles searched."""
    from repro.papers.chen2017._figures import all_named
    from repro.plots.style import axes, with_intervals

    config = Config.model_validate(results.config)
    drawn, panels = axes(2, width_in=11.0, height_in=5.0)
    data: list[dict[str, Any]] = []
    for unit, ax in zip(UNITS, panels, strict=True):
        for number, method in enumerate(METHODS):
            for metric, shift, line in LINES:
                marks = []
                for articles in config.articles:
                    values = list(results.values(arm_name(unit, method, articles), metric).values())
                    if values:
                        marks.append((articles * shift, *t_interval(values)))
                        row = {"unit": unit, "method": method, "metric": metric, "articles": articles}
                        low, high = marks[-1][2:]
                        data.append(row | {"mean": marks[-1][1], "low": low, "high": high, "n": len(values)})
                what = "answer string" if metric == "answer_at_5" else "document asked about"
                before = len(ax.get_lines())  # the line itself is the first that error bars add
                with_intervals(ax, marks, number, f"{method}, {what}")
                ax.get_lines()[before].set_linestyle(line)
                if not number:  # the next line lies on this one
                    ax.get_lines()[before].set(linewidth=4.5, markersize=11)
        ax.set_title(f"five {unit}")
        ax.set_xscale("log")
        ax.set_xticks(config.articles, [str(n) for n in config.articles])
        ax.minorticks_off()
        ax.set_ylim(0, 103)
        ax.set_xlabel("articles in the collection")
    panels[0].set_ylabel("questions, %")
    drawn.legend(*all_named(panels), loc="outside lower center", ncols=3, fontsize=10)
    caption = (
        f"The same questions, about {config.articles[0]} articles, asked of collections of more and more articles. "
        "Full lines: an answer string stands in one of the first five documents (the paper's P@5); dotted: the one "
        f"asked about is among them. Mean and 95 % t-interval over n = {config.seeds} draws of the articles. "
    )
    return Drawing(drawn, data, caption + scope(results))


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
