"""What several experiments draw with."""

from collections.abc import Mapping, Sequence
from typing import Any

from repro.compare import t_interval
from repro.plots.style import Mark
from repro.results import Results

MADE_UP = {"hierarchy": "Made-up pictures of a seeded generator. "}
# Kinds of specialists, as legends name them.
SPECIALIST_KINDS = {
    "dustbin": "dustbin",
    "full": "all outputs, labels",
    "full_soft": "all outputs, soft targets too",
}


def marks(values: Mapping[Any, Sequence[float]]) -> list[Mark]:
    """Mean and 95 % interval of the values at every x that has any."""
    return [(x, *t_interval(found)) for x, found in values.items() if found]


def caption_of(results: Results, text: str) -> str:
    """A caption of section 5: the text, what the data are where they are made up, and the scope."""
    return text + MADE_UP.get(results.data, "") + results.scope
