"""Categories as inputs of a fixed number, by hashing: no list of categories is needed."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from repro.data.tables import Table


def bucket(name: str, category: str, buckets: int) -> int:
    """The input that `name=category` switches on; the same in every process and version."""
    digest = hashlib.sha256(f"{name}={category}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % buckets


def hashed(table: Table, buckets: int) -> NDArray[np.float32]:
    """(cases, buckets) float32: how many of a case's categories fall into each bucket (Weinberger et al. 2009).

    Raises:
        ValueError: no buckets for the nominal attributes there are.
    """
    if table.columns.nominal and buckets < 1:
        raise ValueError(f"buckets must be at least 1, not {buckets}")
    counts = np.zeros((len(table), buckets), dtype=np.float32)
    rows = np.arange(len(table))
    for codes, (name, categories) in zip(table.nominal.T, table.columns.nominal.items(), strict=True):
        place = np.array([bucket(name, category, buckets) for category in categories])
        np.add.at(counts, (rows, place[codes]), 1.0)
    return counts
