"""Questions over a collection of articles: `load("squad-dev-1.1").questions`, and where their answers stand."""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ValidationError

from repro.data import checksum, fetch
from repro.errors import UserError


@dataclass(frozen=True)
class QuestionSet:
    """Paragraphs of articles, and questions with the paragraph that each was asked about.

    `article_of[paragraph]` is an index into `titles`; `gold[question]` one into `paragraphs`;
    `answers[question]` are the distinct strings that count as an answer. `sha256` maps what was read to its sum.
    """

    name: str
    titles: tuple[str, ...]
    paragraphs: tuple[str, ...]
    article_of: tuple[int, ...]
    questions: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    gold: tuple[int, ...]
    sha256: Mapping[str, str]

    @property
    def articles(self) -> tuple[str, ...]:
        """The articles' texts, their paragraphs parted by an empty line."""
        parts: list[list[str]] = [[] for _ in self.titles]
        for article, paragraph in zip(self.article_of, self.paragraphs, strict=True):
            parts[article].append(paragraph)
        return tuple("\n\n".join(part) for part in parts)


@cache  # within a process: every run of it asks
def load(name: str) -> QuestionSet:
    """The question set `name`, downloaded if it is not on this machine.

    Names: `squad-dev-1.1`, and `pydoc-topics`, made from Python's own language reference.

    Raises:
        UserError: an unknown name, or data that cannot be had or are not as published.
    """
    if name not in LOADERS:
        raise UserError(f"no set of questions is called {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](name)


class _Answer(BaseModel):
    text: str
    answer_start: int | None = None


class _Question(BaseModel):
    question: str
    answers: list[_Answer]


class _Paragraph(BaseModel):
    context: str
    qas: list[_Question]


class _Article(BaseModel):
    title: str
    paragraphs: list[_Paragraph]


class _File(BaseModel):
    data: list[_Article]


def read_squad(path: Path, name: str) -> QuestionSet:
    """A file in SQuAD 1.1's JSON form; the answers' offsets may be absent, as in copies made from its pages.

    Raises:
        UserError: the file cannot be read, lacks something, or holds an answer that is not where it says, or not in
            its paragraph at all: with file and place.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        articles = _File.model_validate_json(content).data
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path}: {where}: {first['msg']}; fetch the file again") from None
    paragraphs: list[str] = []
    article_of, questions, answers, gold = [], [], [], []
    for article_number, article in enumerate(articles):
        for paragraph in article.paragraphs:
            for asked in paragraph.qas:
                for answer in asked.answers:
                    _demand_answer(path, article.title, paragraph.context, answer)
                if not asked.answers:
                    raise UserError(f"{path}: {article.title}: {asked.question!r} has no answer; fetch the file again")
                questions.append(asked.question)
                answers.append(tuple(dict.fromkeys(answer.text for answer in asked.answers)))
                gold.append(len(paragraphs))
            paragraphs.append(paragraph.context)
            article_of.append(article_number)
    return QuestionSet(
        name,
        tuple(article.title for article in articles),
        tuple(paragraphs),
        tuple(article_of),
        tuple(questions),
        tuple(answers),
        tuple(gold),
        {path.name: checksum.sha256_of(path)},
    )


def _demand_answer(path: Path, title: str, context: str, answer: _Answer) -> None:
    start = answer.answer_start
    found = answer.text in context if start is None else start >= 0 and context.startswith(answer.text, start)
    if not found:
        where = "in its paragraph" if start is None else f"at {start}"
        raise UserError(f"{path}: {title}: the answer {answer.text!r} does not stand {where}; fetch the file again")


def _load_squad(name: str) -> QuestionSet:
    """The publisher's file, or the form derived from its pages where REPRO_DATA has only that."""
    folder = fetch.locate(name)
    published = folder / "dev-v1.1.json"
    return read_squad(published if published.exists() else folder / "squad-dev-1.1-from-html.json", name)


QUERY_WORDS = 5
LEAST_WORDS = 20
_WORD = re.compile(r"\b[A-Za-z]+\b")
_BLANK = re.compile(r"\n\s*\n")


def _load_pydoc(name: str) -> QuestionSet:
    """Topics of Python's own help as articles, their blocks of text as paragraphs, and questions made by a rule.

    A paragraph is a block between empty lines of at least 20 words, taken once. Its answer is its rarest word: the
    one in the fewest paragraphs, the first of these. Its question is five words in a row of the same paragraph that
    do not contain the answer, chosen under a fixed seed; a paragraph without such a stretch has none. Nobody ever
    asked these questions: they show that the machinery works. The text differs a little between versions of Python;
    `sha256` says which was read.
    """
    from pydoc_data.topics import topics

    titles = tuple(sorted(topics))
    paragraphs: list[str] = []
    article_of = []
    for number, title in enumerate(titles):
        for block in _BLANK.split(topics[title]):
            paragraph = " ".join(block.split())
            if len(_WORD.findall(paragraph)) >= LEAST_WORDS and paragraph not in paragraphs:
                paragraphs.append(paragraph)
                article_of.append(number)
    words = [[word.lower() for word in _WORD.findall(paragraph)] for paragraph in paragraphs]
    holding = Counter(word for found in words for word in set(found))
    draw = random.Random(0)
    questions, answers, gold = [], [], []
    for number, found in enumerate(words):
        answer = min(found, key=lambda word: holding[word])
        stretches = [found[i : i + QUERY_WORDS] for i in range(len(found) - QUERY_WORDS + 1)]
        fitting = [stretch for stretch in stretches if answer not in stretch]
        if fitting:
            questions.append(" ".join(fitting[int(draw.random() * len(fitting))]))
            answers.append((answer,))
            gold.append(number)
    digest = hashlib.sha256("\0".join(topics[title] for title in titles).encode()).hexdigest()
    return QuestionSet(
        name, titles, tuple(paragraphs), tuple(article_of), tuple(questions), tuple(answers), tuple(gold),
        {"pydoc_data.topics": digest},
    )  # fmt: skip


LOADERS: Mapping[str, Callable[[str], QuestionSet]] = {
    "squad-dev-1.1": _load_squad,
    "pydoc-topics": _load_pydoc,
}
