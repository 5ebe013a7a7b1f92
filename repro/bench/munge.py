"""``munge.*``: MUNGE at the paper's size against the plain loop.

The plain loop is what one writes from the paper's listing with numpy: for every case its distances to all cases, then
the exchange, both over whole rows. It is timed on one copy of the hundred; what it makes is compared with ours. Seconds
are CPU seconds of this process with one thread; data are seeded noise, since only shapes matter to speed.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repro.bench import Measurement
from repro.data.tables import Columns, Table
from repro.distill.munge import munge
from repro.training.keys import generator_seed

CASES, MULTIPLIER, ATTRIBUTES = 4000, 100, 104
PROBABILITY, LOCAL_VARIANCE, SEED = 0.5, 1.0, 0
# 6 continuous attributes and 8 nominal ones whose categories make 104 inputs, as in the census data of the paper.
CATEGORIES = (7, 16, 7, 14, 6, 5, 2, 41)


def cpu_seconds(work: Callable[[], Table]) -> tuple[float, Table]:
    """CPU seconds of this process, and what was made."""
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def noise(continuous: int, categories: tuple[int, ...]) -> Table:
    """Seeded cases with independent attributes."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, count, CASES) for count in categories]
    columns = Columns(
        tuple(f"x{number}" for number in range(continuous)),
        {f"n{number}": tuple(map(str, range(count))) for number, count in enumerate(categories)},
    )
    nominal = np.array(codes, dtype=np.int64).reshape(-1, CASES).T
    return Table(columns, rng.random((CASES, continuous)), nominal)


def plain_loop(table: Table) -> NDArray[np.float64]:
    """One copy's continuous values; the table has no nominal ones."""
    x = table.continuous.copy()
    tossing = np.random.default_rng(generator_seed(SEED, "munge", 0, "coins"))
    drawing = np.random.default_rng(generator_seed(SEED, "munge", 0, "normals"))
    for case in range(len(x)):
        coins, normals = tossing.random(x.shape[1]) < PROBABILITY, drawing.standard_normal((2, x.shape[1]))
        apart = np.square(x - x[case]).sum(1)
        apart[case] = np.inf
        other = apart.argmin()
        own, its = x[case].copy(), x[other].copy()
        spread = np.abs(own - its) / LOCAL_VARIANCE
        x[case] = np.where(coins, its + spread * normals[0], own)
        x[other] = np.where(coins, own + spread * normals[1], its)
    return x


def measure() -> list[Measurement]:
    """All rows of ``munge.*``, in about a minute."""
    options = {"multiplier": MULTIPLIER, "probability": PROBABILITY, "local_variance": LOCAL_VARIANCE, "seed": SEED}
    table = noise(ATTRIBUTES, ())
    start = time.process_time()
    by_loop = plain_loop(table)
    loop = (time.process_time() - start) * MULTIPLIER
    ours, made = cpu_seconds(lambda: munge(table, **options))  # type: ignore[arg-type]
    same = np.array_equal(made.continuous[:CASES], by_loop)
    del made
    mixed, _ = cpu_seconds(lambda: munge(noise(6, CATEGORIES), **options))  # type: ignore[arg-type]
    name = "munge.continuous_104"
    return [
        Measurement(name, "4000 cases, 100 copies", ours, "CPU-s", "<= 60"),
        Measurement(name, "plain loop, from 1 of 100 copies", loop, "CPU-s"),
        Measurement(name, "plain loop over ours", loop / ours, "x", ">= 10"),
        Measurement(name, "first copy identical to the plain loop's", float(same), "bool", ">= 1"),
        Measurement("munge.mixed_6_8", "4000 cases, 100 copies, 104 inputs", mixed, "CPU-s", "<= 60"),
    ]
