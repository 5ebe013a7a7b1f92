"""Readers of labelled texts and hashed n-grams, against loops and the published counts."""

import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.data import fetch, labelled_text
from repro.data.ngrams import BEGIN, END, hashed_ngrams, windows
from repro.data.sums import sums
from repro.errors import UserError

GIVEN_DATA = os.environ.get("REPRO_DATA")  # as the tests were started, before any fixture hides it


@pytest.fixture
def published(request, monkeypatch) -> str:
    name, folder = request.param
    if not GIVEN_DATA or not (Path(GIVEN_DATA) / folder).is_dir():
        pytest.skip(f"{folder} is not in REPRO_DATA")
    monkeypatch.setenv("REPRO_DATA", GIVEN_DATA)
    return name


@pytest.mark.parametrize("published", [("ud-english-ewt", "ud-english-ewt")], indirect=True)
def test_ewt_has_the_published_counts(published):
    text = labelled_text.load(published)
    parts = (text.train, text.valid, text.test)
    assert [len(part) for part in parts] == [12_544, 2_001, 2_077]
    assert [sum(len(tokens) for tokens, _ in part) for part in parts] == [204_577, 25_147, 25_094]
    assert len(text.labels) == 17
    assert "PROPN" in text.labels
    assert set(sums(published)) == {f"en_ewt-ud-{part}.conllu" for part in ("train", "dev", "test")}


@pytest.mark.parametrize("published", [("udhr", "nltk-corpora")], indirect=True)
def test_udhr_splits_every_language_without_sharing_a_stretch(published):
    text = labelled_text.load(published)
    assert "eng" in text.labels
    for part in (text.train, text.valid, text.test):
        assert {label for _, (label,) in part} == set(range(len(text.labels)))
    both = set(text.train) & set(text.test)
    assert len(both) < 0.001 * len(text.test)  # a language may say the same thing twice
    assert list(sums(published)) == ["udhr2.zip"]


def test_conllu_without_what_is_no_word(tmp_path):
    path = tmp_path / "a.conllu"
    cells = "\t_" * 6
    path.write_text(
        f"# text = dont go\n1-2\tdont\t_\t_{cells}\n1\tdo\tdo\tAUX{cells}\n2\tnt\tnot\tPART{cells}\n"
        f"2.1\tx\tx\tX{cells}\n3\tgo\tgo\tVERB{cells}\n\n# next\n1\t.\t.\tPUNCT{cells}\n\n",
        encoding="utf-8",
    )
    assert labelled_text.read_conllu(path) == [(["do", "nt", "go"], ["AUX", "PART", "VERB"]), (["."], ["PUNCT"])]


@pytest.mark.parametrize(
    ("content", "said"), [("1\tdo\tAUX\n", "line 1: 3 cells"), ("# nothing\n", "no sentence"), (None, "cannot be read")]
)
def test_a_damaged_conllu_file_is_named(tmp_path, content, said):
    path = tmp_path / "a.conllu"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"a\.conllu: .*{said}"):
        labelled_text.read_conllu(path)


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "locate", lambda name: tmp_path)
    (tmp_path / "udhr2.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"udhr2\.zip: cannot be read"):
        labelled_text.load("udhr")


LINES = "\n".join(f"line {n} of a text long enough to be kept" for n in range(40))


def test_only_whole_languages_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "locate", lambda name: tmp_path)
    with zipfile.ZipFile(tmp_path / "udhr2.zip", "w") as archive:
        for entry in ("eng.txt", "deu_1996.txt", "007.txt", "fra.txt"):
            archive.writestr(
                f"udhr2/{entry}", "\n".join(f"line {n} of a text long enough to be kept" for n in range(40))
            )
    text = labelled_text.load("udhr")
    assert text.labels == ("eng", "fra")
    first = text.train[0][0][0]
    assert first.startswith("line 0 of a text")
    assert len(first) <= labelled_text.SNIPPET_CHARACTERS


@given(st.lists(st.text("abc", min_size=1, max_size=9), max_size=30), st.integers(4, 20))
def test_snippets_are_whole_words_in_order(words, characters):
    found = labelled_text.snippets(" ".join(words), characters)
    kept = " ".join(found).split()
    assert kept == words[: len(kept)]
    assert len(" ".join(words[len(kept) :])) < characters / 2
    assert all(len(snippet) <= characters or " " not in snippet for snippet in found)


def test_tokens_of_python_are_tagged_by_what_stands_around_them():
    source = "class A:\n    def f(self, x=1):\n        return self.g('a') + len(x)\n"
    lines = list(labelled_text.python_tokens(source))
    tagged = {token: label for tokens, labels in lines for token, label in zip(tokens, labels, strict=True)}
    assert len(lines) == 3
    expected = {"class": "keyword", "A": "definition", "f": "definition", "1": "number", "return": "keyword"}
    expected |= {"g": "attribute", "'a'": "string", "+": "operator", "len": "call"}
    assert {token: tagged[token] for token in expected} == expected


def test_docutils_words_leave_english_to_english():
    text = labelled_text.load("docutils-words")
    words = Counter(
        (word, text.labels[label]) for part in (text.train, text.valid, text.test) for (word,), (label,) in part
    )
    assert ("note", "en") in words
    assert ("note", "sv") not in words
    assert len(text.labels) > 20


def test_an_unknown_text_lists_the_names():
    with pytest.raises(UserError, match="'ewt': choose one of ud-english-ewt, udhr, python-tokens, docutils-words"):
        labelled_text.load("ewt")


def naive_bucket(ngram: str, buckets: int) -> int:
    value, mask = 0xCBF29CE484222325, 2**64 - 1
    for character in ngram:
        value = (value ^ ord(character)) * 0x100000001B3 & mask
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * multiplier & mask
    return (value ^ value >> 33) % buckets


@given(st.lists(st.text(max_size=6), max_size=6), st.integers(1, 5), st.integers(1, 1000))
def test_hashed_ngrams_are_the_loop(texts, size, buckets):
    found = hashed_ngrams(texts, size, buckets)
    assert len(found) == len(texts)
    for number, text in enumerate(texts):
        marked = f"{BEGIN}{text}{END}"
        ours = found.buckets[found.starts[number] : found.starts[number + 1]].tolist()
        assert ours == [naive_bucket(marked[i : i + size], buckets) for i in range(len(marked) - size + 1)]


def test_buckets_are_filled_evenly():
    words = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz0123"]
    counts = np.bincount(hashed_ngrams(words, 5, 10).buckets, minlength=10)
    assert ((counts - 100) ** 2 / 100).sum() < 27.9  # chi-squared with 9 degrees of freedom, one in a thousand


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3))
def test_windows_are_the_loop(lengths, reach):
    tokens = np.arange(sum(lengths))
    made = windows(lengths, tokens, reach, padding=-1)
    assert made.shape == (len(tokens), 2 * reach + 1)
    row, start = 0, 0
    for length in lengths:
        for position in range(length):
            neighbours = range(position - reach, position + reach + 1)
            assert made[row].tolist() == [start + n if 0 <= n < length else -1 for n in neighbours]
            row += 1
        start += length


@pytest.mark.parametrize(("size", "buckets"), [(0, 1), (1, 0)])
def test_no_ngrams_and_no_buckets_are_refused(size, buckets):
    with pytest.raises(ValueError):
        hashed_ngrams(["a"], size, buckets)
