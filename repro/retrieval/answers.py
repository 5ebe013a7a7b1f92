"""Does a document contain an answer? Token by token in lower case, as DrQA's evaluation asks."""

from collections.abc import Iterable, Sequence

from repro.retrieval.words import words


class Finder:
    """Documents made ready to be asked which answers they contain."""

    def __init__(self, documents: Iterable[str]) -> None:
        self._documents = [_spelt(document) for document in documents]

    def contains(self, document: int, answers: Sequence[str]) -> bool:
        """Whether any of the answers stands in the document as a run of whole tokens; one without tokens does not."""
        text = self._documents[document]
        return any(answer in text for answer in map(_spelt, answers) if answer != "  ")


def _spelt(text: str) -> str:
    """Tokens parted and enclosed by single spaces: tokens have none, so that substrings are runs of tokens."""
    return f" {' '.join(words(text))} "
