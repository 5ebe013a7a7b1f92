"""What a paper's package says of itself, as ``PAPER`` in its ``__init__``."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """``name`` is the package's; ``citation`` names authors, year and title; ``arxiv`` its number or empty."""

    name: str
    citation: str
    arxiv: str = ""


def citation_of(name: str) -> str:
    """The citation of the paper whose package is ``name``; the name itself where there is no such package."""
    try:
        paper: Paper = importlib.import_module(f"repro.papers.{name}").PAPER
    except ModuleNotFoundError:
        return name
    return f"{paper.citation}, arXiv {paper.arxiv}" if paper.arxiv else paper.citation
