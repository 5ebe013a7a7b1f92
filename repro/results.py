"""Recorded results: ``runs.csv``, ``curves.csv``, ``timing.csv`` and ``meta.json`` of one experiment.

``runs.csv`` is the record. It holds one row per run and nothing that differs between two runs of the same thing, so
that it is byte-identical however often a study was interrupted; seconds (of one core or GPU, over all processes and
attempts), machines and commits stand in ``timing.csv`` under the same key. A row's key is (hardware class, arm, seed)
within the folder ``results/<scale>/<paper>/<experiment>``; its digest says what was asked of it (``repro.experiment``).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.experiment import NO_DATA
from repro.files import csv_text, locked, read_csv, write_text

FORMAT = 1
KEY = ("arm", "hardware_class", "seed")
RUNS_HEAD = ("experiment", "arm", "hardware_class", "seed", "digest")
CURVES_HEAD = ("arm", "hardware_class", "seed", "epoch", "step", "split", "metric", "value")
TIMING_HEAD = (
    "experiment", "arm", "hardware_class", "seed", "digest",
    "seconds", "hardware", "threads", "commit", "sources", "finished",
)  # fmt: skip
HEADS = {"curves": CURVES_HEAD, "timing": TIMING_HEAD}  # of further tables: KEY
WORDS = {"experiment", "arm", "hardware_class", "digest", "hardware", "commit", "sources", "finished"}
META = ("paper", "experiment", "scale", "data", "config", "command")
SETTING = "settings."


@dataclass(frozen=True)
class Record:
    """One finished run, ready to be recorded."""

    experiment: str
    arm: str
    hardware_class: str
    seed: int
    digest: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    curves: list[list[Any]]
    tables: Mapping[str, list[dict[str, Any]]]
    timing: Mapping[str, Any]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Results:
    """What is recorded of one experiment, as figures and claims see it: of each arm the rows of one hardware class.

    ``passed_over`` counts the rows of the others.
    """

    folder: Path
    meta: Mapping[str, Any]
    rows: list[dict[str, Any]]
    passed_over: int = 0

    @property
    def scale(self) -> str:
        return str(self.meta["scale"])

    @property
    def data(self) -> str:
        return str(self.meta["data"])

    @property
    def config(self) -> Mapping[str, Any]:
        return dict(self.meta["config"])

    @property
    def hardware(self) -> str:
        """The machines that rows come from and, where a run says it, in which precisions they multiplied."""
        machines = "; ".join(sorted({str(row["hardware"]) for row in self.timing}))
        precisions = " and ".join(sorted({row["precision"] for row in self.rows if row.get("precision")}))
        return f"{machines}, in {precisions}" if precisions else machines

    @property
    def scope(self) -> str:
        """How a caption ends: scale, data if any are learned from, and hardware."""
        data = "" if self.data == NO_DATA else f", data {self.data}"
        return f"Scale {self.scale}{data}, on {self.hardware}."

    def values(self, arm: str, metric: str) -> dict[int, float]:
        """``metric`` of every run of ``arm`` by seed; empty where the arm has not run."""
        return {r["seed"]: r[metric] for r in self.rows if r["arm"] == arm and r.get(metric) is not None}

    def paired(self, arm: str, other: str, metric: str) -> list[float]:
        """Differences ``arm - other`` over the seeds both have run."""
        a, b = self.values(arm, metric), self.values(other, metric)
        return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]

    def where(self, **settings: Any) -> list[dict[str, Any]]:
        """Rows whose settings have these values."""
        return [r for r in self.rows if all(r.get(SETTING + k) == v for k, v in settings.items())]

    @cached_property
    def curves(self) -> list[dict[str, Any]]:
        return self.table("curves")

    @cached_property
    def timing(self) -> list[dict[str, Any]]:
        return self.table("timing")

    def table(self, name: str) -> list[dict[str, Any]]:
        """The part of ``<name>.csv`` that is of ``rows``; empty where there is none.

        Raises:
            UserError: the file is damaged or of another format.
        """
        return [row for row in _table(self.folder, name) if _key(row) in self._keys]

    @cached_property
    def _keys(self) -> set[tuple[Any, ...]]:
        return {_key(row) for row in self.rows}


def load(folder: Path) -> Results | None:
    """The results in ``folder``, None where nothing is recorded.

    Rows of an arm are of one hardware class: the one with most rows of the study or, for an arm that has none of it
    (one that names its device, say), with most rows of that arm.

    Raises:
        UserError: files of another format, or damaged ones.
    """
    if not (folder / "runs.csv").exists():
        return None
    meta = _meta(folder)
    rows = _rows(folder)
    counts = Counter(row["hardware_class"] for row in rows)
    of_arm: dict[str, Counter[str]] = {}
    for row in rows:
        of_arm.setdefault(row["arm"], Counter())[row["hardware_class"]] += 1
    first = max(counts, key=lambda name: (counts[name], name), default="")
    speaks = {
        arm: first if first in own else max(own, key=lambda name: (own[name], name)) for arm, own in of_arm.items()
    }
    chosen = [row for row in rows if row["hardware_class"] == speaks[row["arm"]]]
    return Results(folder, meta, sorted(chosen, key=_order), len(rows) - len(chosen))


def studies(folder: Path) -> Iterator[Results]:
    """Every study on record below a scale's folder, in the order of their names.

    Raises:
        UserError: files of another format, or damaged ones.
    """
    for path in sorted(folder.glob("*/*/meta.json")):
        if (found := load(path.parent)) is not None:
            yield found


def recorded(folder: Path) -> dict[tuple[str, int], set[str]]:
    """Digests on record by (arm, seed), over all hardware classes."""
    found: dict[tuple[str, int], set[str]] = {}
    if (folder / "runs.csv").exists():
        for row in _rows(folder):
            found.setdefault((row["arm"], row["seed"]), set()).add(row["digest"])
    return found


def add(folder: Path, record: Record, meta: Mapping[str, Any], lock: Path) -> None:
    """Put a record into the experiment's files, in place of an older one with the same key.

    Each file is replaced whole; ``runs.csv`` last, so that a row in it has its curves and timing, and an older row of
    the key leaves it first: a writer that is killed leaves a run that is missing, never one with another's curves.
    ``lock`` is a file outside the results on which writers queue.

    Raises:
        UserError: the folder holds another format or damaged files (nothing is then written), or cannot be
            written to.
        ValueError: a metric or table has a name that the record itself uses.
    """
    if taken := sorted({*RUNS_HEAD} & {*record.metrics} | {"runs", *HEADS} & {*record.tables}):
        raise ValueError(f"{record.experiment} {record.arm}: {taken[0]} names a column or file of the record itself")
    key = {"arm": record.arm, "hardware_class": record.hardware_class, "seed": record.seed}
    head = {"experiment": record.experiment, **key, "digest": record.digest}
    with locked(lock):
        # All is read before anything is written: damaged files are left as they are found.
        recorded_before = (folder / "runs.csv").exists()
        rows = _rows(folder) if recorded_before else []
        known = _meta(folder) if recorded_before or (folder / "meta.json").exists() else {}
        points = [dict(zip(CURVES_HEAD[3:], values, strict=True)) for values in record.curves]
        tables = {"curves": points, "timing": [dict(record.timing)], **record.tables}
        before = {name: _table(folder, name) for name in tables}

        environments = [dict(e) for e in known.get("environments", [])]
        if dict(record.environment) not in environments:
            environments.append(dict(record.environment))
        sums = {**known.get("data_sha256", {}), **meta.get("data_sha256", {})}  # arms may have read different sets
        content = {"format": FORMAT, **meta, "data_sha256": sums, "environments": environments}
        others = [row for row in rows if not _same(row, key)]
        if len(others) < len(rows):
            _write(folder / "runs.csv", RUNS_HEAD, others)
        write_text(folder / "meta.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
        for name, added in tables.items():
            lead = head if name == "timing" else key
            new = [{**lead, **row} for row in added]
            kept = [row for row in before[name] if not _same(row, key)]
            _write(folder / f"{name}.csv", HEADS.get(name, KEY), kept + new)
        settings = {SETTING + name: value for name, value in flat(record.settings).items()}
        row = {**head, **settings, **record.metrics}
        _write(folder / "runs.csv", RUNS_HEAD, [*others, row])


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names; lists as space-separated words."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}."))
        elif isinstance(value, (list, tuple)):
            found[prefix + name] = " ".join(map(str, value))
        else:
            found[prefix + name] = value
    return found


def _rows(folder: Path) -> list[dict[str, Any]]:
    return _checked(folder / "runs.csv", RUNS_HEAD)


def _table(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.csv"
    return _checked(path, HEADS.get(name, KEY)) if path.exists() else []


def _checked(path: Path, head: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a file whose columns begin with ``head`` and whose rows all say which run they are of."""
    header, rows = read_csv(path, WORDS)
    if tuple(header[: len(head)]) != head:
        raise UserError(
            f"{path}: its columns are not those of format {FORMAT} (it begins {','.join(header[: len(head)])}); "
            "move the folder away or restore it from version control"
        )
    needed = [name for name in head if name in ("arm", "hardware_class", "digest")]
    for number, row in enumerate(rows, start=2):
        if not isinstance(row["seed"], int) or any(row[name] is None for name in needed):
            raise UserError(f"{path}: line {number}: {', '.join(needed)} or seed is missing; restore the file")
    return rows


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        version = meta["format"]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); restore it from version control") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: is damaged ({error}); restore it from version control") from None
    if version != FORMAT:
        raise UserError(
            f"{path}: results of format {version}, this program reads and writes format {FORMAT}; "
            "move the folder away, or use the version that made it"
        )
    if lacking := [name for name in META if name not in meta]:
        raise UserError(f"{path}: lacks {lacking[0]}; restore it from version control")
    return dict(meta)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _same(row: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    return all(str(row[name]) == str(value) for name, value in key.items())


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sort key under which t2.5 comes before t20."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(1, float(p), "") if i % 2 else (0, 0.0, p) for i, p in enumerate(parts)]


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    # The name itself parts arms that read as one number, such as t2 and t2.0.
    return (_natural(str(row["arm"])), str(row["arm"]), str(row["hardware_class"]), row["seed"])


def _write(path: Path, front: Iterable[str], rows: list[dict[str, Any]]) -> None:
    """Sorted rows; columns: ``front``, the settings by name, then the rest as the rows first fill them.

    A cell read back as empty fills nothing, so that the order in which rows arrive does not show.
    """
    rows = sorted(rows, key=_order)  # stable: rows of one run keep their order
    named = {name for row in rows for name in row}
    filled = [name for row in rows for name, value in row.items() if value not in (None, "")]
    settings = sorted(name for name in named if name.startswith(SETTING))
    columns = list(dict.fromkeys([*front, *settings, *filled, *sorted(named)]))
    write_text(path, csv_text(columns, rows))
