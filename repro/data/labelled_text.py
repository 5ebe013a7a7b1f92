"""Texts whose tokens bear labels: words with their parts of speech, snippets with their language.

A part of a set is a row of sequences, each of tokens and as many labels; a snippet is a sequence of one token.
"""

import hashlib
import io
import keyword
import re
import tokenize
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.data import fetch, sources
from repro.errors import UserError

SNIPPET_CHARACTERS = 60
SHORTEST_LINE = 30  # characters; shorter lines of a declaration are headings and numbers of articles
_UDHR_CODE = re.compile(r"udhr2/([a-z]{3})\.txt")  # not the variants of a language, nor texts without a code

Sequences = tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]  # tokens and labels of each sequence


@dataclass(frozen=True)
class LabelledText:
    """Three parts of labelled sequences; `labels[i]` is the name of label i.

    `sha256` maps what was read to its sum, for the record of a run.
    """

    name: str
    train: Sequences
    valid: Sequences
    test: Sequences
    labels: tuple[str, ...]
    sha256: Mapping[str, str]


def load(name: str) -> LabelledText:
    """The set `name`: `ud-english-ewt` and `udhr`, downloaded if they are not on this machine, `python-tokens` and
    `docutils-words`, which come with Python and docutils.

    Raises:
        UserError: an unknown name, or data that cannot be had or are not as published.
    """
    if name not in LOADERS:
        raise UserError(f"no labelled text is called {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](name)


Named = Sequence[tuple[Sequence[str], Sequence[str]]]  # tokens and label names of each sequence


def _numbered(name: str, parts: Sequence[Named], sums: Mapping[str, str]) -> LabelledText:
    labels = tuple(sorted({label for part in parts for _, found in part for label in found}))
    place = {label: number for number, label in enumerate(labels)}
    train, valid, test = (
        tuple((tuple(tokens), tuple(place[label] for label in found)) for tokens, found in part) for part in parts
    )
    return LabelledText(name, train, valid, test, labels, sums)


def read_conllu(path: Path) -> list[tuple[list[str], list[str]]]:
    """Words and universal part-of-speech tags of each sentence of a CoNLL-U file.

    Words inside a multi-word token stand for it; empty nodes are left out
    (https://universaldependencies.org/format.html).

    Raises:
        UserError: the file cannot be read, has a line of another form, or no sentence.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    sentences: list[tuple[list[str], list[str]]] = []
    open_sentence = False
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            open_sentence = open_sentence and bool(line)
            continue
        cells = line.split("\t")
        if len(cells) != 10:
            raise UserError(f"{path}: line {number}: {len(cells)} cells where CoNLL-U has 10; fetch the file again")
        if not cells[0].isdigit():  # "3-4" of a multi-word token, "5.1" of an empty node
            continue
        if not open_sentence:
            sentences.append(([], []))
            open_sentence = True
        sentences[-1][0].append(cells[1])
        sentences[-1][1].append(cells[3])
    if not sentences:
        raise UserError(f"{path}: holds no sentence; fetch it again")
    return sentences


def _load_ewt(name: str) -> LabelledText:
    folder = fetch.locate(name)
    parts = [read_conllu(folder / f"en_ewt-ud-{part}.conllu") for part in ("train", "dev", "test")]
    return _numbered(name, parts, {file.path: file.sha256 for file in sources.named(name).files})


def snippets(text: str, characters: int = SNIPPET_CHARACTERS) -> list[str]:
    """Stretches of whole words, each as long as it can be within `characters`; a longer word stands alone.

    A last stretch of less than half the length is dropped.
    """
    found, current = [], ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > characters:
            found.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*found, current] if len(current) >= characters / 2 else found


def _load_udhr(name: str) -> LabelledText:
    """The Universal Declaration of Human Rights by language. The lines of a translation are in the same order in all:
    the first 70 % of its characters train, 10 % validate, the last 20 % test, so that no article is met twice. Texts
    with too few lines to have all three parts are left out."""
    path = fetch.locate("nltk-corpora") / "udhr2.zip"
    parts: list[list[tuple[list[str], list[str]]]] = [[], [], []]
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {
                match[1]: archive.read(entry).decode("utf-8")
                for entry in sorted(archive.namelist())
                if (match := _UDHR_CODE.fullmatch(entry))
            }
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}): fetch it again") from None
    for code, text in texts.items():
        lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= SHORTEST_LINE]
        total, done = sum(map(len, lines)), 0
        stretches: list[list[str]] = [[], [], []]
        for line in lines:
            stretches[(done >= 0.7 * total) + (done >= 0.8 * total)].append(line)
            done += len(line)
        found = [snippets(" ".join(stretch)) for stretch in stretches]
        if all(found):
            for part, own in zip(parts, found, strict=True):
                part += [([snippet], [code]) for snippet in own]
    file = next(file for file in sources.named("nltk-corpora").files if file.path == "udhr2.zip")
    return _numbered(name, parts, {file.path: file.sha256})


# Whole modules of the standard library, small and large.
_TRAIN = ("calendar", "configparser", "csv", "difflib", "fractions", "gettext", "shlex")
_VALID, _TEST = ("textwrap", "heapq"), ("statistics", "bisect")
LONGEST_TOKEN = 20  # characters kept of a string, which may be a page of documentation


def python_tokens(source: str) -> Iterator[tuple[list[str], list[str]]]:
    """Tokens of each logical line of a Python source, and what they are: keyword, definition (a name after `def` or
    `class`), attribute (after a dot), call (before a parenthesis), name, number, string, operator."""
    kinds = {tokenize.NAME: "name", tokenize.NUMBER: "number", tokenize.STRING: "string", tokenize.OP: "operator"}
    tokens: list[str] = []
    labels: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE and tokens:
            yield tokens, labels
            tokens, labels = [], []
        if token.type not in kinds:
            continue
        if token.string == "(" and labels[-1:] == ["name"]:
            labels[-1] = "call"
        label = kinds[token.type]
        if label == "name":
            before = tokens[-1] if tokens else ""
            if keyword.iskeyword(token.string):
                label = "keyword"
            elif before in ("def", "class"):
                label = "definition"
            elif before == ".":
                label = "attribute"
        tokens.append(token.string[:LONGEST_TOKEN])
        labels.append(label)


def _load_python_tokens(name: str) -> LabelledText:
    """Modules of Python's library as text whose tokens are tagged by Python's own tokenizer and their neighbours. It
    differs a little between versions of Python; `sha256` says what was read."""
    import inspect
    from importlib import import_module

    parts, texts = [], []
    for modules in (_TRAIN, _VALID, _TEST):
        found = [inspect.getsource(import_module(module)) for module in modules]
        texts += found
        parts.append([line for source in found for line in python_tokens(source)])
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return _numbered(name, parts, {"python's standard library": digest})


def _load_docutils_words(name: str) -> LabelledText:
    """The names of docutils' directives and roles in its languages, a few dozen words each; those that are spelt as in
    English are left to English. Every fifth word is for validation, the one after it for test."""
    import pkgutil
    from importlib import import_module

    from docutils.parsers.rst import languages

    parts: list[list[tuple[list[str], list[str]]]] = [[], [], []]
    texts = []
    for module in sorted(found.name for found in pkgutil.iter_modules(languages.__path__)):
        lexicon = import_module(f"{languages.__name__}.{module}")
        named = {**lexicon.directives, **lexicon.roles}
        words = sorted(word for word, english in named.items() if module == "en" or word != english)
        texts += words
        for number, word in enumerate(words):
            parts[{0: 1, 1: 2}.get(number % 5, 0)].append(([word], [module]))
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return _numbered(name, parts, {"docutils.parsers.rst.languages": digest})


LOADERS: Mapping[str, Callable[[str], LabelledText]] = {
    "ud-english-ewt": _load_ewt,
    "udhr": _load_udhr,
    "python-tokens": _load_python_tokens,
    "docutils-words": _load_docutils_words,
}


def tokens_of(parts: Iterable[Sequences]) -> tuple[str, ...]:
    """Every distinct token, in the order of first sight."""
    return tuple(dict.fromkeys(token for part in parts for tokens, _ in part for token in tokens))
