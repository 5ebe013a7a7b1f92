"""Predictions beside printed numbers: the checks, their targets, and errors by system.

Targets were set before the predictions were made, and are judged over all out-of-sample rows of a check.
"""

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """One printed number beside ours."""

    check: str
    system: str
    id: str
    sample: str
    setting: str
    quantity: str
    unit: str
    printed: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error, predicted / printed - 1."""
        return self.predicted / self.printed - 1


@dataclass(frozen=True)
class Summary:
    """Errors of a check (or of one system of it) over its out-of-sample rows, else its in-sample rows."""

    check: str
    system: str
    sample: str
    n: int
    mean_error: float
    worst_error: float
    bias: float
    target: str
    met: bool | None


@dataclass(frozen=True)
class Target:
    """What a check must reach over all its out-of-sample rows: mean and worst absolute error, where set."""

    mean: float | None = None
    worst: float | None = None

    def words(self) -> str:
        """The target as text."""
        parts = [("mean", self.mean), ("worst", self.worst)]
        return ", ".join(f"{name} <= {limit:.0%}" for name, limit in parts if limit is not None)

    def met(self, mean: float, worst: float) -> bool:
        """Whether errors reach it."""
        return (self.mean is None or mean <= self.mean) and (self.worst is None or worst <= self.worst)


TABLES = "all-reduce, every other point held out"
SERVERS_FITTED = "parameter servers, fitted"
SERVERS_CARRIED = "parameter servers, one-GPU nodes to eight-GPU nodes"
SERVERS_OTHER = "parameter servers, to another model or machine"
SPECIFICATIONS = "sync all-reduce from specifications (Goyal, Horovod, MLPerf v0.7)"
WHOLE_RUNS = "the same MLPerf v0.7 runs, start-up and evaluation included"
TPU_CARRIED = "TPU v4 with the step overhead of TPU v3"
OTHER_SYSTEMS = "sync all-reduce from specifications, other systems"
IDENTITIES = "statements of Goyal et al. about their network"
REAL = "real steps of two gloo processes on this machine"
TARGETS = {
    TABLES: Target(mean=0.05, worst=0.15),
    SERVERS_CARRIED: Target(worst=0.08),
    SPECIFICATIONS: Target(mean=0.10),
    REAL: Target(worst=0.15),
}


def _summary(check: str, system: str, rows: list[Prediction]) -> Summary:
    judged = [r for r in rows if r.sample == "out"] or rows
    errors = np.array([r.error for r in judged])
    mean, worst = float(np.mean(np.abs(errors))), float(np.max(np.abs(errors)))
    target = TARGETS.get(check) if system == "all" else None
    return Summary(
        check,
        system,
        judged[0].sample,
        len(judged),
        mean,
        worst,
        float(np.mean(errors)),
        target.words() if target else "",
        target.met(mean, worst) if target else None,
    )


def summaries(rows: list[Prediction]) -> list[Summary]:
    """Errors by system, then over each check as a whole, where its target is judged."""
    found = []
    for check in dict.fromkeys(r.check for r in rows):
        mine = [r for r in rows if r.check == check]
        systems = list(dict.fromkeys(r.system for r in mine))
        found += [_summary(check, system, [r for r in mine if r.system == system]) for system in systems]
        found.append(_summary(check, "all", mine))
    return found


def as_records(rows: list[Prediction]) -> list[dict[str, object]]:
    """Rows for CSV and JSON, errors included."""
    return [asdict(r) | {"error": r.error} for r in rows]
