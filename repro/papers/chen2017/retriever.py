"""Section 3.1: the document retriever, hashed bigrams and TF-IDF, against its rivals and against chance.

The paper counts unigrams and bigrams, hashed by murmur3 into 2^24 bins, weighs them by log(1 + tf) log((N - n + .5) /
(n + .5)), negative values set to 0, and takes the five articles of Wikipedia with the highest dot product to the
question. An n-gram with a stop word or punctuation in it is dropped; texts are decomposed (NFD) and lower-cased. P@5
is the share of questions of which one of the five contains an answer string. Bigrams help, it says, and BM25 is worse.

Here: the same retriever over the 48 articles, or the 2,067 paragraphs, of SQuAD's development set, all its questions.
Beside the paper's P@k (``answer_at_k``) stands how often the very document that was asked about is among the first k
(``gold_at_k``): in a collection so small an answer string turns up by chance. Arms: ``bigrams`` (the paper's),
``unigrams``, ``bm25`` and ``bm25_bigrams`` (Okapi, same words and idf, k1 = 1.2 and b = 0.75 untuned), ``sklearn`` and
``sklearn_bigrams`` (TfidfVectorizer: as it comes; with bigrams and log tf). Controls: ``shuffled``, bigrams of
documents whose words were put in random order: if order did not matter, it would do as well; ``cosine``, the paper's
weights over the document's norm: what of a rival's lead is length normalisation; ``random`` documents. The paper's
weights are claimed above each rival's over the same n-grams (PS404), beside the rivals as the paper names them, of whom
what it says is recollected (PS398.rivals). A seed is one
of eight parts of the articles: its questions are asked of the whole collection, so that differences are over articles.

Departures: 48 articles instead of 5,075,182, so that P@5 is no reproduction and stands there unjudged. The tokeniser
is the release's plain one, in texts, questions and answers alike; the release evaluates with one of its others. Of
equal scores the earlier document comes first, where the release leaves it open.

Cost at scale ``paper``: 75 CPU-seconds in all; the seeds of an arm share its ranking.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import Field

from repro.compare import Answer, NotRun, Value, t_interval
from repro.experiment import Arm, Context, Result
from repro.papers.chen2017._collection import (
    DATA,
    PRINTED_DATA,
    RANKS,
    UNITS,
    Collection,
    Numbers,
    at_random,
    collection,
    difference,
    outcome,
    scope,
)
from repro.plots.drawing import Drawing
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

__all__ = ["DATA", "PRINTED_DATA", "Config", "arms", "claims", "figure", "run"]

# name: what it is called in the figure
METHODS: Mapping[str, str] = {
    "bigrams": "TF-IDF, bigrams (DrQA)",
    "unigrams": "TF-IDF, unigrams",
    "shuffled": "bigrams, words shuffled",
    "cosine": "bigrams, length-normalised",
    "bm25": "BM25, unigrams",
    "bm25_bigrams": "BM25, bigrams",
    "sklearn": "TfidfVectorizer",
    "sklearn_bigrams": "TfidfVectorizer, bigrams",
    "random": "random documents",
}
# The paper's weights, log tf-idf without length normalisation, and others over the same n-grams.
LIKE_FOR_LIKE = (
    ("bigrams", "bm25_bigrams"),
    ("bigrams", "sklearn_bigrams"),
    ("bigrams", "cosine"),
    ("unigrams", "bm25"),
)
WITH_CHANCE = ("shuffled", "random")  # another draw for each seed

SHOWN = {
    "gold_at_1": "asked about, top 1",
    "gold_at_5": "asked about, top 5",
    "answer_at_1": "answer string, top 1",
    "answer_at_5": "answer string, top 5",
}


class Config(Options):
    """``parts``: into how many the articles are dealt, one a seed. ``bins`` of the hash."""

    parts: int = Field(8, ge=2)
    bins: int = Field(2**24, ge=1, le=2**32)
    k1: float = Field(1.2, ge=0)
    b: float = Field(0.75, ge=0, le=1)


def arms(config: Config) -> list[Arm]:
    common = config.model_dump(mode="json")
    return [
        Arm(
            f"{unit}.{name}",
            {**common, "unit": unit, "method": name},
            config.parts,
            seeds_per_job=config.parts,
            device="cpu",
        )
        for unit in UNITS
        for name in METHODS
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    settings = arm.settings
    searched = collection(context.data, settings["unit"])
    # Dealt out by the text's order, which for SQuAD is the alphabet's: no part is of one subject.
    part = range(seed, len(searched.source.titles), settings["parts"])
    questions = searched.questions_of(part)
    drawn = seed if settings["method"] in WITH_CHANCE else 0
    found = _ranked(context.data, settings["unit"], settings["method"], drawn, *(settings[k] for k in _NUMBERS))
    return Result(outcome(searched, questions, found[questions]))


_NUMBERS = ("bins", "k1", "b")


@lru_cache(maxsize=4)  # the seeds of an arm follow each other and share their rankings
def _ranked(data: str, unit: Any, method: str, seed: int, bins: int, k1: float, b: float) -> Numbers:
    """The documents found for every question of the set, (questions, largest rank)."""
    return _RANKINGS[method](collection(data, unit), seed, {"bins": bins, "k1": k1, "b": b})


def _tf_idf(order: int, *, cosine: bool = False, shuffled: bool = False) -> Callable[..., Numbers]:
    def ranked(searched: Collection, seed: int, settings: Mapping[str, Any]) -> Numbers:
        from repro.retrieval import index, ngrams

        numbering = ngrams.Hashed(settings["bins"])
        found = ngrams.counts(searched.documents, order, numbering, seed if shuffled else None)
        return index.tf_idf(found, order, numbering, cosine=cosine).search(searched.source.questions, max(RANKS))

    return ranked


def _bm25(order: int) -> Callable[..., Numbers]:
    def ranked(searched: Collection, seed: int, settings: Mapping[str, Any]) -> Numbers:
        from repro.retrieval import index, ngrams

        numbering = ngrams.Hashed(settings["bins"])
        found = ngrams.counts(searched.documents, order, numbering)
        built = index.bm25(found, order, numbering, k1=settings["k1"], b=settings["b"])
        return built.search(searched.source.questions, max(RANKS))

    return ranked


def _sklearn(**options: Any) -> Callable[..., Numbers]:
    def ranked(searched: Collection, seed: int, settings: Mapping[str, Any]) -> Numbers:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        from repro.retrieval.index import best

        vectorizer = TfidfVectorizer(**options)
        documents = vectorizer.fit_transform(searched.documents).T.tocsr()
        questions = vectorizer.transform(searched.source.questions)
        step = 1000  # questions whose scores are held at a time
        starts = range(0, questions.shape[0], step)
        return np.concatenate([best((questions[i : i + step] @ documents).toarray(), max(RANKS)) for i in starts])

    return ranked


def _random(searched: Collection, seed: int, settings: Mapping[str, Any]) -> Numbers:
    return at_random(len(searched.documents), len(searched.source.questions), seed)


_RANKINGS: Mapping[str, Callable[..., Numbers]] = {
    "bigrams": _tf_idf(2),
    "unigrams": _tf_idf(1),
    "shuffled": _tf_idf(2, shuffled=True),
    "cosine": _tf_idf(2, cosine=True),
    "bm25": _bm25(1),
    "bm25_bigrams": _bm25(2),
    "sklearn": _sklearn(),
    "sklearn_bigrams": _sklearn(ngram_range=(1, 2), sublinear_tf=True),
    "random": _random,
}


def figure(results: Results) -> Drawing:
    """A row a method, a mark a metric, a panel a kind of document."""
    from repro.papers.chen2017._figures import all_named
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    drawn, panels = axes(2, width_in=13.0, height_in=5.6)
    data: list[dict[str, Any]] = []
    methods = list(METHODS)
    for unit, ax in zip(UNITS, panels, strict=True):
        for number, (metric, label) in enumerate(SHOWN.items()):
            for place, method in enumerate(methods):
                values = list(results.values(f"{unit}.{method}", metric).values())
                if not values:
                    continue
                mean, low, high = t_interval(values)
                ends = None if low is None or high is None else [[mean - low], [high - mean]]
                ax.errorbar(
                    [mean], [-place + 0.16 * (1.5 - number)], xerr=ends, fmt=MARKERS[number], color=COLOURS[number],
                    capsize=2.5, ms=6, label=label if method == methods[0] else None,
                )  # fmt: skip
                row = {"unit": unit, "method": method, "metric": metric, "mean": mean, "low": low, "high": high}
                data.append(row | {"n": len(values)})
        ax.set_ylim(0.6 - len(methods), 0.6)
        ax.set_yticks([-i for i in range(len(methods))], list(METHODS.values()))
        counts = {row["documents"] for row in results.rows if row["arm"].startswith(f"{unit}.")}
        ax.set_title(f"{', '.join(f'{c:,}' for c in sorted(counts))} {unit}")
        ax.set_xlabel("questions, %")
        ax.set_xlim(0, 101)
    panels[1].tick_params(labelleft=False)
    printed = load_published()["PS402.squad"]
    of_squad = results.data == DATA["paper"]
    if of_squad and printed.value is not None:
        panels[1].axvline(printed.value, ls="--", color=PRINTED, lw=1.5, label="printed P@5, 5 million articles")
    drawn.legend(*all_named(panels), loc="outside lower center", ncols=3)
    parts = results.config["parts"]
    caption = (
        "Questions of which the first or the first five documents include the one asked about, or contain an answer "
        "string (the paper's P@1 and P@5). Mean and 95 % t-interval over "
        f"n = {parts} parts of the articles; all documents are searched. "
    )
    if of_squad:
        caption += (
            "Dashed: the released model's P@5 over Wikipedia; over so few articles it is no goal, as random documents "
            "show. "
        )
    return Drawing(drawn, data, caption + scope(results))


def claims(results: Results) -> Sequence[Answer]:
    answers: list[Answer] = []
    collections = {unit: f"{_documents(results, unit)} {unit}" for unit in UNITS}
    for name, shown in (("bigrams", "TF-IDF with hashed bigrams"), ("random", "chance: random documents")):
        values = tuple(results.values(f"articles.{name}", "answer_at_5").values())
        where = "articles" if name == "bigrams" else "articles_random"
        answers.append(
            Value(
                f"PS402.squad.{where}",
                values,
                f"{shown}, {collections['articles']}",
                departures="of so few articles five contain many an answer by chance",
            )
        )
    hits = {"gold": "the document asked about", "answer": "an answer string"}
    for unit, documents in collections.items():
        for kind, hit in hits.items():
            metric = f"{kind}_at_5"
            for name, other, words in (
                ("bigrams", "unigrams", "hashed bigrams minus unigrams alone"),
                ("order", "shuffled", "control: bigrams minus bigrams of shuffled documents"),
            ):
                what = f"questions with {hit} in the top 5, {words}"
                claimed = f"PS403.{name}_{kind}_{unit}"
                pair = f"{unit}.bigrams", f"{unit}.{other}"
                answers.append(difference(claimed, results, *pair, metric, what, setting=documents))
            for name, words in (("bm25", "BM25"), ("sklearn", "TfidfVectorizer")):
                what = f"questions with {hit} in the top 5, hashed bigrams minus {words}"
                pair = f"{unit}.bigrams", f"{unit}.{name}"
                claimed = f"PS398.rivals.{name}_{kind}_{unit}"
                answers.append(difference(claimed, results, *pair, metric, what, setting=documents))
            for name, other in LIKE_FOR_LIKE:
                what = f"questions with {hit} in the top 5, {METHODS[name]} minus {METHODS[other]}: the weights alone"
                pair = f"{unit}.{name}", f"{unit}.{other}"
                claimed = f"PS404.{other}_{kind}_{unit}"
                answers.append(difference(claimed, results, *pair, metric, what, setting=documents))
    answers += [
        NotRun(f"{row}.wiki_search", "Wikipedia's own search is not ours to run")
        for row in ("PS398", "PS399", "PS400", "PS401")
    ]
    return answers


def _documents(results: Results, unit: str) -> str:
    counts = {row["documents"] for row in results.rows if row["arm"].startswith(f"{unit}.")}
    return " or ".join(f"{count:,}" for count in sorted(counts))
