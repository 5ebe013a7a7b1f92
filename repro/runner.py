"""Runs one cell of arms x seeds, and first whatever it needs; resumable, safe side by side.

A run's own folder lives in the cache, named by the digest of what was asked: checkpoints while it runs,
then ``result.json`` and whatever other runs need of it. The row in ``results/`` is the record; the cache
can be deleted at any time and only costs the time to make it again.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repro import machine, results
from repro.config import Scale, Section
from repro.errors import UserError
from repro.experiment import NO_DATA, Context, Result, Run, module_of
from repro.files import locked, user_cache, write_text

RESULTS = Path("results")
CHECKPOINT = "checkpoint.safetensors"
# In a run's folder: by which sources and when it was begun, and what attempts before this one spent.
ATTEMPT = "attempt.json"


def cache_folder() -> Path:
    """``$REPRO_CACHE``, or ``learning-from-models`` in the user's cache directory."""
    if named := os.environ.get("REPRO_CACHE"):
        return Path(named)
    return user_cache("REPRO_CACHE")


def work_folder(run: Run) -> Path:
    """Where a run works and leaves what others need. The digest is part of the name: settings never mix."""
    return cache_folder() / "runs" / f"{run.paper}.{run.experiment}" / run.arm.name / f"{run.seed}-{run.digest}"


def result_file(run: Run) -> Path:
    """The file whose presence says that a run is finished and its folder can be used."""
    return work_folder(run) / "result.json"


def missing(scale: Scale, section: Section, root: Path = RESULTS) -> list[Run]:
    """Runs of a section whose row is not on record, or was made with other settings."""
    known = results.recorded(root / section.folder(scale.name))
    return [run for run in scale.runs(section) if run.digest not in known.get((run.arm.name, run.seed), set())]


def on_record(scale: Scale, section: Section, root: Path = RESULTS) -> results.Results | None:
    """What is on record of a section, under the config as it is now; None where there is nothing.

    ``meta.json`` has the config as it was when a row was last added, and what only figures and claims read may have
    been edited since.

    Raises:
        UserError: files of another format, or damaged ones.
    """
    found = results.load(root / section.folder(scale.name))
    return found and replace(found, meta={**found.meta, "config": section.config.model_dump(mode="json")})


def aged(found: results.Results, asked: Iterable[Run] | None = None) -> int:
    """How many rows, with ``asked`` of the arms and seeds of these runs, were made by sources that changed since."""
    now = machine.sources_digest(f"repro.papers.{found.meta['paper']}.{found.meta['experiment']}")
    wanted = None if asked is None else {(run.arm.name, run.seed) for run in asked}
    rows = [row for row in found.timing if wanted is None or (row["arm"], row["seed"]) in wanted]
    return sum(str(row["sources"]) != now for row in rows)


def execute(scale: Scale, run: Run, *, again: bool = False, restore: bool = False, root: Path = RESULTS) -> bool:
    """Do a run unless it is done, and put its row on record; false if its row was there already.

    ``again`` does it anew, in an empty folder, even when its row or its folder is there; what it needs is not done
    anew. An interrupted run goes on from its checkpoint if the same sources began it, else it begins anew.
    ``restore`` makes what other runs need of it where the cache has lost it; a row on record stays as it is.
    """
    section = scale.papers[run.paper][run.experiment]
    folder = root / section.folder(scale.name)
    known = results.recorded(folder).get((run.arm.name, run.seed), set())
    if run.digest in known and not again:
        if restore:
            _finished(scale, run)
        return False
    if not again and (left := _left(result_file(run))) is not None:
        print(f"{run.name}: finished before, in {work_folder(run)}{_by_others(run, left)}", file=sys.stderr)
    _put(scale, section, run, _finished(scale, run, again=again), root)
    return True


def _module_name(run: Run) -> str:
    return f"repro.papers.{run.paper}.{run.experiment}"


def _by_others(run: Run, record: Mapping[str, Any]) -> str:
    sources = machine.sources_digest(_module_name(run))
    same = record.get("timing", {}).get("sources") == sources
    return "" if same else ", by other sources than today's (--again makes it anew)"


def collect(scale: Scale, section: Section, root: Path = RESULTS) -> None:
    """Put on record the runs that are finished in the cache and have no row."""
    for run in missing(scale, section, root):
        content = _left(result_file(run))
        if content is not None:
            _put(scale, section, run, content, root)


def _finished(scale: Scale, run: Run, *, again: bool = False) -> dict[str, Any]:
    """The content of the run's ``result.json``, made first where it is missing."""
    device = _device_type(run.arm.device or scale.device)
    work = work_folder(run)
    path = work / "result.json"
    with locked(cache_folder() / "locks" / run.digest):
        if not again and (left := _left(path)) is not None:
            return left
        inputs = {}
        for label, needed in run.needs:
            _finished(scale, needed)
            inputs[label] = work_folder(needed)
        # Taken before anything is computed: an edit meanwhile is none of what made the result.
        made_by = {"commit": machine.commit(), "sources": machine.sources_digest(_module_name(run))}
        if again or (why := _cannot_go_on(work, made_by["sources"])):
            if not again:
                print(f"{run.name}: {why}; it begins anew", file=sys.stderr)
            if work.exists():
                shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        spent = _spent(work)
        write_text(work / ATTEMPT, json.dumps({**made_by, "began": time.time(), "spent_s": spent}))
        # What is recorded is read back, so that it is the same now and when it comes out of the cache.
        text = json.dumps(_run(run, device, inputs, work, made_by, spent), allow_nan=False)
        write_text(path, text)
        (work / CHECKPOINT).unlink(missing_ok=True)
        return dict(json.loads(text))


def _cannot_go_on(work: Path, sources: str) -> str:
    """Why a run must not go on from what an earlier attempt left in its folder; empty where it may."""
    if not work.exists() or not any(work.iterdir()):
        return ""
    if (work / "result.json").exists():
        return "its result in the cache is damaged"
    begun = _left(work / ATTEMPT) or {}
    return "" if begun.get("sources") == sources else "it was begun by other sources than today's"


def _spent(work: Path) -> float:
    """Seconds that interrupted attempts spent on a run, each until it last wrote a file: what it did later was lost."""
    begun = _left(work / ATTEMPT)
    if begun is None:
        return 0.0
    written = [path.stat().st_mtime for path in work.rglob("*") if path.is_file()]
    return float(begun["spent_s"] + max(0.0, max(written) - begun["began"]))


def _device_type(name: str) -> str:
    """``cpu`` or ``cuda``. Torch takes seconds to import, and not every run needs it."""
    if name == "cpu":
        return name
    from repro.training.device import device_named

    return device_named(name).type


def _threads() -> int:
    """The threads this process computes with: torch's where a run imported it, else the processor's own."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def _left(path: Path) -> dict[str, Any] | None:
    """What a finished run left in ``result.json``; None where there is none, or a damaged one (it is then redone)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _core_seconds() -> float:
    """What this process, its threads and its ended children have computed so far."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _run(
    run: Run, device: str, inputs: Mapping[str, Path], work: Path, made_by: Mapping[str, str], spent: float
) -> dict[str, Any]:
    """The content of ``result.json``. Its seconds are those of one core or GPU: of all processes, and of the ``spent``
    seconds of attempts that were interrupted.

    One process on cores counts what it computed (and its children did), on however many of them: a crowded or a
    suspended machine changes nothing. Where a GPU computes, or processes wait for each other, the wall's clock counts.
    """
    from repro.data.sums import sums

    module = module_of(run.paper, run.experiment)
    context = Context(run.data, inputs, work, device, run.name)
    clock = _core_seconds if device == "cpu" and run.arm.processes == 1 else time.monotonic
    started = clock()
    try:
        result: Result = module.run(run.arm, run.seed, context)
    except UserError as error:
        raise UserError(f"{run.name}: {error}") from error
    seconds = (spent + clock() - started) * run.arm.processes
    _refuse_endless(run, result)
    print(f"{run.name}: {_brief(result.metrics)} ({seconds:.1f} s)", file=sys.stderr, flush=True)
    return {
        "metrics": dict(result.metrics),
        "curves": [list(point) for point in result.curves],
        "tables": {name: list(rows) for name, rows in result.tables.items()},
        "hardware_class": device,
        "data_sha256": {} if run.data == NO_DATA else _sums(run, sums(run.data)),
        "timing": {
            "seconds": round(seconds, 2),
            "hardware": machine.hardware(device),
            "threads": _threads(),
            **made_by,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "environment": machine.versions(),
    }


def _sums(run: Run, sums: Mapping[str, str]) -> dict[str, str]:
    """The sums of the files a run read; with the set's name before them where each arm has its own."""
    return {f"{run.arm.data}/{file}" if run.arm.data else file: digest for file, digest in sums.items()}


def _refuse_endless(run: Run, result: Result) -> None:
    """Nothing that is infinite or no number goes on record.

    Raises:
        UserError: naming the run and the first such metric, point or table cell.
    """

    def found() -> Iterator[tuple[str, Any]]:
        yield from result.metrics.items()
        for epoch, _, split, metric, value in result.curves:
            yield f"{split} {metric} after epoch {epoch}", value
        for table, rows in result.tables.items():
            for number, row in enumerate(rows, start=1):
                yield from ((f"{name} in row {number} of table {table}", value) for name, value in row.items())

    for name, value in found():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{run.name}: {name} is {value}; nothing of this run was recorded, mend its settings")


def _put(scale: Scale, section: Section, run: Run, content: Mapping[str, Any], root: Path) -> None:
    folder = root / section.folder(scale.name)
    record = results.Record(
        run.experiment,
        run.arm.name,
        content["hardware_class"],
        run.seed,
        run.digest,
        run.arm.settings,
        content["metrics"],
        content["curves"],
        content["tables"],
        content["timing"],
        content["environment"],
    )
    meta = {
        "paper": run.paper,
        "experiment": run.experiment,
        "scale": scale.name,
        "data": section.data,
        "data_sha256": content["data_sha256"],
        "config": section.config.model_dump(mode="json"),
        "command": f"python -m repro run {section.name} --config {scale.path}",
    }
    lock = cache_folder() / "locks" / str(folder.resolve()).replace("/", "_")
    results.add(folder, record, meta, lock)


def _brief(metrics: Mapping[str, Any], most: int = 4) -> str:
    shown = [f"{k} {v:.4g}" for k, v in metrics.items() if isinstance(v, (int, float))]
    return ", ".join(shown[:most])
