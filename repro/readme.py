"""The generated parts of README.md: what stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``."""

import re
from collections.abc import Callable
from pathlib import Path

from repro import compare
from repro.errors import UserError
from repro.files import read_csv, write_text
from repro.papers.paper import citation_of
from repro.report import number
from repro.runner import RESULTS

README = Path("README.md")
PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
COMPARISON = RESULTS / "paper" / "comparison.csv"
SHOWN_ROWS, SHOWN_IDS = 60, 12  # more rows of a paper are folded; of more ids to one reason the first are named
MARK = {"reproduced": "✔", "holds": "✔", "within": "✔", "differs": "✘", "fails": "✘", "outside": "✘"}


def update(path: Path = README) -> None:
    """Write the generated parts anew, from recorded results."""
    write_text(path, _current(path))


def check(path: Path = README) -> None:
    """Raises UserError where the file is not what ``update`` would write."""
    if path.read_text(encoding="utf-8") != _current(path):
        raise UserError(f"{path}: its generated parts are not current; run make readme")


def _current(path: Path) -> str:
    text = path.read_text(encoding="utf-8")

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in PARTS:
            raise UserError(f"{path}: no generated part is called {name}; there are {', '.join(PARTS)}")
        return f"{found[1]}{PARTS[name]()}{found[3]}"

    return PART.sub(part, text)


def glance() -> str:
    """Counts of rows per paper and verdict."""
    counts = compare.counts(_rows())
    verdicts = [v for v in compare.VERDICTS if any(v in found for found in counts.values())]
    lines = [
        f"| paper | {' | '.join(v.replace('_', ' ') for v in verdicts)} |",
        f"| --- |{' ---: |' * len(verdicts)}",
    ]
    for paper, found in counts.items():
        cells = " | ".join(str(found.get(v, "")) for v in verdicts)
        lines.append(f"| {citation_of(paper)} | {cells} |")
    return "\n".join(lines) + "\n"


def table() -> str:
    """Every compared row of each paper: printed, ours, verdict; then why the others were not run."""
    parts = []
    for paper in dict.fromkeys(row.paper for row in _rows()):
        rows = [row for row in _rows() if row.paper == paper]
        run = [row for row in rows if row.verdict != "not_run"]
        lines = ["| id | what | printed | ours | n | verdict |", "| --- | --- | ---: | ---: | ---: | --- |"]
        text = "\n".join([*lines, *map(_line, run)]) + "\n" if run else ""
        if len(run) > SHOWN_ROWS:
            text = f"<details><summary>{len(run)} rows</summary>\n\n{text}\n</details>\n"
        parts.append("\n".join(filter(None, (f"### {citation_of(paper)}\n", text, _not_run(rows)))))
    return "\n".join(parts)


def _line(row: compare.Row) -> str:
    what = f"{row.quantity}; {row.setting}" if row.setting else row.quantity
    mark = MARK.get(row.verdict, "·")
    printed = _interval(row.published, row.published_low, row.published_high)
    return (
        f"| {row.id} | {what.replace('|', '/')} | {printed} "
        f"| {_interval(row.ours, row.ours_low, row.ours_high)} {row.unit if row.ours is not None else ''} "
        f"| {row.ours_n or ''} | {mark} {row.verdict.replace('_', ' ')} |"
    )


def _not_run(rows: list[compare.Row]) -> str:
    """What was not run, by reason; of many ids the first stand for all."""
    absent: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "not_run":
            absent.setdefault(row.departures, []).append(row.id)
    if not absent:
        return ""
    lines = []
    for reason, ids in sorted(absent.items(), key=lambda item: -len(item[1])):
        more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
        lines.append(f"- {reason}: {', '.join(ids[:SHOWN_IDS])}{more}")
    return "\n".join([f"Not run ({sum(map(len, absent.values()))}), by reason:\n", *lines]) + "\n"


def costs() -> str:
    """Minutes of every recorded study, from timing.csv."""
    lines = ["| study | data | runs | minutes of one core or GPU | hardware |", "| --- | --- | ---: | ---: | --- |"]
    for path in sorted((RESULTS / "paper").glob("*/*/timing.csv")):
        timing = read_csv(path)[1]
        meta = read_json(path.with_name("meta.json"))
        hardware = "; ".join(sorted({str(row["hardware"]) for row in timing}))
        minutes = sum(row["seconds"] for row in timing) / 60
        name = f"{meta['paper']}.{meta['experiment']}"
        lines.append(f"| `{name}` | {meta['data']} | {len(timing)} | {minutes:.0f} | {hardware} |")
    return "\n".join(lines) + "\n"


def bench() -> str:
    """The last benchmark run against its targets."""
    path = RESULTS / "bench.csv"
    lines = ["| benchmark | quantity | measured | target | met |", "| --- | --- | ---: | ---: | --- |"]
    for row in read_csv(path)[1] if path.exists() else []:
        met = {"yes": "yes", "no": "**no**"}.get(str(row["met"]), "")
        lines.append(
            f"| {row['benchmark']} | {row['quantity']} | {number(float(row['value']))} {row['unit'] or ''} "
            f"| {row['target'] or ''} | {met} |"
        )
    return "\n".join(lines) + "\n"


def read_json(path: Path) -> dict[str, object]:
    import json

    return dict(json.loads(path.read_text(encoding="utf-8")))


def _rows() -> list[compare.Row]:
    return compare.read(COMPARISON) if COMPARISON.exists() else []


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None and low is None and high is None:
        return ""
    if low is None and high is None:
        return number(value)
    ends = f"{number(low) or '…'} to {number(high) or '…'}"
    return f"{number(value)} ({ends})" if value is not None else ends


PARTS: dict[str, Callable[[], str]] = {"glance": glance, "table": table, "costs": costs, "bench": bench}
