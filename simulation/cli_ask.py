"""Commands that answer a question: run, sweep, trace, shelf."""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from simulation.cli import protocol_options
from simulation.errors import UserError
from simulation.output import check_figure, check_output, draw_to, write_text
from simulation.protocols import PROTOCOLS, check_burn_in, from_dict, with_workers


def protocol_of(arguments: argparse.Namespace) -> Any:
    """The protocol that options or a file describe; an option it does not take is refused by name."""
    from simulation.description import read_yaml

    given = {k: getattr(arguments, k) for k in protocol_options() if getattr(arguments, k) is not None}
    if arguments.protocol not in PROTOCOLS:
        path = Path(arguments.protocol)
        if not path.exists():
            raise UserError(f"--protocol {arguments.protocol}: no such file; choose one of {', '.join(PROTOCOLS)}")
        if given or arguments.within:
            option = next(iter(given), "within").replace("_", "-")
            raise UserError(f"--{option} has no effect when --protocol is a file: change {path}")
        found, where = from_dict(read_yaml(path), str(path)), str(path)
    elif "within" in _names(PROTOCOLS[arguments.protocol]):
        found, where = _with_groups(arguments.protocol, arguments.within or "SyncSGD", given), "options"
    elif arguments.within:
        raise UserError(f"--within has no effect under {arguments.protocol}: leave it out")
    else:
        found, where = from_dict({"kind": arguments.protocol, **given}, "options"), "options"
    check_burn_in(found, where)
    return found


def _names(protocol: type[Any]) -> list[str]:
    return [field.name for field in fields(protocol)]


def _with_groups(kind: str, inside: str, given: dict[str, Any]) -> Any:
    """A protocol of groups from options: those it does not take itself go to the protocol inside them."""
    own = _names(PROTOCOLS[kind])
    if inside not in PROTOCOLS or "within" in _names(PROTOCOLS[inside]):
        can = (name for name, protocol in PROTOCOLS.items() if "within" not in _names(protocol))
        raise UserError(f"--within {inside}: no such protocol inside a group; choose one of {', '.join(can)}")
    both = [name for name in _names(PROTOCOLS[inside]) if name in own]
    if both:
        option = both[0].replace("_", "-")
        raise UserError(f"{inside} within groups has an --{option} of its own: describe the protocol in a YAML file")
    if "workers" not in given or "groups" not in given:
        raise UserError(f"{kind} needs --groups and --workers (of all groups together)")
    if given["groups"] < 1 or given["workers"] % given["groups"]:
        raise UserError(
            f"--groups {given['groups']} does not divide {given['workers']} workers: choose counts that divide"
        )
    within = {k: v for k, v in given.items() if k not in own and k != "workers"}
    described = {"kind": kind, "within": {"kind": inside, **within}}
    described |= {k: v for k, v in given.items() if k in own}
    return from_dict(with_workers(described, given["workers"], "options"), "options")


def _play(arguments: argparse.Namespace) -> Any:
    from simulation.cluster import resized
    from simulation.description import load_cluster, load_workload
    from simulation.report import simulate

    cluster, workload = load_cluster(arguments.cluster), load_workload(arguments.workload)
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch: batch must be 1 or more examples, not {arguments.batch}")
    if arguments.nodes is not None:
        try:
            cluster = resized(cluster, arguments.nodes)
        except ValueError as error:
            raise UserError(f"--nodes: {error}") from None
    protocol = protocol_of(arguments)
    options = (arguments.updates, arguments.seed, arguments.engine, arguments.batch)
    try:
        return simulate(cluster, workload, protocol, *options)
    except UserError as error:
        where = "" if arguments.protocol in PROTOCOLS else f"{arguments.protocol}: "
        raise UserError(f"{where}{error}") from None


def run(arguments: argparse.Namespace) -> None:
    """The command `run`."""
    from simulation.report import in_words

    check_output(arguments.schedule)
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

    check_output(arguments.csv)
    check_figure(arguments.figure)
    sweep = load_sweep(arguments.file)
    results = run_sweep(sweep, _progress, str(arguments.file))
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

    if arguments.sample is not None and arguments.sample < 1:
        raise UserError("--sample: draw one worker or more")
    check_output(arguments.output)
    protocol = protocol_of(arguments)
    size = protocol.total_workers // protocol.groups
    if arguments.sample is not None and arguments.sample > size:
        raise UserError(f"--sample {arguments.sample}: a group has only {size} workers: draw at most so many")
    played = _play(arguments)
    slices = write_trace(played.schedule, played.timing, arguments.output, arguments.sample or 16)
    print(f"wrote {arguments.output}: {slices} slices; open it in ui.perfetto.dev")
