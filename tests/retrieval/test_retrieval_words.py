"""The tokeniser and its filters, character by character."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.retrieval.answers import Finder
from repro.retrieval.words import STOP_WORDS, carries_nothing, tokens, words


def naive_tokens(text):
    """One character after another: runs of letters, numbers and marks, other visible characters alone."""
    found, run = [], ""
    for letter in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(letter)[0]
        if kind in "LNM":
            run += letter
            continue
        if run:
            found.append(run)
        run = ""
        if kind not in "ZC":
            found.append(letter)
    return [*found, run] if run else found


@given(text=st.text())
def test_tokens_are_those_of_the_naive_loop(text):
    assert tokens(text) == naive_tokens(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.S. oil: $12!", ["u", ".", "s", ".", "oil", ":", "$", "12", "!"]),
        ("don't", ["don", "'", "t"]),
        ("caf\u00e9", ["cafe\u0301"]),  # decomposed; the mark stays in the word
        ("zero\u200bwidth soft\u00adhyphen", ["zero", "width", "soft", "hyphen"]),
        ("\u039f\u0394\u039f\u03a3 \u03a3.\u0391", ["\u03bf\u03b4\u03bf\u03c2", "\u03c3", ".", "\u03b1"]),
        ("a_b\tc\nd", ["a", "_", "b", "c", "d"]),
        ("", []),
    ],
)
def test_known_texts(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize("word", ["the", "don", "t", "'s", ".", "\u2014", "_", "..."])
def test_stop_words_and_punctuation_carry_nothing(word):
    assert carries_nothing(word)


@pytest.mark.parametrize("word", ["oil", "12", "$", "+", "`", "theory", "u.s"])
def test_words_and_signs_stay(word):
    assert not carries_nothing(word)


def test_the_stop_words_are_those_of_the_release():
    """162 words; the sum is of DrQA's own list (drqa/retriever/utils.py), sorted and parted by spaces."""
    assert len(STOP_WORDS) == 162
    digest = hashlib.sha256(" ".join(sorted(STOP_WORDS)).encode()).hexdigest()
    assert digest == "96e893b0b7c0c53c89eeb9b84b5e84c4a76cb052de0e1797cf0ae57db56c09bb"


def test_an_answer_is_a_run_of_whole_tokens_in_any_case():
    finder = Finder(["In March of 1974, nearly $12.", "12 monkeys"])
    assert finder.contains(0, ["the price", "NEARLY $12"])
    assert not finder.contains(0, ["early $12", "197"])
    assert finder.contains(1, ["12"])
    assert not finder.contains(1, ["$12", " \t"])
