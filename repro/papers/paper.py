"""What a paper's package says of itself, as ``PAPER`` in its ``__init__``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """``name`` is the package's; ``citation`` names authors, year and title; ``arxiv`` its number or empty."""

    name: str
    citation: str
    arxiv: str = ""
