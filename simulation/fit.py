"""Laws of step time against workers, fitted to a table that a user (or a paper) measured.

* ``servers``: ``T = max(Tc + a log2 N, N s)``. Workers compute for Tc, every doubling of the clients costs a
  (incast), and the servers need s for each client's gradient; past the knee only the servers count.
* ``all_reduce``: ``T = Tc + a log2 N + c (N - 1) / N``: latency of a tree and bandwidth of a ring.

Errors are relative, so a step of a second counts as much as one of a millisecond. A law whose parameters the
data cannot fix says so: no knee in sight, one point in a regime, fewer points than parameters. So does one that
misses the data altogether.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from simulation.cluster import Cluster, Device, Level, MeasuredCollective, ParameterServers
from simulation.errors import UserError
from simulation.workload import Workload

KNEE_ERROR = 0.03
"""Where the law without a knee misses no step time by more, a knee explains nothing but noise."""

USELESS_ERROR = 0.25
"""A law whose mean relative error is larger says nothing about the data."""

LARGEST = 1e9
"""Workers, seconds, and one over the seconds: what lies beyond is a mistake in a table."""


@dataclass(frozen=True)
class ServerLaw:
    """``T = max(compute_s + incast_s_per_doubling log2 N, N per_client_s)``."""

    compute_s: float
    incast_s_per_doubling: float
    per_client_s: float

    def step_s(self, workers: float) -> float:
        """Step time of so many clients."""
        rising = self.compute_s + self.incast_s_per_doubling * math.log2(workers)
        return max(rising, workers * self.per_client_s)


@dataclass(frozen=True)
class AllReduceLaw:
    """``T = compute_s + latency_s_per_doubling log2 N + transfer_s (N - 1) / N``."""

    compute_s: float
    latency_s_per_doubling: float
    transfer_s: float

    def step_s(self, workers: float) -> float:
        """Step time of so many workers."""
        return (
            self.compute_s
            + self.latency_s_per_doubling * math.log2(workers)
            + self.transfer_s * (workers - 1) / workers
        )


Law = ServerLaw | AllReduceLaw


@dataclass(frozen=True)
class Fit:
    """A fitted law, its relative errors at the data (predicted / measured - 1), and what the data cannot
    tell.

    ``held_out_errors`` refit without each point in turn and predict it. ``upper_bounds`` names the parameters
    of which the data only tell how large they may be.
    """

    law: Law
    workers: tuple[int, ...]
    step_s: tuple[float, ...]
    errors: tuple[float, ...]
    held_out_errors: tuple[float, ...]
    warnings: tuple[str, ...]
    upper_bounds: tuple[str, ...] = ()

    @property
    def mean_error(self) -> float:
        """Mean absolute relative error at the data."""
        return float(np.mean(np.abs(self.errors)))

    @property
    def worst_error(self) -> float:
        """Largest absolute relative error at the data."""
        return float(np.max(np.abs(self.errors)))

    @property
    def useless(self) -> bool:
        """Whether the law misses the data altogether."""
        return self.mean_error > USELESS_ERROR


def _relative_least_squares(columns: list[list[float]], times: Sequence[float]) -> list[float]:
    """Coefficients of zero or more that minimise the squared relative errors."""
    t = np.asarray(times, dtype=float)
    matrix = np.column_stack([np.asarray(column, dtype=float) for column in columns]) / t[:, None]
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    return [float(c) for c in nnls(matrix / scale, np.ones(len(t)))[0] / scale]


def _errors(law: Law, workers: Sequence[int], times: Sequence[float]) -> list[float]:
    return [law.step_s(n) / t - 1 for n, t in zip(workers, times, strict=True)]


def fit_server_law(workers: Sequence[int], times: Sequence[float]) -> tuple[ServerLaw, int]:
    """The law of least squared relative error, and how many of the sorted points lie below its knee.

    Without a knee (all points below it) s is the largest that no point contradicts, hence only an upper bound.
    Where that law misses some point by more than noise, every place of the knee is tried: below it Tc and a,
    above it s.
    """
    best: tuple[float, ServerLaw, int] | None = None
    for split in (len(workers), *range(1, len(workers))):
        below, above = workers[:split], workers[split:]
        compute, incast = _relative_least_squares([[1.0] * split, [math.log2(n) for n in below]], times[:split])
        if len(set(below)) == 1:  # one count cannot tell Tc from a: take the latter as nothing
            compute, incast = float(np.mean(times[:split])), 0.0
        if above:
            per_client = _relative_least_squares([[float(n) for n in above]], times[split:])[0]
        else:
            per_client = min(t / n for n, t in zip(workers, times, strict=True))
        law = ServerLaw(compute, incast, per_client)
        errors = _errors(law, workers, times)
        if not above and max(map(abs, errors)) <= KNEE_ERROR:
            return law, split
        loss = sum(e * e for e in errors)
        if best is None or loss < best[0] * (1 - 1e-9):
            best = (loss, law, split)
    assert best is not None
    return best[1], best[2]


def fit_all_reduce_law(workers: Sequence[int], times: Sequence[float]) -> AllReduceLaw:
    """The law of least squared relative error with parameters of zero or more."""
    columns = [[1.0] * len(workers), [math.log2(n) for n in workers], [(n - 1) / n for n in workers]]
    return AllReduceLaw(*_relative_least_squares(columns, times))


def _server_warnings(workers: Sequence[int], law: ServerLaw, below: int) -> list[str]:
    said = []
    above = len(workers) - below
    if above == 0:
        said.append(
            f"no knee in sight up to {workers[-1]} workers: the servers' time per client is only known to be "
            f"at most {law.per_client_s:.4g} s; measure more workers before predicting beyond them"
        )
    elif above == 1:
        said.append("only one point lies above the knee: measure more workers to trust the servers' time")
    if len(set(workers[:below])) == 1:
        said.append("one point lies below the knee: incast is taken as zero; measure fewer workers too")
    elif below == 2 and above:
        said.append("two points below the knee fit Tc and a exactly: their error is unknown")
    return said


def _all_reduce_warnings(workers: Sequence[int], law: AllReduceLaw) -> list[str]:
    said = []
    if len(set(workers)) < 4:
        said.append(
            f"{len(set(workers))} worker counts for three parameters: the error of the fit means nothing; "
            "measure four or more"
        )
    if 1 not in workers:
        said.append("no row for one worker: compute and transfer time cannot be told apart; measure one")
    if law.transfer_s == 0 or law.latency_s_per_doubling == 0:
        said.append("the data ask for no more than one of latency and transfer; the other is taken as zero")
    return said


def fit(workers: Sequence[int], step_s: Sequence[float], law: str = "servers") -> Fit:
    """Fit a law, with its errors and with warnings for what the data cannot fix.

    Raises:
        UserError: fewer than three worker counts, or numbers that are not above zero.
    """
    rows = sorted(zip(workers, step_s, strict=True))
    counts, times = [n for n, _ in rows], [t for _, t in rows]
    if len(set(counts)) < 3:
        raise UserError(f"{len(set(counts))} different worker counts are too few for a law: give three or more")
    if counts[0] < 1 or any(not (math.isfinite(t) and t > 0) for t in times):
        raise UserError("workers must be 1 or more and step times above zero: correct the table")
    if counts[-1] > LARGEST or max(times) > LARGEST or min(times) < 1 / LARGEST:
        raise UserError(
            f"workers above {LARGEST:g}, or steps above {LARGEST:g} s or below its inverse, are no measurements: "
            "correct the table"
        )

    def fitted(n: Sequence[int], t: Sequence[float]) -> tuple[Law, list[str], tuple[str, ...]]:
        if law == "servers":
            found, below = fit_server_law(n, t)
            return found, _server_warnings(n, found, below), ("per_client_s",) if below == len(n) else ()
        if law == "all_reduce":
            other = fit_all_reduce_law(n, t)
            return other, _all_reduce_warnings(n, other), ()
        raise UserError(f"law {law!r} is unknown: choose servers or all_reduce")

    result, warnings, upper_bounds = fitted(counts, times)
    held = []
    for i in range(len(counts)):
        n, t = counts[:i] + counts[i + 1 :], times[:i] + times[i + 1 :]
        held += _errors(fitted(n, t)[0], [counts[i]], [times[i]]) if len(set(n)) >= 2 else []
    errors = tuple(_errors(result, counts, times))
    found = Fit(result, tuple(counts), tuple(times), errors, tuple(held), tuple(warnings), upper_bounds)
    if not found.useless:
        return found
    missed = (
        f"useless: the law misses the data by {found.mean_error:.0%} on the mean. Both laws rise with workers, each "
        "of which keeps its batch: check the column, or fit the other law"
    )
    return replace(found, warnings=(missed, *warnings))


def read_table(path: Path, batch_per_worker_examples: int | None = None) -> tuple[list[int], list[float]]:
    """Workers and step seconds from a CSV with columns ``workers`` and ``step_s`` or ``examples_per_s``.

    Raises:
        UserError: no file, missing columns, a cell that is no number, or a rate without a batch.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [c.strip() for c in reader.fieldnames or []]
            rows = [{(k or "").strip(): v for k, v in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}): give a CSV file") from None
    measured = [c for c in ("step_s", "examples_per_s") if c in columns]
    if "workers" not in columns or len(measured) != 1:
        raise UserError(
            f"{path}: columns {', '.join(columns) or 'none'}: give workers and one of step_s, examples_per_s"
        )
    if measured == ["examples_per_s"] and batch_per_worker_examples is None:
        raise UserError(f"{path}: examples_per_s needs the batch of each worker: give --batch")
    if measured == ["step_s"] and batch_per_worker_examples is not None:
        raise UserError("--batch has no effect on a table of step_s: leave it out")
    if not rows:
        raise UserError(f"{path}: no rows below the header: give three or more worker counts")
    workers, times = [], []
    for number, row in enumerate(rows, 2):
        try:
            n, value = int(row["workers"]), float(row[measured[0]])
        except (TypeError, ValueError):
            raise UserError(f"{path}, line {number}: workers must be a whole number, {measured[0]} a number") from None
        if n > LARGEST:
            raise UserError(f"{path}, line {number}: more than {LARGEST:g} workers: correct the table")
        if n < 1 or not (math.isfinite(value) and value > 0):
            raise UserError(f"{path}, line {number}: workers and {measured[0]} must be above zero")
        workers.append(n)
        times.append(value if batch_per_worker_examples is None else n * batch_per_worker_examples / value)
    return workers, times


def as_cluster(found: Fit, workload: Workload, batch_per_worker_examples: int, name: str) -> Cluster:
    """A cluster of one-device nodes on which the simulator gives back the fitted law for this workload.

    The all-reduce law is smooth in workers, which no algorithm is: it is written as measured tables, close
    enough to each other that the step in between is the law's within one in a thousand.

    Raises:
        UserError: a useless fit, or one that leaves no time to compute in.
    """
    if found.useless:
        raise UserError(f"the law misses the data by {found.mean_error:.0%} on the mean: no cluster is written")
    if not found.law.compute_s > 0:
        raise UserError("the fit leaves no compute time: no cluster gives that back; measure one worker too")
    law, size = found.law, workload.gradient_bytes
    flop = workload.forward_flop_per_example * (1 + workload.backward_per_forward) * batch_per_worker_examples
    nodes = max(found.workers)
    fast = 1e15  # a link that never bounds: what it costs is inside the fitted numbers
    cluster = Cluster(
        name=name,
        source=f"{len(found.workers)} step times of {workload.name}: mean error {found.mean_error:.1%}",
        confidence="measured",
        nodes=nodes,
        devices_per_node=1,
        device=Device(f"fitted to {name}", flop / law.compute_s, 1.0),
        links=(Level("network", nodes, 0.0, fast),),
        overlap=False,
        all_reduce="double_tree",
    )
    if isinstance(law, ServerLaw):
        servers = ParameterServers(
            count=1,
            bandwidth_bytes_per_s=2 * size / law.per_client_s,
            incast_s_per_doubling=law.incast_s_per_doubling,
        )
        return replace(cluster, overlap=True, parameter_servers=servers)
    bandwidth = 2 * size / law.transfer_s if law.transfer_s else fast
    links = (Level("network", nodes, law.latency_s_per_doubling / 2, bandwidth),)
    return replace(cluster, links=links, measured_collectives=_tables(law, size, nodes))


def _tables(law: AllReduceLaw, size: float, most: int) -> tuple[MeasuredCollective, ...]:
    """The law's all-reduce up to ``most`` workers, of ``size`` bytes and of parts and multiples of them."""
    if most < 2 or not law.step_s(2) > law.compute_s:
        return ()
    steps = 4 * max(0, math.ceil(math.log2(most / 8))) if most > 8 else 0
    between = {round(8 * 2 ** (i / 4)) for i in range(steps)}
    shares = (1e-3, 1e-2, 0.1, 1.0, 10.0)

    def seconds(n: int, share: float) -> float:
        return law.latency_s_per_doubling * math.log2(n) + law.transfer_s * (n - 1) / n * share

    return tuple(
        MeasuredCollective(
            "all_reduce", n, tuple(size * s for s in shares), tuple(seconds(n, s) for s in shares), "fitted law"
        )
        for n in sorted({*range(2, min(most, 8) + 1), *(n for n in between if n < most), most})
    )
