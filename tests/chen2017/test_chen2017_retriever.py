"""The experiments on made questions: what they record, draw and claim, and settings that cannot be."""

import numpy as np
import pytest

from repro.compare import judge
from repro.config import load as load_config
from repro.errors import UserError
from repro.papers.chen2017 import bins, collection_size, retriever
from repro.papers.chen2017._collection import at_random, collection, outcome
from repro.published import load

PRINTED = load()
DATA = "pydoc-topics"


def test_outcomes_are_those_counted_by_hand():
    searched = collection(DATA, "paragraphs")
    questions = np.array([0, 1, 2])
    gold = searched.gold[questions]
    other = next(d for d in range(len(searched.documents)) if not any(searched.has_answer(q, d) for q in range(3)))
    found = np.full((3, 20), other)
    found[0, 0] = gold[0]  # at the first rank
    found[1, 4] = gold[1]  # at the fifth
    found[2, 5] = gold[2]  # at the sixth
    found[2, 6:] = -1
    metrics = outcome(searched, questions, found)
    assert [metrics[f"gold_at_{k}"] for k in (1, 5, 20)] == pytest.approx([100 / 3, 200 / 3, 100])
    assert [metrics[f"answer_at_{k}"] for k in (1, 5, 20)] == pytest.approx([100 / 3, 200 / 3, 100])


def test_articles_hold_the_paragraphs_that_were_asked_about():
    articles, paragraphs = collection(DATA, "articles"), collection(DATA, "paragraphs")
    assert (paragraphs.article_of[paragraphs.gold] == articles.gold).all()
    parts = [articles.questions_of(range(part, len(articles.documents), 4)) for part in range(4)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(articles.source.questions)))


def test_documents_drawn_at_random_are_different_ones():
    drawn = at_random(30, 50, 0)
    assert drawn.shape == (50, 20)
    assert all(len(set(row)) == 20 for row in drawn.tolist())
    assert at_random(3, 2, 0).shape == (2, 3)


def test_the_retriever_finds_beats_chance_and_its_control(record):
    found = record("chen2017.retriever", "parts: 2")
    assert {row["arm"] for row in found.rows} == {
        f"{u}.{m}" for u in ("paragraphs", "articles") for m in retriever.METHODS
    }
    for unit in ("paragraphs", "articles"):
        assert sum(found.values(f"{unit}.bigrams", "questions").values()) == len(
            collection(DATA, unit).source.questions
        )
        for metric in ("gold_at_5", "answer_at_5"):
            assert min(found.paired(f"{unit}.bigrams", f"{unit}.random", metric)) > 30
    for row in found.rows:
        assert 0 <= row["gold_at_1"] <= row["gold_at_5"] <= row["gold_at_20"] <= 100
        assert row["gold_at_5"] <= row["answer_at_5"]  # the made answers stand in the paragraph asked about
    verdicts = {answer.id: judge(answer, PRINTED, same_data=False).verdict for answer in retriever.claims(found)}
    assert verdicts["PS402.squad.articles"] == "not_judged"
    assert {v for name, v in verdicts.items() if name.startswith("PS398.rivals")} == {"not_judged"}
    assert {v for name, v in verdicts.items() if name.endswith("wiki_search")} == {"not_run"}
    assert sum(name.startswith("PS403.") for name in verdicts) == 8
    assert sum(name.startswith("PS404.") for name in verdicts) == 16
    claims = {answer.id: answer for answer in retriever.claims(found)}
    weights = found.paired("paragraphs.bigrams", "paragraphs.bm25_bigrams", "gold_at_5")
    assert claims["PS404.bm25_bigrams_gold_paragraphs"].differences == tuple(weights)
    words = found.paired("articles.unigrams", "articles.bm25", "answer_at_5")
    assert claims["PS404.bm25_answer_articles"].differences == tuple(words)
    assert judge(claims["PS404.cosine_gold_paragraphs"], PRINTED, same_data=False).verdict != "not_judged"
    drawing = retriever.figure(found)
    assert len(drawing.data) == 2 * len(retriever.METHODS) * 4
    assert "Wikipedia" not in drawing.caption  # the printed number is of other questions


def test_more_bins_find_more_until_none_meet(record):
    found = record("chen2017.bins", "parts: 2, bits: [4, 24]")
    few, many, exact = (
        np.mean(list(found.values(f"n2.{b}", "gold_at_5").values())) for b in ("bits4", "bits24", "numbered")
    )
    assert few < many - 30
    assert many == pytest.approx(exact, abs=0.5)
    assert set(found.values("n2.bits4", "bins_in_use").values()) == {16}
    (claim,) = bins.claims(found)
    assert judge(claim, PRINTED).verdict == "holds"
    assert len(bins.figure(found).data) == 6


def test_a_larger_collection_has_the_same_questions(record):
    found = record("chen2017.collection_size", "seeds: 2, articles: [5, 30]")
    for seed in range(2):
        asked = {row["questions"] for row in found.rows if row["seed"] == seed}
        assert len(asked) == 1
    assert set(found.values("articles.random.5", "answer_at_5").values()) == {100.0}
    assert set(found.values("articles.bigrams.30", "documents").values()) == {30}
    claims = collection_size.claims(found)
    assert [claim.id for claim in claims] == ["PS402.squad.inflation_paragraphs", "PS402.squad.inflation_articles"]
    assert {row["articles"] for row in collection_size.figure(found).data} == {5, 30}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("retriever: {bins: 0}", "chen2017.retriever.bins: Input should be greater than or equal to 1"),
        ("retriever: {b: 2}", "chen2017.retriever.b: Input should be less than or equal to 1"),
        ("retriever: {part: 4}", "chen2017.retriever.part: unknown key; did you mean parts?"),
        ("bins: {bits: [33]}", "chen2017.bins.bits.0: Input should be less than or equal to 32"),
        ("bins: {unit: sentences, bits: [4]}", "chen2017.bins.unit: Input should be 'paragraphs' or 'articles'"),
        ("collection_size: {articles: [5, 5]}", "chen2017.collection_size.articles: must be different numbers"),
    ],
)
def test_settings_that_cannot_be_are_told(tmp_path, section, told):
    path = tmp_path / "own.yaml"
    path.write_text(f"scale: quick\nchen2017:\n  {section}\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert told in str(caught.value)


def test_more_articles_than_there_are_is_told(record):
    with pytest.raises(UserError, match="500 articles asked for, pydoc-topics has 79"):
        record("chen2017.collection_size", "seeds: 1, articles: [5, 500]")
