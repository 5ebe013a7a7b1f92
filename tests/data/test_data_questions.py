"""Questions and the texts that answer them: both forms of SQuAD, the made set, and files that are not right."""

import json
import os
from pathlib import Path

import pytest

from repro.data import fetch, questions, sources
from repro.data.sources import Download, File, PublicSet
from repro.data.sums import sums
from repro.errors import UserError

GIVEN_DATA = os.environ.get("REPRO_DATA")  # as the tests were started, before any fixture hides it
CONTEXT = "Oil rose from $3 to nearly $12 in March 1974."


def squad(*, answers=("nearly $12", "$12", "$12"), starts=True, context=CONTEXT):
    found = [{"text": a} | ({"answer_start": context.find(a)} if starts else {}) for a in answers]
    asked = {"id": "1", "question": "What was the price?", "answers": found}
    first = {
        "title": "Oil",
        "paragraphs": [{"context": "Nothing asked.", "qas": []}, {"context": context, "qas": [asked]}],
    }
    second = {"title": "Empty", "paragraphs": [{"context": "Another article.", "qas": []}]}
    return {"version": "1.1", "data": [first, second]}


def written(folder: Path, content) -> Path:
    path = folder / "dev-v1.1.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("starts", [True, False])
def test_both_forms_read_alike(tmp_path, starts):
    found = questions.read_squad(written(tmp_path, squad(starts=starts)), "toy")
    assert found.titles == ("Oil", "Empty")
    assert found.paragraphs == ("Nothing asked.", CONTEXT, "Another article.")
    assert found.article_of == (0, 0, 1)
    assert found.articles == (f"Nothing asked.\n\n{CONTEXT}", "Another article.")
    assert (found.questions, found.gold) == (("What was the price?",), (1,))
    assert found.answers == (("nearly $12", "$12"),)
    assert set(found.sha256) == {"dev-v1.1.json"}


def without_context():
    content = squad()
    del content["data"][0]["paragraphs"][1]["context"]
    return content


def misplaced():
    content = squad()
    content["data"][0]["paragraphs"][1]["qas"][0]["answers"][1]["answer_start"] += 1
    return content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Invalid JSON"),
        ('{"data": [{"title"', "Invalid JSON"),
        ([], "Input should be an object"),
        ({"data": [{"title": "Oil"}]}, "data.0.paragraphs: Field required"),
        (without_context(), "data.0.paragraphs.1.context: Field required"),
        (misplaced(), "Oil: the answer '$12' does not stand at 28"),
        (squad(answers=["gold"], starts=False), "Oil: the answer 'gold' does not stand in its paragraph"),
        (squad(answers=["gold"]), "Oil: the answer 'gold' does not stand at -1"),
        (squad(answers=[]), "Oil: 'What was the price?' has no answer"),
    ],
)
def test_a_damaged_file_is_told_with_its_place(tmp_path, content, told):
    path = written(tmp_path, content)
    with pytest.raises(UserError) as caught:
        questions.read_squad(path, "toy")
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "fetch the file again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        questions.read_squad(tmp_path / "absent.json", "toy")


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UserError, match=r"'squad'.*choose one of squad-dev-1.1, pydoc-topics"):
        questions.load("squad")


def test_questions_made_of_pydoc_keep_their_rule():
    found = questions.load("pydoc-topics")
    assert len(set(found.paragraphs)) == len(found.paragraphs) > 500
    assert len(found.questions) > 500
    for question, answers, gold in zip(found.questions, found.answers, found.gold, strict=True):
        paragraph = found.paragraphs[gold].lower()
        assert answers[0] in paragraph
        assert answers[0] not in question.split()
        assert len(question.split()) == 5
        assert all(word in paragraph for word in question.split())
    assert sums("pydoc-topics") == found.sha256
    assert max(found.article_of) == len(found.titles) - 1


def test_the_derived_copy_of_squad_is_the_whole_development_set(monkeypatch):
    if not GIVEN_DATA or not (Path(GIVEN_DATA) / "squad-dev-1.1").is_dir():
        pytest.skip("squad-dev-1.1 is not in REPRO_DATA")
    monkeypatch.setenv("REPRO_DATA", GIVEN_DATA)
    questions.load.cache_clear()
    found = questions.load("squad-dev-1.1")
    assert (len(found.titles), len(found.paragraphs), len(found.questions)) == (48, 2067, 10570)
    assert len(set(found.paragraphs)) == 2067
    assert found.questions[0]


@pytest.fixture
def two_forms(tmp_path, monkeypatch):
    """A set with a published and a derived form, of which a test lays out what it wants under REPRO_DATA."""
    import hashlib

    contents = {"published.json": b"published", "derived.json": b"derived"}
    files = {n: File(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in contents.items()}
    given = files["published.json"]
    download = Download(given.path, given.size_bytes, given.sha256, ("http://localhost:1/published.json",))
    public = PublicSet("toy", "Toy", "none", "http://localhost:1", "tests", (download,), (files["derived.json"],))
    monkeypatch.setattr(sources, "PUBLIC_SETS", {"toy": public})
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "toy"
    folder.mkdir()

    def laid_out(*names: str, damaged: bool = False) -> Path:
        for name in names:
            (folder / name).write_bytes(contents[name][::-1] if damaged else contents[name])
        return folder

    return laid_out


def test_a_derived_form_stands_in_for_the_published_one(two_forms):
    folder = two_forms("derived.json")
    assert fetch.locate("toy") == fetch.verify("toy") == folder
    assert fetch.describe()[0].folder == folder


def test_where_both_lie_the_published_one_counts(two_forms):
    folder = two_forms("published.json")
    two_forms("derived.json", damaged=True)
    assert fetch.locate("toy") == folder


def test_a_damaged_derived_form_is_told(two_forms):
    two_forms("derived.json", damaged=True)
    with pytest.raises(UserError, match=r"toy: .*derived\.json has sha256"):
        fetch.locate("toy")
