"""What a paper's package says of itself, as ``PAPER`` in its ``__init__``."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """``name`` is the package's; ``citation`` names authors, year and title; ``arxiv`` its number or empty.

    ``headlines`` are the ids of the comparison's rows (``KD-M03.soft``) that README.md shows. ``beyond`` says why no
    experiment of this suite speaks to a printed result: pairs of a pattern and a reason (``repro.compare.complete``).
    """

    name: str
    citation: str
    arxiv: str = ""
    headlines: tuple[str, ...] = ()
    beyond: tuple[tuple[str, str], ...] = ()


def paper_named(name: str) -> Paper:
    """The paper whose package is ``name``; one that has only its name where no package says more."""
    try:
        module = importlib.import_module(f"repro.papers.{name}")
    except ModuleNotFoundError:
        return Paper(name, name)
    paper: Paper = getattr(module, "PAPER", Paper(name, name))
    return paper


def citation_of(name: str) -> str:
    """The citation of the paper whose package is ``name``; the name itself where there is no such package."""
    paper = paper_named(name)
    return f"{paper.citation}, arXiv {paper.arxiv}" if paper.arxiv else paper.citation
