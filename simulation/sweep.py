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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.cluster import Cluster, resized
from simulation.description import load_cluster, load_workload, read_yaml, validated
from simulation.errors import UserError
from simulation.protocols import Protocol, from_dict
from simulation.report import Report, simulate

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
    seed: int = 0
    engine: str = "auto"
    batch_per_worker_examples: int | None = None

    def __post_init__(self) -> None:
        if not self.workers or not self.protocols:
            raise ValueError("workers and protocols need at least one entry each")
        if any(n < 1 for n in self.workers) or len(set(self.workers)) < len(self.workers):
            raise ValueError("workers must be different numbers of 1 or more")


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


def with_workers(description: Mapping[str, Any], workers: int, where: str) -> Protocol:
    """The described protocol with so many workers in all.

    Raises:
        UserError: a worker count given, or groups (or backups) that do not divide the workers.
    """
    values = {k: v for k, v in description.items() if k != "name"}
    if "workers" in values or "workers" in values.get("within", {}):
        raise UserError(f"{where}: leave workers out of the protocol, the sweep fills them in")
    if values.get("kind") == "Codistillation":
        groups = values.get("groups")
        if not isinstance(groups, int) or groups < 1 or workers % groups:
            raise UserError(f"{where}: groups: {groups} does not divide {workers} workers: choose counts it does")
        within = values.get("within")
        if not isinstance(within, dict):
            raise UserError(f"{where}: within: describe the protocol inside a group, for example kind: SyncSGD")
        values["within"] = _filled(within, workers // groups, f"{where}.within")
        return from_dict(values, where)
    return from_dict(_filled(values, workers, where), where)


def _filled(values: Mapping[str, Any], workers: int, where: str) -> dict[str, Any]:
    backups = values.get("backups", 0) if values.get("kind") == "BackupWorkers" else 0
    if not isinstance(backups, int) or backups >= workers:
        raise UserError(f"{where}: backups: {backups} leave none of {workers} workers: give fewer")
    return {**values, "workers": workers - backups}


def grown(cluster: Cluster, workers: int) -> Cluster:
    """The cluster with enough nodes for so many workers."""
    if workers <= cluster.devices:
        return cluster
    try:
        return resized(cluster, -(-workers // cluster.devices_per_node))
    except ValueError as error:
        raise UserError(f"cluster {cluster.name!r}: {error}") from None


def run_sweep(sweep: Sweep, progress: Callable[[str], None] = lambda _: None) -> list[tuple[str, int, Report]]:
    """Every protocol at every worker count, in the order of the YAML.

    All protocols are built before the first is run, so that a mistake in the last costs no time.
    """
    cluster = grown(load_cluster(sweep.cluster), max(sweep.workers))
    workload = load_workload(sweep.workload)
    planned = []
    for i, description in enumerate(sweep.protocols):
        name = str(description.get("name", description.get("kind")))
        for workers in sorted(sweep.workers):
            planned.append((name, workers, with_workers(description, workers, f"protocols.{i}")))
    found = []
    for name, workers, protocol in planned:
        progress(f"{name}, {workers} workers")
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
