"""The generated parts of README.md and results/README.md: between ``<!-- generated: NAME -->`` and ``<!-- end -->``.

README.md has what a stranger reads in three minutes (counts, headline rows, minutes of each paper, missed targets);
results/README.md has every row.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro import compare, config, results, runner
from repro.bench import BENCH
from repro.data import sources
from repro.errors import UserError
from repro.files import read_csv, write_text
from repro.papers.paper import citation_of, paper_named
from repro.report import interval, number, standing
from repro.runner import RESULTS

PAGES = (Path("README.md"), RESULTS / "README.md")
TABLE_HEAD = ("| id | what | printed | ours | n | verdict |", "| --- | --- | ---: | ---: | ---: | --- |")
PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CONFIG = Path("config/paper.yaml")
COMPARISON = RESULTS / "paper" / "comparison.csv"
MARK = {"reproduced": "✔", "holds": "✔", "within": "✔", "differs": "✘", "fails": "✘", "outside": "✘"}


def update(pages: Sequence[Path] = PAGES) -> None:
    """Write the generated parts anew, from recorded results."""
    for path in pages:
        write_text(path, _current(path))


def check(pages: Sequence[Path] = PAGES) -> None:
    """Raises UserError where a file is not what ``update`` would write."""
    for path in pages:
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
    counts = {paper: compare.counts(rows)[paper] for paper, rows in _by_paper().items()}
    verdicts = [v for v in compare.VERDICTS if any(v in found for found in counts.values())]
    lines = [
        f"| paper | {' | '.join(v.replace('_', ' ') for v in verdicts)} |",
        f"| --- |{' ---: |' * len(verdicts)}",
    ]
    for paper, found in counts.items():
        cells = " | ".join(str(found.get(v, "")) for v in verdicts)
        lines.append(f"| {_linked(paper)} | {cells} |")
    return "\n".join(lines) + "\n"


def _linked(paper: str) -> str:
    """Authors and year, linked to arXiv where the paper is there, and the name that commands know it by."""
    found = paper_named(paper)
    authors = found.citation.partition(":")[0]
    linked = f"[{authors}](https://arxiv.org/abs/{found.arxiv})" if found.arxiv else authors
    return f"{linked} `{paper}`"


def headlines() -> str:
    """The rows that each paper's package names as its headlines."""
    rows = {row.id: row for row in _rows()}
    lines = list(TABLE_HEAD)
    for paper in _by_paper():
        if shown := [rows[name] for name in _headlines_of(paper, rows)]:
            lines += [f"| | **{paper_named(paper).citation}** | | | | |", *map(_line, shown)]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Every compared row, paper by paper: printed, ours, verdict; what was not run by id, with the reason."""
    parts = []
    for paper, rows in _by_paper().items():
        run = [row for row in rows if row.verdict != "not_run"]
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if row.verdict == "not_run":
                reasons.setdefault(row.departures or "not run yet", []).append(row.id)
        by_size = sorted(reasons.items(), key=lambda item: -len(item[1]))
        absent = "".join(f"- Not run ({len(ids)}), {reason}: {', '.join(ids)}.\n" for reason, ids in by_size)
        parts.append("\n".join(filter(None, (f"### {citation_of(paper)}\n", _table(run) if run else "", absent))))
    return "\n".join(parts)


def minutes() -> str:
    """Runs of every paper at scale paper, those on record and those still to do, and the minutes from timing.csv."""
    done: dict[str, tuple[int, float]] = {}
    for study in results.studies(RESULTS / "paper"):
        runs, seconds = done.get(str(study.meta["paper"]), (0, 0.0))
        done[str(study.meta["paper"])] = runs + len(study.timing), seconds + sum(row["seconds"] for row in study.timing)
    scale = config.load(CONFIG)
    lines = [
        "| paper | runs on record | minutes of one core or GPU | runs to do | in |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    to_do = 0
    for paper, sections in scale.papers.items():
        missing = {name: len(runner.missing(scale, section, RESULTS)) for name, section in sections.items()}
        runs, seconds = done.get(paper, (0, 0.0))
        to_do += sum(missing.values())
        places = ", ".join(f"`{name}`" for name, count in missing.items() if count)
        lines.append(f"| `{paper}` | {runs} | {seconds / 60:.0f} | {sum(missing.values()) or ''} | {places} |")
    runs, seconds = (sum(column) for column in zip(*done.values(), strict=True)) if done else (0, 0.0)
    lines.append(f"| `all` | {runs} | {seconds / 60:.0f} | {to_do or ''} | |")
    return "\n".join(lines) + "\n"


def costs() -> str:
    """Minutes of every recorded study."""
    lines = ["| study | data | runs | minutes of one core or GPU | hardware |", "| --- | --- | ---: | ---: | --- |"]
    for study in results.studies(RESULTS / "paper"):
        hardware = "; ".join(sorted({str(row["hardware"]) for row in study.timing}))
        taken = sum(row["seconds"] for row in study.timing) / 60
        name = f"{study.meta['paper']}.{study.meta['experiment']}"
        lines.append(f"| `{name}` | {study.data} | {len(study.timing)} | {taken:.0f} | {hardware} |")
    return "\n".join(lines) + "\n"


def targets() -> str:
    """How many of the benchmarks' targets are met, and every one that is not."""
    judged = [row for row in _bench_rows() if row["met"]]
    missed = [row for row in judged if row["met"] == "no"]
    said = f"{len(judged) - len(missed)} of {len(judged)} targets are met."
    return said + (f" Missed:\n\n{_bench_table(missed)}" if missed else "\n")


def bench() -> str:
    """The last benchmark run against its targets."""
    return _bench_table(_bench_rows())


def data() -> str:
    """The public data sets, their licences and sizes."""
    lines = ["| set | what | licence | MB |", "| --- | --- | --- | ---: |"]
    for one in sources.PUBLIC_SETS.values():
        lines.append(f"| `{one.name}` | [{one.title}]({one.homepage}) | {one.licence} | {one.size_bytes / 1e6:.0f} |")
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[compare.Row]) -> str:
    return "\n".join([*TABLE_HEAD, *map(_line, rows)]) + "\n"


def _line(row: compare.Row) -> str:
    what = f"{row.quantity}; {row.setting}" if row.setting else row.quantity
    printed = ", ".join(filter(None, (_interval(row.published, row.published_low, row.published_high), standing(row))))
    ours = f"{_interval(row.ours, row.ours_low, row.ours_high)} {row.unit if row.ours is not None else ''}"
    mark = MARK.get(row.verdict, "·")
    cells = (
        row.id,
        what.replace("|", r"\|"),
        printed,
        ours,
        row.ours_n or "",
        f"{mark} {row.verdict.replace('_', ' ')}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _headlines_of(paper: str, rows: Mapping[str, compare.Row]) -> Iterable[str]:
    """The named headlines that were run.

    Raises:
        UserError: a headline that no row of the comparison has.
    """
    for name in paper_named(paper).headlines:
        if name not in rows:
            raise UserError(f"repro/papers/{paper}: headline {name} is no row of {COMPARISON}; name one that is")
        if rows[name].verdict != "not_run":
            yield name


def _by_paper() -> dict[str, list[compare.Row]]:
    """Rows of the comparison by paper, the papers in the order of the config file."""
    found: dict[str, list[compare.Row]] = {paper: [] for paper in config.load(CONFIG).papers}
    for row in _rows():
        found.setdefault(row.paper, []).append(row)
    return {paper: rows for paper, rows in found.items() if rows}


def _bench_rows() -> list[dict[str, Any]]:
    return read_csv(BENCH)[1] if BENCH.exists() else []


def _bench_table(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| benchmark | quantity | measured | target | met |", "| --- | --- | ---: | ---: | --- |"]
    for row in rows:
        met = {"yes": "yes", "no": "**no**"}.get(str(row["met"]), "")
        lines.append(
            f"| {row['benchmark']} | {row['quantity']} | {number(float(row['value']))} {row['unit'] or ''} "
            f"| {row['target'] or ''} | {met} |"
        )
    return "\n".join(lines) + "\n"


def _rows() -> list[compare.Row]:
    return compare.read(COMPARISON) if COMPARISON.exists() else []


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    told, ends = interval(value, low, high)
    return f"{told} ({ends})" if told and ends else told or ends


PARTS: dict[str, Callable[[], str]] = {
    "glance": glance, "headlines": headlines, "minutes": minutes, "targets": targets,
    "table": table, "costs": costs, "bench": bench, "data": data,
}  # fmt: skip
