"""What a data set of any kind was read from, for the record of a run."""

from collections.abc import Mapping
from functools import cache

from repro.data import labelled_text, questions, tables


@cache  # within a process: every run of it asks
def sums(name: str) -> Mapping[str, str]:
    """What the set `name`, of any kind, is read from, with the sha256 of each file; raises as its `load`."""
    for module in (tables, questions, labelled_text):
        if name in module.LOADERS:
            found: Mapping[str, str] = module.load(name).sha256
            return found
    # These read tensors, and torch takes seconds to import.
    from repro.data import folders, sets, texts

    if name in texts.LOADERS:
        return texts.load(name).sha256
    return folders.load(name).sha256 if name in folders.SETS else sets.load(name).sha256
