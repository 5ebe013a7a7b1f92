"""The comparison of one scale: every recorded result held against what its paper printed.

``repro.compare`` judges single answers; here they are collected from the experiments' ``claims``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from repro import compare, results, runner
from repro.config import Scale, Section, validated
from repro.errors import UserError
from repro.experiment import BY_ARM, module_of
from repro.papers.paper import paper_named
from repro.published import Published
from repro.published import load as load_published
from repro.results import Results


def comparison_path(scale: Scale) -> Path:
    """``results/<scale>/comparison.csv``."""
    return runner.RESULTS / scale.name / "comparison.csv"


def compare_scale(scale: Scale) -> Iterator[str]:
    """Write the scale's comparison; yields what a user should know: where it is, and which rows are old."""
    configured: dict[Path, Section] = {}
    waiting: dict[str, list[str]] = {paper: [] for paper in sorted(scale.papers)}
    for section in scale.sections():
        runner.collect(scale, section)
        folder = runner.RESULTS / section.folder(scale.name)
        configured[folder] = section
        if not (folder / "meta.json").exists():
            waiting[section.paper].append(section.experiment)
    published = load_published()
    rows: list[compare.Row] = []
    aged: list[tuple[int, int]] = []  # rows made by other sources, of all, by experiment
    for folder in sorted(path.parent for path in (runner.RESULTS / scale.name).glob("*/*/meta.json")):
        asked = configured.get(folder)
        found = runner.on_record(scale, asked) if asked else _unconfigured(folder)
        if found is None:
            continue
        rows += _rows(found, published)
        aged.append((runner.aged(found), len(found.rows)))
        if asked:
            yield from _unasked(found, {run.digest for run in scale.runs(asked)})
            yield from _of_other_hardware(found, {run.arm.name: run.arm.device for run in scale.runs(asked)})
        if found.passed_over:
            yield f"{folder}: {found.passed_over} rows do not count, being of other hardware than most"
    rows += compare.complete(rows, published, waiting, {paper: paper_named(paper).beyond for paper in waiting})
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
    commits = "; ".join(sorted({str(row["commit"]) for row in found.timing if row["commit"]}))
    return [
        compare.judge(
            answer,
            published,
            same_data=same_data,
            data="" if own == BY_ARM else found.data,  # the answers say on which
            suffix=found.data if swapped else "",
            command=found.meta["command"],
            hardware=found.hardware,
            commit=commits,
        )
        for answer in module.claims(found)
    ]


def _unconfigured(folder: Path) -> Results | None:
    """What is on record of a study that the config file has not (other data, say), under the config of its record.

    Raises:
        UserError: files of another format, damaged ones, or a config that the experiment no longer takes.
    """
    found = results.load(folder)
    if found is not None:
        paper, experiment = found.meta["paper"], found.meta["experiment"]
        model = module_of(paper, experiment).Config
        try:
            validated(model, found.config, folder / "meta.json", f"{paper}.{experiment}")
        except UserError as error:
            raise UserError(f"{error}; it is of another version: move the folder away, or run it anew") from None
    return found


def _unasked(found: Results, asked: set[str]) -> Iterator[str]:
    """Rows of other settings than the config's stay, and count, until their runs are redone; the user is told."""
    others = sum(row["digest"] not in asked for row in found.rows)
    if others:
        yield f"{found.folder}: {others} of {len(found.rows)} rows were made with other settings than the config's"


def _of_other_hardware(found: Results, devices: Mapping[str, str | None]) -> Iterator[str]:
    """Arms that name no device, and of which nothing is on record of the hardware that most rows are of: they count."""
    counts = Counter(row["hardware_class"] for row in found.rows)
    most = max(counts, key=lambda name: (counts[name], name), default="")
    arms = {row["arm"] for row in found.rows if row["hardware_class"] != most and devices.get(row["arm"]) is None}
    if arms:
        yield (
            f"{found.folder}: {', '.join(sorted(arms))}: not on record of the hardware that most rows are of ({most}), "
            "and held against these all the same"
        )
