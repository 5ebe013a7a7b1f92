"""Texts as words, and which words carry nothing: the plain tokeniser and the filters of DrQA (Chen et al. 2017).

A token is a run of letters, numbers and marks (Unicode categories L, N, M), or any other single character that is
neither space nor control (Z, C); so ``U.S.`` is four tokens and ``$12`` two. Texts are decomposed (NFD) before, and
tokens lower-cased after. Signs such as ``$`` and ``+`` (category S) are not punctuation (P), and stay.
"""

import unicodedata

# Words that are on their own in English, and what tokenisers of the Penn Treebank's kind split off.
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
it its itself they them their theirs themselves
what which who whom this that these those
am is are was were be been being have has had having do does did doing
can will just should now
a an the and but if or because as until while
of at by for with about against between into through during before after above below to from up down in out on
off over under
again further then once here there when where why how all any both each few more most other some such
no nor not only own same so than too very
s t d ll m o re ve y
don ain aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn
'll 're 've n't 's 'd 'm '' ``
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


class _Spaced(dict[int, str]):
    """What a character becomes so that tokens are what white space parts; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        kind = unicodedata.category(letter)[0]
        found = letter if kind in "LNM" else " " if kind in "ZC" else f" {letter} "
        self[code] = found
        return found


_SPACED = _Spaced()


def tokens(text: str) -> list[str]:
    """The tokens of a text, decomposed, in their own case."""
    if not text.isascii():
        text = unicodedata.normalize("NFD", text)
    return text.translate(_SPACED).split()


def words(text: str) -> list[str]:
    """The tokens of a text in lower case."""
    return [token.lower() for token in tokens(text)]


def carries_nothing(word: str) -> bool:
    """Whether a lower-case word is a stop word, or punctuation and nothing else."""
    return word in STOP_WORDS or all(unicodedata.category(letter)[0] == "P" for letter in word)
