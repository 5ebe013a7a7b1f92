"""One YAML, many runs: protocols against worker counts, into one CSV and one figure.

.. code-block:: yaml

    cluster: p100-ethernet        # a name on the shelf, or a file (relative to this one)
    workload: resnet-50
    workers: [8, 16, 32]          # in all groups together
    protocols:
      - {name: sync, kind: SyncSGD}
      - {name: two groups, kind: Codistillation, groups: 2, interval_steps: 50, within: {kind: SyncSGD}}

Worker counts are filled in: a protocol names none. The cluster grows to hold the largest.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simulation.cluster import Cluster, resized
from simulation.description import load_cluster, load_workload, read_yaml, validated
from simulation.errors import UserError
from simulation.protocols import Protocol, check_burn_in, from_dict, with_workers
from simulation.report import Report, check, simulate

PARTS = ("compute", "straggler", "link", "server", "teacher", "peers", "failure")
COLUMNS = (
    "protocol",
    "workers",
    "step_s",
    "expected_step_s",
    "examples_per_s",
    "efficiency",
    "utilisation",
    "bound",
    *(f"{part}_s" for part in PARTS),
    "busiest_link_bytes_per_step",
    "total_bytes_per_step",
    "staleness_mean_updates",
    "staleness_99_updates",
    "teacher_age_mean_updates",
    "dropped_gradients",
    "lost_updates",
    "lost_share",
    "failures_time_share",
    "price_per_hour_usd",
)


@dataclass(frozen=True)
class Sweep:
    """What to run, as the YAML says it."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    cluster: str
    workload: str
    workers: tuple[int, ...]
    protocols: tuple[dict[str, Any], ...]
    updates: int | None = None
    seed: int | None = None
    engine: Literal["auto", "heap", "window", "closed_form"] = "auto"
    batch_per_worker_examples: int | None = None

    def __post_init__(self) -> None:
        if not self.workers or not self.protocols:
            raise ValueError("workers and protocols need at least one entry each")
        if any(n < 1 for n in self.workers) or len(set(self.workers)) < len(self.workers):
            raise ValueError("workers must be different numbers of 1 or more")
        for key in ("updates", "batch_per_worker_examples"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be 1 or more, not {value}")


def load_sweep(path: Path) -> Sweep:
    """Read and check a sweep; cluster and workload files are found beside it."""
    found: Sweep = validated(read_yaml(path), Sweep, str(path))
    beside = {
        key: str(path.parent / name) if (path.parent / name).is_file() else name
        for key, name in (("cluster", found.cluster), ("workload", found.workload))
    }
    names = [str(p.get("name", p.get("kind"))) for p in found.protocols]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: protocols: two are called {name!r}: give each a name of its own")
    return Sweep(**{**found.__dict__, **beside})


def described(description: Mapping[str, Any], workers: int, where: str) -> Protocol:
    """The protocol of one entry with so many workers in all.

    Raises:
        UserError: a worker count given, groups (or backups) that do not divide the workers, or what the
            protocol refuses.
    """
    values = {k: v for k, v in description.items() if k != "name"}
    protocol = from_dict(with_workers(values, workers, where), where)
    check_burn_in(protocol, where)
    return protocol


def grown(cluster: Cluster, workers: int) -> Cluster:
    """The cluster with enough nodes for so many workers."""
    if workers <= cluster.devices:
        return cluster
    try:
        return resized(cluster, -(-workers // cluster.devices_per_node))
    except ValueError as error:
        raise UserError(f"cluster {cluster.name!r}: {error}") from None


@contextmanager
def _in(where: str) -> Iterator[None]:
    """Mistakes met inside name the file and the key."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def run_sweep(
    sweep: Sweep, progress: Callable[[str], None] = lambda _: None, where: str = "sweep"
) -> list[tuple[str, int, Report]]:
    """Every protocol at every worker count, in the order of the YAML; ``where`` names it in messages.

    All protocols are built and priced before the first is run, so that a mistake in the last costs no time.
    """
    with _in(f"{where}: cluster"):
        cluster = grown(load_cluster(sweep.cluster), max(sweep.workers))
    with _in(f"{where}: workload"):
        workload = load_workload(sweep.workload)
    planned = []
    for i, description in enumerate(sweep.protocols):
        name, key = str(description.get("name", description.get("kind"))), f"{where}: protocols.{i}"
        for workers in sorted(sweep.workers):
            protocol = described(description, workers, key)
            with _in(f"{key}, {workers} workers"):
                check(cluster, workload, protocol, sweep.updates, sweep.seed, sweep.batch_per_worker_examples)
            planned.append((name, workers, protocol, f"{key}, {workers} workers"))
    found = []
    for name, workers, protocol, key in planned:
        progress(f"{name}, {workers} workers")
        with _in(key):
            played = simulate(
                cluster,
                workload,
                protocol,
                sweep.updates,
                sweep.seed,
                sweep.engine,
                sweep.batch_per_worker_examples,
            )
        found.append((name, workers, played.report))
    return found


def rows_of(results: list[tuple[str, int, Report]]) -> list[dict[str, Any]]:
    """One row per run, columns as in `COLUMNS`; efficiency is against the fewest workers of the protocol."""
    base: dict[str, float] = {}
    rows = []
    for name, workers, report in results:
        rate = report.examples_per_s / workers
        base.setdefault(name, rate)
        found = report.statistics
        links = [t for t in report.traffic if t.level != "parameter servers"]
        rows.append(
            {
                "protocol": name,
                "workers": workers,
                "step_s": report.step_s,
                "expected_step_s": report.expected_step_s,
                "examples_per_s": report.examples_per_s,
                "efficiency": rate / base[name],
                "utilisation": report.utilisation,
                "bound": report.bound,
                **{f"{part}_s": report.parts_s.get(part, 0.0) for part in PARTS},
                "busiest_link_bytes_per_step": max(t.busiest_link_bytes for t in links),
                "total_bytes_per_step": sum(t.total_bytes for t in links),
                "staleness_mean_updates": found.staleness_mean,
                "staleness_99_updates": found.staleness_quantiles[0.99],
                "teacher_age_mean_updates": "" if found.teacher_age_mean is None else found.teacher_age_mean,
                "dropped_gradients": found.dropped_gradients,
                "lost_updates": found.lost_updates,
                "lost_share": found.lost_share,
                "failures_time_share": "" if report.failures is None else report.failures.time_share,
                "price_per_hour_usd": "" if report.price_per_hour_usd is None else report.price_per_hour_usd,
            }
        )
    return rows


def as_csv(rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> str:
    """Rows as CSV text, numbers to nine digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()})
    return text.getvalue()
