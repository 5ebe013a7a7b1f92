"""Data sets of any kind by their names: whether there is one, and what it was read from, for the record of a run."""

from collections.abc import Mapping
from functools import cache

from repro.data import labelled_text, questions, tables
from repro.errors import UserError


def known(name: str, where: str = "") -> None:
    """Return if a set of any kind has this name.

    Raises:
        UserError: none has; the message begins with ``where`` and lists them.
    """
    from repro.data import folders, sets, texts

    kinds = (sets.LOADERS, texts.LOADERS, folders.SETS, tables.LOADERS, questions.LOADERS, labelled_text.LOADERS)
    names = [its for kind in kinds for its in kind]
    if name not in names:
        raise UserError(f"{where}no data set is called {name!r}: choose one of {', '.join(names)}")


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
