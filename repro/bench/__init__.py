"""Speed and memory against stated targets: ratios against a yardstick timed beside it, in one run.

Each module offers ``measure() -> list[Measurement]``; ``python -m repro bench`` runs all of them, or those whose names
begin as asked, and writes ``results/bench.csv``. Rows of a benchmark that was not measured stay as they are, be it that
its module was not asked for or that this machine has not what it measures.
"""

import importlib
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import machine
from repro.errors import UserError
from repro.files import csv_text, read_csv, write_text

BENCH = Path("results/bench.csv")
COLUMNS = ("benchmark", "quantity", "value", "unit", "target", "met", "hardware", "threads", "commit")
MODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py")))
RELATIONS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Measurement:
    """One measured quantity. ``target`` reads ``>= 2.2`` or ``<= 60``; empty where none was set.

    ``hardware`` is what it was measured on, if that is another machine's.
    """

    benchmark: str
    quantity: str
    value: float
    unit: str
    target: str = ""
    hardware: str = ""

    @property
    def met(self) -> str:
        if not self.target:
            return ""
        relation, bound = self.target.split()
        return "yes" if RELATIONS[relation](self.value, float(bound)) else "no"


def run_all(names: Sequence[str] = (), path: Path = BENCH) -> None:
    """Run the benchmarks that begin with one of ``names``, or all of them, and write their rows.

    Raises:
        UserError: no benchmark begins with one of the names; nothing has run.
    """
    for name in names:
        if not any(module.startswith(name) for module in MODULES):
            raise UserError(f"bench: nothing begins with {name}; there are {', '.join(MODULES)}")
    chosen = [module for module in MODULES if not names or module.startswith(tuple(names))]
    for module in chosen:
        found: list[Measurement] = importlib.import_module(f"repro.bench.{module}").measure()
        for m in found:
            print(f"{m.benchmark}  {m.quantity}: {m.value:.4g} {m.unit}  {m.target} {m.met}", flush=True)
        _record(path, found)


def _record(path: Path, found: Sequence[Measurement]) -> None:
    """Replace the rows of the benchmarks that are among those found; another's rows stay, of the same module too."""
    measured = {m.benchmark for m in found}
    rows_before = read_csv(path)[1] if path.exists() else []
    kept = [row for row in rows_before if row["benchmark"] not in measured]
    where = {"threads": os.environ.get("OMP_NUM_THREADS", "1"), "commit": machine.commit()}
    new = [
        {"benchmark": m.benchmark, "quantity": m.quantity, "value": f"{m.value:.4g}", "unit": m.unit}
        | {"target": m.target, "met": m.met, "hardware": m.hardware or machine.processor()}
        | where
        for m in found
    ]
    rows = sorted([*kept, *new], key=lambda row: (str(row["benchmark"]), str(row["quantity"])))
    write_text(path, csv_text(COLUMNS, rows))
