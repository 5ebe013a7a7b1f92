"""One self-contained page: what was reproduced, every figure with its caption, and how each was made."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from repro import compare, config, results
from repro.drawing import FIGURES
from repro.experiment import module_of
from repro.files import write_text
from repro.papers.paper import paper_named
from repro.runner import RESULTS

REPORT = Path("report.html")
SCALE_ORDER = ("paper", "cluster", "quick")


@dataclass(frozen=True)
class Figure:
    """One experiment's figure as the page shows it."""

    name: str
    title: str
    scale: str
    png_base64: str
    caption: str
    about: str
    command: str
    runs: int
    minutes: float
    hardware: str
    data: str
    commits: str


def write_report(root: Path = Path()) -> Path:
    """Write ``report.html`` from the comparisons and figures of every scale; returns its path."""
    papers: dict[str, dict[str, Any]] = {}
    for name in _configured(root):
        _paper(papers, name)
    for scale in _scales(root):
        comparison = root / RESULTS / scale / "comparison.csv"
        for row in compare.read(comparison) if comparison.exists() else []:
            kind = "not_run" if row.verdict == "not_run" else "rows"
            _paper(papers, row.paper)[kind].append((scale, row))
        for figure in _figures(root, scale):
            _paper(papers, figure.name.partition(".")[0])["figures"].append(figure)
    papers = {
        name: paper for name, paper in papers.items() if any(paper[part] for part in ("rows", "not_run", "figures"))
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["interval"] = interval
    environment.filters |= {"standing": standing, "prose": prose, "breakable": breakable}
    template = environment.from_string(files("repro").joinpath("report.html.jinja").read_text(encoding="utf-8"))
    found = {row.verdict for paper in papers.values() for _, row in [*paper["rows"], *paper["not_run"]]}
    verdicts = [verdict for verdict in compare.VERDICTS if verdict in found]
    page = template.render(
        papers=papers,
        headlines=_headlines(papers),
        verdicts=verdicts,
        verdict_rules=verdict_rules(),
        counts=_counts(papers),
        scales=_scales(root),
    )
    write_text(root / REPORT, page)
    return root / REPORT


def number(value: float | None, width: float | None = None) -> str:
    """Three to four digits, as many as anyone reads; more where they would lose a tenth of its interval's ``width``."""
    if value is None:
        return ""
    told = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.6g}" if width and abs(float(told) - value) > width / 10 else told


def interval(value: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    """A number, and the ends of its interval if there are any."""
    width = high - low if low is not None and high is not None else None
    ends = "" if low is None and high is None else f"{number(low, width) or '…'} to {number(high, width) or '…'}"
    return number(value, width), ends


def standing(row: compare.Row) -> str:
    """Why the printed number beside ours is not what is judged; empty where it is, or where none is printed."""
    if row.published is None and row.published_low is None and row.published_high is None:
        return ""
    if row.confidence == "unverified":
        return "unverified"
    return "not judged" if row.kind == "claim" and row.verdict != "not_judged" else ""  # the claim is, in its own words


def prose(text: str) -> Markup:
    """A docstring as HTML: what stands between backticks as code."""
    return Markup(re.sub(r"``?([^`]+)``?", r"<code>\1</code>", str(escape(text))))


def breakable(identifier: str) -> Markup:
    """An id that may go on in the next line after a dot or an underscore."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(identifier))))


def verdict_rules() -> str:
    """The rules of ``repro.compare``'s docstring."""
    return (compare.__doc__ or "").partition("\n\n")[2].strip()


def _configured(root: Path) -> list[str]:
    """Papers in the order of the config files, as everywhere else."""
    paths = [root / "config" / f"{scale}.yaml" for scale in SCALE_ORDER]
    return list(dict.fromkeys(name for path in paths if path.exists() for name in config.load(path).papers))


def _headlines(papers: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, compare.Row]]:
    """What README.md shows: of each paper the rows at scale paper that its package names."""
    return [
        (scale, row)
        for name, paper in papers.items()
        for scale, row in paper["rows"]
        if scale == "paper" and row.id in paper_named(name).headlines
    ]


def _scales(root: Path) -> list[str]:
    return [name for name in SCALE_ORDER if (root / RESULTS / name).is_dir()]


def _paper(papers: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    about = {"citation": paper_named(name).citation, "arxiv": paper_named(name).arxiv}
    return papers.setdefault(name, about | {"rows": [], "not_run": [], "figures": []})


def _counts(papers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Rows by paper and verdict at scale paper, where there is one, else at scale quick."""
    found = {}
    for name, paper in papers.items():
        rows = [*paper["rows"], *paper["not_run"]]
        shown = "paper" if any(scale == "paper" for scale, _ in rows) else "quick"
        found[name] = compare.counts(row for scale, row in rows if scale == shown).get(name, {})
    return found


def _figures(root: Path, scale: str) -> Iterable[Figure]:
    for meta_path in sorted((root / RESULTS / scale).glob("*/*/meta.json")):
        folder = meta_path.parent
        png = root / FIGURES / folder.relative_to(root / RESULTS).with_suffix(".png")
        found = results.load(folder) if png.exists() else None
        if found is None:
            continue
        meta, timing = found.meta, found.timing
        about = (module_of(meta["paper"], meta["experiment"]).__doc__ or "").strip()
        yield Figure(
            name=f"{meta['paper']}.{meta['experiment']}",
            title=about.splitlines()[0],
            scale=scale,
            png_base64=base64.b64encode(png.read_bytes()).decode(),
            caption=png.with_suffix(".txt").read_text(encoding="utf-8"),
            about=about.partition("\n")[2].strip(),
            command=meta["command"],
            runs=len(timing),
            minutes=sum(row["seconds"] for row in timing) / 60,
            hardware="; ".join(sorted({str(row["hardware"]) for row in timing})),
            data=meta["data"],
            commits=", ".join(sorted({str(row["commit"]) for row in timing if row["commit"]})),
        )
