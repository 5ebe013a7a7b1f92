"""Transfer sets as index sets: the cases on which a student sees its teacher."""

from collections.abc import Collection

import torch
from torch import Tensor

from repro.errors import UserError
from repro.training.keys import generator_seed


def only_classes(labels: Tensor, classes: Collection[int]) -> Tensor:
    """Sorted indices of the cases whose label is in ``classes``.

    Raises:
        UserError: a class that the labels do not have, or nothing left.
    """
    there = set(labels.unique().tolist())
    unknown = sorted(set(classes) - there)
    if unknown:
        raise UserError(f"transfer set: no class {unknown[0]} in the data; classes are {sorted(there)}")
    kept = torch.isin(labels, torch.tensor(sorted(classes))).nonzero().squeeze(1)
    if not len(kept):
        raise UserError("transfer set: empty; name at least one class to keep")
    return kept


def without_classes(labels: Tensor, classes: Collection[int]) -> Tensor:
    """Sorted indices of the cases whose label is not in ``classes`` (errors as for ``only_classes``).

    Nothing to leave out leaves all cases.
    """
    if not classes:
        return torch.arange(len(labels))
    only_classes(labels, classes)
    return only_classes(labels, set(labels.unique().tolist()) - set(classes))


def balanced_subset(labels: Tensor, size: int, seed: int) -> Tensor:
    """Sorted indices of ``size`` random cases with classes in equal numbers, as far as ``size`` divides.

    Smaller subsets of one seed are contained in larger ones.

    Raises:
        UserError: size not in 1..number of cases.
    """
    if not 1 <= size <= len(labels):
        raise UserError(f"{size} cases asked for, {len(labels)} are there to draw from; choose 1 to {len(labels)}")
    generator = torch.Generator().manual_seed(generator_seed(seed, "transfer"))
    order = torch.randperm(len(labels), generator=generator)
    # Rank of each case within its class; taking cases by rank deals the classes out in turn.
    rank = torch.empty(len(labels), dtype=torch.long)
    for label in labels.unique():
        members = order[labels[order] == label]
        rank[members] = torch.arange(len(members))
    dealt = order[torch.argsort(rank[order], stable=True)]
    return dealt[:size].sort().values
