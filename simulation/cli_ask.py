"""Commands that answer a question: run, sweep, trace, shelf."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from simulation.cli import KINDS, PROTOCOL_OPTIONS, WITHIN_ONLY
from simulation.errors import UserError
from simulation.output import check_figure, draw_to, write_text


def protocol_of(arguments: argparse.Namespace) -> Any:
    """The protocol that options or a file describe; an option it does not take is refused by name."""
    from simulation.description import read_yaml
    from simulation.protocols import from_dict

    given = {k: getattr(arguments, k) for k in PROTOCOL_OPTIONS if getattr(arguments, k) is not None}
    if arguments.protocol not in KINDS:
        path = Path(arguments.protocol)
        if not path.exists():
            raise UserError(f"--protocol {arguments.protocol}: no such file; choose one of {', '.join(KINDS)}")
        if given or arguments.within:
            option = next(iter(given), "within").replace("_", "-")
            raise UserError(f"--{option} has no effect when --protocol is a file: change {path}")
        return from_dict(read_yaml(path), str(path))
    if arguments.protocol != "Codistillation":
        if arguments.within:
            raise UserError(f"--within has no effect under {arguments.protocol}: leave it out")
        return from_dict({"kind": arguments.protocol, **given}, "options")
    if "workers" not in given or "groups" not in given:
        raise UserError("Codistillation needs --groups and --workers (of all groups together)")
    workers, groups = given.pop("workers"), given["groups"]
    if groups < 1 or workers % groups:
        raise UserError(f"--groups {groups} does not divide {workers} workers: choose counts that divide")
    within = {key: given.pop(key) for key in WITHIN_ONLY if key in given}
    inside = {"kind": arguments.within or "SyncSGD", "workers": workers // groups, **within}
    if inside["kind"] == "LocalSGD":
        raise UserError("LocalSGD within groups has an interval of its own: describe the protocol in a YAML file")
    if inside["kind"] == "BackupWorkers":
        inside["workers"] -= inside.get("backups", 0)
    return from_dict({"kind": "Codistillation", **given, "within": inside}, "options")


def _play(arguments: argparse.Namespace) -> Any:
    from simulation.cluster import resized
    from simulation.description import load_cluster, load_workload
    from simulation.report import simulate

    cluster, workload = load_cluster(arguments.cluster), load_workload(arguments.workload)
    if arguments.nodes is not None:
        try:
            cluster = resized(cluster, arguments.nodes)
        except ValueError as error:
            raise UserError(f"--nodes: {error}") from None
    return simulate(
        cluster,
        workload,
        protocol_of(arguments),
        arguments.updates,
        arguments.seed,
        arguments.engine,
        arguments.batch,
    )


def run(arguments: argparse.Namespace) -> None:
    """The command `run`."""
    from simulation.report import in_words

    check_figure(arguments.figure)
    played = _play(arguments)
    if arguments.schedule:
        played.schedule.save(arguments.schedule)
        _wrote(arguments.schedule)
    if arguments.figure:
        draw_to(arguments.figure, lambda figure: _run_figure(figure, played))
        _wrote(arguments.figure)
    print(json.dumps(played.report.as_json(), indent=2) if arguments.json else in_words(played.report))


def _run_figure(figure: Any, played: Any) -> None:
    from simulation import figures

    top, bottom = figure.subplots(2, 1, height_ratios=(1, 3))
    figures.step_time_breakdown(top, {played.report.protocol["kind"]: played.report.parts_s})
    updates = played.schedule.updates
    figures.staleness_histogram(bottom, updates.column("version") - updates.column("read"))


def sweep(arguments: argparse.Namespace) -> None:
    """The command `sweep`."""
    from simulation.sweep import as_csv, load_sweep, rows_of, run_sweep

    check_figure(arguments.figure)
    sweep = load_sweep(arguments.file)
    results = run_sweep(sweep, _progress)
    rows = rows_of(results)
    if arguments.csv:
        write_text(arguments.csv, as_csv(rows))
        _wrote(arguments.csv)
    else:
        print(as_csv(rows), end="")
    if arguments.figure:
        draw_to(arguments.figure, lambda figure: _sweep_figure(figure, rows))
        _wrote(arguments.figure)


def _wrote(path: Path) -> None:
    """Aside from what is printed for a program to read."""
    print(f"wrote {path}", file=sys.stderr)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _sweep_figure(figure: Any, rows: list[dict[str, Any]]) -> None:
    from simulation import figures

    names = list(dict.fromkeys(row["protocol"] for row in rows))

    def curve(name: str, column: str) -> tuple[list[int], list[float]]:
        mine = [row for row in rows if row["protocol"] == name]
        return [row["workers"] for row in mine], [row[column] for row in mine]

    axes = figure.subplot_mosaic([["time", "efficiency"], ["parts", "parts"]])
    figures.step_time(axes["time"], {name: curve(name, "step_s") for name in names})
    figures.scaling_efficiency(axes["efficiency"], {n: curve(n, "examples_per_s") for n in names})
    most = max(row["workers"] for row in rows)
    parts = {
        row["protocol"]: {part: row[f"{part}_s"] for part in figures.PARTS} for row in rows if row["workers"] == most
    }
    figures.step_time_breakdown(axes["parts"], parts)
    for panel in ("time", "efficiency"):
        axes[panel].get_legend().remove()
    lines, labels = axes["time"].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper left", ncols=3, frameon=False, handlelength=4)
    axes["parts"].set_xlabel(f"simulated {axes['parts'].get_xlabel()} of {most:,} workers")


def shelf(arguments: argparse.Namespace) -> None:
    """The command `shelf`."""
    from simulation.description import SHELF, load_cluster, load_workload, shelf_names

    names = shelf_names()
    if arguments.name:
        for kind, stems in names.items():
            if arguments.name in stems:
                print((SHELF / kind / f"{arguments.name}.yaml").read_text(encoding="utf-8"), end="")
                return
        every = ", ".join(name for stems in names.values() for name in stems)
        raise UserError(f"{arguments.name}: not on the shelf: choose one of {every}")
    print("clusters")
    for name in names["clusters"]:
        cluster = load_cluster(name)
        print(f"  {name:18} {cluster.devices:5} x {cluster.device.name:9} {cluster.name} [{cluster.confidence}]")
    print("workloads")
    for name in names["workloads"]:
        workload = load_workload(name)
        size = f"{workload.parameters / 1e6:8.1f} M parameters"
        print(f"  {name:18} {size}  {workload.name} [{workload.confidence}]")


def trace(arguments: argparse.Namespace) -> None:
    """The command `trace`."""
    from simulation.trace import write_trace

    if arguments.sample < 1:
        raise UserError("--sample: draw one worker or more")
    if not arguments.output.parent.is_dir():
        raise UserError(f"{arguments.output}: its folder does not exist: make it first")
    played = _play(arguments)
    slices = write_trace(played.schedule, played.timing, arguments.output, arguments.sample)
    print(f"wrote {arguments.output}: {slices} slices; open it in ui.perfetto.dev")
