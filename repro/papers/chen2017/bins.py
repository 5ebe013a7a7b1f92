"""Section 3.1's hash: how many bins the n-grams need, and what meeting in a bin costs.

The paper hashes bigrams into 2^24 bins "while preserving speed and memory efficiency" and prints no other number.
Here the bins go from a few hundred to 2^24, for unigrams alone and with bigrams, beside n-grams that are numbered one
by one and never meet. Bigrams bring many more n-grams, and so need more bins. Seeds are parts of the articles, as in
``retriever``.

Departures: a collection so small fills few bins: what 2^24 lose among 5 million articles is not seen here.

Cost at scale ``paper``: 45 CPU-seconds in all; the seeds of an arm share its ranking.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, t_interval
from repro.experiment import Arm, Context, Result
from repro.papers.chen2017._collection import (
    DATA,
    PRINTED_DATA,
    RANKS,
    Numbers,
    Unit,
    collection,
    difference,
    outcome,
    scope,
)
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

__all__ = ["DATA", "PRINTED_DATA", "Config", "arms", "claims", "figure", "run"]

EXACT = "numbered"
PAPERS_BITS = 24
LOST_POINTS = 0.5  # declared before the run: what hashing may cost


class Config(Options):
    """``bits``: powers of two of the numbers of bins."""

    parts: int = Field(8, ge=2)
    unit: Unit = "paragraphs"
    orders: tuple[PositiveInt, ...] = Field((1, 2), min_length=1)
    bits: tuple[Annotated[int, Field(ge=1, le=32)], ...] = Field(min_length=1)


def arm_name(order: int, bits: int | None) -> str:
    return f"n{order}.{EXACT if bits is None else f'bits{bits}'}"


def arms(config: Config) -> list[Arm]:
    return [
        Arm(
            arm_name(order, bits),
            {"unit": config.unit, "order": order, "bits": bits, "parts": config.parts},
            config.parts,
            seeds_per_job=config.parts,
            device="cpu",
        )
        for order in config.orders
        for bits in (*config.bits, None)
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    settings = arm.settings
    searched = collection(context.data, settings["unit"])
    questions = searched.questions_of(range(seed, len(searched.source.titles), settings["parts"]))
    found, columns = _ranked(context.data, settings["unit"], settings["order"], settings["bits"])
    return Result(outcome(searched, questions, found[questions]) | {"bins_in_use": columns})


@lru_cache(maxsize=4)  # the seeds of an arm follow each other and share their ranking
def _ranked(data: str, unit: Unit, order: int, bits: int | None) -> tuple[Numbers, int]:
    """The documents found for every question, and how many bins the documents' n-grams fall into."""
    from repro.retrieval import index, ngrams

    searched = collection(data, unit)
    numbering = ngrams.Numbered() if bits is None else ngrams.Hashed(2**bits)
    built = index.tf_idf(ngrams.counts(searched.documents, order, numbering), order, numbering)
    return built.search(searched.source.questions, max(RANKS)), len(built.columns)


def figure(results: Results) -> Drawing:
    """Recall against the number of bins, and how many bins the n-grams fall into."""
    from repro.plots.style import COLOURS, MARKERS, axes, legend, with_intervals

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    for number, order in enumerate(config.orders):
        name = "unigrams" if order == 1 else f"up to {order} words"
        marks, filled = [], []
        for bits in config.bits:
            arm = arm_name(order, bits)
            values = list(results.values(arm, "gold_at_5").values())
            if values:
                marks.append((2.0**bits, *t_interval(values)))
                used = next(iter(results.values(arm, "bins_in_use").values()))
                filled.append((2.0**bits, used))
                row = {"order": order, "bins": 2**bits, "bins_in_use": used, "gold_at_5": marks[-1][1]}
                data.append(row | {"low": marks[-1][2], "high": marks[-1][3], "n": len(values)})
        with_intervals(left, marks, number, name)
        style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number]}
        right.plot([x for x, _ in filled], [y for _, y in filled], label=name, **style)
        exact = list(results.values(arm_name(order, None), "gold_at_5").values())
        if exact:
            grams = next(iter(results.values(arm_name(order, None), "bins_in_use").values()))
            left.axhline(t_interval(exact)[0], color=COLOURS[number], ls="--", lw=1.3)
            right.axhline(grams, color=COLOURS[number], ls="--", lw=1.3)
            data.append({"order": order, "bins": None, "bins_in_use": grams, "gold_at_5": t_interval(exact)[0]})
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xlabel("bins")
        legend(ax)
    left.set_ylim(bottom=0)
    left.set_ylabel("document asked about in top 5, %")
    right.set_yscale("log")
    right.set_ylabel("bins in use")
    caption = (
        f"Left: questions with the one of the {config.unit} asked about among the first five, against the number of "
        f"bins; mean and 95 % t-interval over n = {config.parts} parts of the articles. Right: bins that the n-grams "
        "of all documents fall into. Dashed: n-grams numbered one by one, none of which meet. "
    )
    return Drawing(drawn, data, caption + scope(results))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    if PAPERS_BITS not in config.bits or 2 not in config.orders:
        return []
    return [
        difference(
            "PS403.bins",
            results,
            arm_name(2, None),
            arm_name(2, PAPERS_BITS),
            "gold_at_5",
            f"questions with the document asked about in the top 5, lost by hashing into 2^{PAPERS_BITS} bins",
            null=LOST_POINTS,
            direction="less",
            setting=config.unit,
        )
    ]
