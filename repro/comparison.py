"""The comparison of one scale: every recorded result held against what its paper printed.

``repro.compare`` judges single answers; here they are collected from the experiments' ``claims``.
"""

from collections.abc import Iterator
from pathlib import Path

from repro import compare, results, runner
from repro.config import Scale
from repro.experiment import BY_ARM, module_of
from repro.published import Published
from repro.published import load as load_published
from repro.results import Results


def comparison_path(scale: Scale) -> Path:
    """``results/<scale>/comparison.csv``."""
    return runner.RESULTS / scale.name / "comparison.csv"


def compare_scale(scale: Scale) -> Iterator[str]:
    """Write the scale's comparison; yields what a user should know: where it is, and which rows are old."""
    asked: dict[Path, set[str]] = {}
    waiting: dict[str, list[str]] = {paper: [] for paper in sorted(scale.papers)}
    for section in scale.sections():
        runner.collect(scale, section)
        folder = runner.RESULTS / section.folder(scale.name)
        asked[folder] = {run.digest for run in scale.runs(section)}
        if not (folder / "meta.json").exists():
            waiting[section.paper].append(section.experiment)
    published = load_published()
    rows: list[compare.Row] = []
    aged: list[tuple[int, int]] = []  # rows made by other sources, of all, by experiment
    for folder in sorted(path.parent for path in (runner.RESULTS / scale.name).glob("*/*/meta.json")):
        found = results.load(folder)
        if found is None:
            continue
        rows += _rows(found, published)
        aged.append((runner.aged(found), len(found.timing)))
        yield from _unasked(found, asked.get(folder))
    rows += compare.complete(rows, published, waiting)
    if scale.name != "quick" and (old := sum(count for count, _ in aged)):
        yield (
            f"{old} of {sum(count for _, count in aged)} rows were made by other sources than today's; "
            f"they stay on record (run --again makes them anew)"
        )
    path = comparison_path(scale)
    compare.write(path, rows)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    yield f"{path}: {told}"


def _rows(found: Results, published: dict[str, Published]) -> list[compare.Row]:
    module = module_of(found.meta["paper"], found.meta["experiment"])
    same_data = found.data == module.PRINTED_DATA
    own = module.DATA[found.scale]
    swapped = own not in (BY_ARM, found.data)
    hardware = "; ".join(sorted({str(row["hardware"]) for row in found.timing}))
    commits = "; ".join(sorted({str(row["commit"]) for row in found.timing if row["commit"]}))
    return [
        compare.judge(
            answer,
            published,
            same_data=same_data,
            data="" if own == BY_ARM else found.data,  # the answers say on which
            suffix=found.data if swapped else "",
            command=found.meta["command"],
            hardware=hardware,
            commit=commits,
        )
        for answer in module.claims(found)
    ]


def _unasked(found: Results, asked: set[str] | None) -> Iterator[str]:
    """Rows of other settings than the config's stay, and count, until their runs are redone; the user is told."""
    others = sum(row["digest"] not in asked for row in found.rows) if asked is not None else 0
    if others:
        yield f"{found.folder}: {others} of {len(found.rows)} rows were made with other settings than the config's"
