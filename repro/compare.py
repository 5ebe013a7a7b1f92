"""The one place that compares ours with the printed numbers, by rules that stand before any run.

An experiment's ``claims`` gives answers: ``Value`` (the same quantity under the same protocol), ``Claim`` (a
direction, an ordering or a ratio, as paired differences over seeds), ``Model`` (a simulated number) or ``NotRun``.
``judge`` turns each into a row of ``comparison.csv``:

- value: ``reproduced`` if the mean of at least three seeds lies in the printed number's band (its spread, or the
  sampling band of a single run); ``differs`` if our whole 95 % interval lies outside the band; else ``undecided``.
- claim: ``holds`` if our whole interval lies on the claimed side of the null, ``fails`` if it lies on the other;
  else ``undecided``.
- model: ``within`` or ``outside`` the printed band; ``undecided`` where there is none.
- numbers that are only recollected (confidence ``unverified``), and values on other data than the paper's, are
  shown and not judged: ``not_judged``.
  So are answers to rows whose role is not ``result``: what a paper set, or what was derived from its numbers.
- ``not_run`` otherwise.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.files import csv_text, read_csv, write_text
from repro.published import Published, stem_of

KINDS = ("value", "claim", "model", "not_run")
VERDICTS = (
    "reproduced", "differs", "holds", "fails", "within", "outside", "undecided", "not_judged", "not_run",
)  # fmt: skip
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Value:
    """The paper's own quantity, one number a seed. ``id`` is the printed row's, or ``<row>.<which of ours>``."""

    id: str
    ours: tuple[float, ...]
    setting: str = ""
    departures: str = ""


@dataclass(frozen=True)
class Claim:
    """Something the paper says that must show in ours: ``differences``, one a seed, ``direction`` of ``null``.

    Differences are paired by seed and may be ratios, with another ``null`` than zero.
    """

    id: str
    quantity: str
    differences: tuple[float, ...]
    direction: str
    null: float = 0.0
    setting: str = ""
    unit: str = ""
    departures: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("less", "greater"):
            raise ValueError(f"{self.id}: direction is less or greater, not {self.direction!r}")


@dataclass(frozen=True)
class Model:
    """A number that only the simulator can speak about; one a simulated seed, or a single one."""

    id: str
    ours: tuple[float, ...]
    setting: str = ""
    departures: str = ""


@dataclass(frozen=True)
class NotRun:
    """A printed result that was not run here, and why."""

    id: str
    reason: str


Answer = Value | Claim | Model | NotRun


@dataclass(frozen=True)
class Row:
    """One row of ``comparison.csv``."""

    id: str
    paper: str
    where: str
    quantity: str
    setting: str
    unit: str
    published: float | None
    published_low: float | None
    published_high: float | None
    confidence: str
    ours: float | None
    ours_low: float | None
    ours_high: float | None
    ours_n: int
    kind: str
    verdict: str
    departures: str
    command: str
    hardware: str
    commit: str


COLUMNS = tuple(field.name for field in fields(Row))


def t_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95 % t-interval; bounds are None for a single value.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if not n:
        raise ValueError("an interval needs at least one value")
    mean = math.fsum(values) / n
    if n == 1:
        return mean, None, None
    from scipy.special import stdtrit

    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
    return mean, mean - half, mean + half


def judge(
    answer: Answer,
    published: Mapping[str, Published],
    *,
    same_data: bool = True,
    data: str = "",
    suffix: str = "",
    command: str = "",
    hardware: str = "",
    commit: str = "",
) -> Row:
    """The comparison row of one answer. ``same_data`` says that it was run on the paper's own data set;
    ``suffix`` sets rows of a swapped data set apart.

    Raises:
        UserError: the answer's id belongs to no printed row.
    """
    stem = stem_of(answer.id, dict(published))
    if stem is None:
        raise UserError(f"{answer.id}: no printed row has this id; add it to repro/published or mend the claim")
    printed = published[stem]
    where: dict[str, Any] = {"command": command, "hardware": hardware, "commit": commit}
    name = f"{answer.id}.{suffix}" if suffix else answer.id
    if isinstance(answer, NotRun):
        return _row(name, printed, "not_run", "not_run", (), departures=answer.reason)
    if isinstance(answer, Claim):
        row_verdict = _claim_verdict(answer)
        if not answer.differences:
            return _row(
                name,
                printed,
                "not_run",
                "not_run",
                (),
                departures="no rows on record",
                quantity=answer.quantity,
            )
        return _row(
            name, printed, "claim", row_verdict, answer.differences,
            setting=_words(answer.setting, "" if same_data else f"on {data}"),
            departures=answer.departures, quantity=answer.quantity, unit=answer.unit, of_claim=True, **where,
        )  # fmt: skip
    if not answer.ours:
        return _row(name, printed, "not_run", "not_run", (), departures="no rows on record")
    if isinstance(answer, Model):
        verdict, kind = _model_verdict(answer.ours, printed), "model"
    elif same_data:
        verdict, kind = _value_verdict(answer.ours, printed), "value"
    else:
        verdict, kind = "not_judged", "claim"
    setting = _words(answer.setting or printed.setting, "" if same_data else f"on {data}")
    return _row(name, printed, kind, verdict, answer.ours, setting=setting, departures=answer.departures, **where)


def complete(rows: Iterable[Row], published: Mapping[str, Published], papers: Sequence[str]) -> list[Row]:
    """A ``not_run`` row for each printed result of these papers that no row speaks to."""
    spoken = {stem_of(row.id, dict(published)) for row in rows}
    return [
        _row(
            printed.id,
            printed,
            "not_run",
            "not_run",
            (),
            departures="no experiment of this scale speaks to it",
        )
        for printed in published.values()
        if printed.role == "result" and printed.paper in papers and printed.id not in spoken
    ]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write ``comparison.csv``, sorted by paper and id, whole or not at all."""
    ordered = sorted(rows, key=lambda row: (row.paper, row.id))
    content = [dict(zip(COLUMNS, map(_cell, astuple(row)), strict=True)) for row in ordered]
    write_text(path, csv_text(COLUMNS, content))


def read(path: Path) -> list[Row]:
    """Read ``comparison.csv``.

    Raises:
        UserError: it is not there, is damaged, or has the columns of another version.
    """
    header, _ = read_csv(path)
    if tuple(header) != COLUMNS:
        wrong = next((a for a, b in zip(header, COLUMNS, strict=False) if a != b), "the number of columns")
        raise UserError(
            f"{path}: made by another version ({wrong} is not where it should be); "
            "make it anew with python -m repro compare"
        )
    with io.StringIO(path.read_text(encoding="utf-8")) as text:
        cells = list(csv.reader(text))[1:]
    return [_parsed(path, number, line) for number, line in enumerate(cells, start=2)]


def counts(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Number of rows by paper and verdict."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        of_paper = found.setdefault(row.paper, {})
        of_paper[row.verdict] = of_paper.get(row.verdict, 0) + 1
    return found


def _value_verdict(ours: Sequence[float], printed: Published) -> str:
    if printed.confidence == "unverified" or printed.role != "result":
        return "not_judged"
    if printed.low is None and printed.high is None:
        return "undecided"
    mean, low, high = t_interval(ours)
    band_low = -math.inf if printed.low is None else printed.low
    band_high = math.inf if printed.high is None else printed.high
    if len(ours) >= LEAST_SEEDS and band_low <= mean <= band_high:
        return "reproduced"
    if low is not None and high is not None and (high < band_low or low > band_high):
        return "differs"
    return "undecided"


def _claim_verdict(claim: Claim) -> str:
    if len(claim.differences) < 2:
        return "undecided"
    _, low, high = t_interval(claim.differences)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "undecided"
    below, above = high < claim.null, low > claim.null
    if claim.direction == "greater":
        below, above = above, below
    return "holds" if below else "fails" if above else "undecided"


def _model_verdict(ours: Sequence[float], printed: Published) -> str:
    if printed.confidence == "unverified" or printed.role != "result":
        return "not_judged"
    if printed.low is None or printed.high is None:
        return "undecided"
    return "within" if printed.low <= t_interval(ours)[0] <= printed.high else "outside"


def _words(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _row(
    name: str,
    printed: Published,
    kind: str,
    verdict: str,
    ours: Sequence[float],
    *,
    setting: str | None = None,
    departures: str = "",
    quantity: str | None = None,
    unit: str | None = None,
    of_claim: bool = False,
    command: str = "",
    hardware: str = "",
    commit: str = "",
) -> Row:
    mean, low, high = t_interval(ours) if ours else (None, None, None)
    # A claim's numbers are differences of ours: the printed number stands for another quantity.
    value, band = (None, (None, None)) if of_claim else (printed.value, (printed.low, printed.high))
    return Row(
        name, printed.paper, printed.where, quantity or printed.quantity,
        printed.setting if setting is None else setting, printed.unit if unit is None else unit,
        value, *band, printed.confidence, mean, low, high, len(ours), kind, verdict,
        departures, command, hardware, commit,
    )  # fmt: skip


def _cell(value: str | float | int | None) -> str | None:
    """Numbers in six significant digits: what is compared is never known better."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return None if value is None else str(value)


def _parsed(path: Path, number: int, cells: list[str]) -> Row:
    values: list[str | float | int | None] = []
    for field, cell in zip(fields(Row), cells, strict=True):
        try:
            if field.type is int:
                values.append(int(cell))
            elif field.type == float | None:
                values.append(float(cell) if cell else None)
            else:
                values.append(cell)
        except ValueError:
            raise UserError(f"{path}: line {number}: {field.name} must be a number, not {cell!r}") from None
    row = Row(*values)  # type: ignore[arg-type]
    if row.kind not in KINDS or row.verdict not in VERDICTS:
        raise UserError(f"{path}: line {number}: unknown kind {row.kind!r} or verdict {row.verdict!r}")
    return row
