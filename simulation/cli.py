"""The command line: ``python -m simulation run|sweep|shelf|fit|calibrate|validate|trace``.

Nothing heavy is imported until a command needs it. A user's mistake is one line on stderr and exit status 2.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulation.errors import UserError

PROTOCOL_OPTIONS = {
    "workers": int,
    "aggregation": str,
    "backups": int,
    "late": str,
    "bound_steps": int,
    "interval_steps": int,
    "momentum": str,
    "groups": int,
    "burn_in_steps": int,
    "exchange": str,
    "pickup": str,
}
KINDS = ("SyncSGD", "BackupWorkers", "AsyncSGD", "StaleSynchronous", "LocalSGD", "Codistillation")
WITHIN_ONLY = ("aggregation", "backups", "late", "bound_steps", "momentum")


def _path(text: str) -> Path:
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulation",
        description="What many workers cost, how stale what they read is, and what bounds a step.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    run = commands.add_parser("run", help="one protocol on one cluster, in words or JSON")
    run.add_argument("--cluster", required=True, help="a name on the shelf, or a YAML file")
    run.add_argument("--workload", required=True, help="a name on the shelf, or a YAML file")
    run.add_argument("--protocol", default="SyncSGD", help=f"{', '.join(KINDS)}, or a YAML file")
    run.add_argument("--within", choices=KINDS[:-1], help="protocol inside each group of Codistillation")
    for name, kind in PROTOCOL_OPTIONS.items():
        run.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{name} of the protocol")
    run.add_argument("--nodes", type=int, help="resize the cluster to so many nodes")
    run.add_argument("--batch", type=int, help="examples per worker and step, instead of the workload's")
    run.add_argument("--updates", type=int, help="updates to simulate (of each group)")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--engine", choices=("auto", "heap", "window", "closed_form"), default="auto")
    run.add_argument("--schedule", type=_path, help="write the schedule to this safetensors file")
    run.add_argument("--json", action="store_true", help="print everything as JSON")
    run.set_defaults(do=_run)

    sweep = commands.add_parser("sweep", help="one YAML over protocols and worker counts: CSV and figure")
    sweep.add_argument("file", type=_path)
    sweep.add_argument("--csv", type=_path, help="write the table here (default: print it)")
    sweep.add_argument(
        "--figure", type=_path, help="draw step time, efficiency and breakdown here (.png, .svg)"
    )
    sweep.set_defaults(do=_sweep)

    shelf = commands.add_parser("shelf", help="ready clusters and workloads")
    shelf.add_argument("name", nargs="?", help="print the YAML of this one")
    shelf.set_defaults(do=_shelf)

    fit = commands.add_parser(
        "fit", help="a law of step time from a table of workers and step times or rates"
    )
    fit.add_argument(
        "table", type=_path, help="CSV: workers and step_s or examples_per_s; or nccl-tests output"
    )
    fit.add_argument("--law", choices=("servers", "all_reduce"), help="default: servers")
    fit.add_argument("--batch", type=int, help="examples per worker and step")
    fit.add_argument("--workload", help="needed for --output: whose bytes and FLOP were measured")
    fit.add_argument("--nccl-tests", action="store_true", help="the table is the output of all_reduce_perf")
    fit.add_argument("--workers", type=int, help="ranks of an nccl-tests run without '# Rank' lines")
    fit.add_argument("--output", type=_path, help="write a cluster that gives the law back")
    fit.add_argument("--json", action="store_true")
    fit.set_defaults(do=_fit)

    calibrate = commands.add_parser(
        "calibrate", help="measure this machine under torchrun and write a cluster file"
    )
    calibrate.add_argument("--output", type=_path, required=True, help="cluster file to write")
    calibrate.add_argument("--backend", choices=("gloo", "nccl"), help="default: nccl on GPUs, else gloo")
    calibrate.add_argument("--largest-mb", type=float, default=17.0, help="largest all-reduce, in 10^6 bytes")
    calibrate.add_argument("--limit-s", type=float, default=120.0, help="give up beyond so many seconds")
    calibrate.add_argument("--name", help="name of the cluster")
    calibrate.add_argument("--processes", type=int, help="start so many here, without torchrun")
    calibrate.add_argument(
        "--check", action="store_true", help="also predict real steps and report the error"
    )
    calibrate.add_argument("--json", action="store_true")
    calibrate.set_defaults(do=_calibrate)

    validate = commands.add_parser("validate", help="predict public scaling rows and show the errors")
    validate.add_argument("--csv", type=_path, help="write every row here")
    validate.add_argument("--figure", type=_path, help="draw predicted against printed here")
    validate.add_argument("--real", action="store_true", help="also real steps of two processes here")
    validate.add_argument("--json", action="store_true")
    validate.set_defaults(do=_validate)

    trace = commands.add_parser("trace", help="a schedule as a Chrome/Perfetto trace")
    trace.add_argument("schedule", type=_path, help="safetensors file of run --schedule or of a real run")
    trace.add_argument("output", type=_path, help="JSON to open in a trace viewer")
    trace.add_argument("--workers", type=int, help="draw a sample of so many workers")
    trace.set_defaults(do=_trace)
    return parser


def protocol_of(arguments: argparse.Namespace) -> Any:
    """The protocol that options or a file describe; an option it does not take is refused by name."""
    from simulation.description import read_yaml
    from simulation.protocols import from_dict

    given = {k: getattr(arguments, k) for k in PROTOCOL_OPTIONS if getattr(arguments, k) is not None}
    if arguments.protocol not in KINDS:
        path = Path(arguments.protocol)
        if not path.exists():
            raise UserError(
                f"--protocol {arguments.protocol}: no such file; choose one of {', '.join(KINDS)}"
            )
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
        raise UserError(
            "LocalSGD within groups has an interval of its own: describe the protocol in a YAML file"
        )
    if inside["kind"] == "BackupWorkers":
        inside["workers"] -= inside.get("backups", 0)
    return from_dict({"kind": "Codistillation", **given, "within": inside}, "options")


def _run(arguments: argparse.Namespace) -> None:
    from simulation.cluster import resized
    from simulation.description import load_cluster, load_workload
    from simulation.report import in_words, simulate

    cluster, workload = load_cluster(arguments.cluster), load_workload(arguments.workload)
    if arguments.nodes is not None:
        try:
            cluster = resized(cluster, arguments.nodes)
        except ValueError as error:
            raise UserError(f"--nodes: {error}") from None
    protocol = protocol_of(arguments)
    report, schedule = simulate(
        cluster,
        workload,
        protocol,
        arguments.updates,
        arguments.seed,
        arguments.engine,
        arguments.batch,
    )
    if arguments.schedule:
        schedule.save(arguments.schedule)
    print(json.dumps(report.as_json(), indent=2) if arguments.json else in_words(report))


def _sweep(arguments: argparse.Namespace) -> None:
    from simulation.description import write_atomically
    from simulation.sweep import as_csv, load_sweep, rows_of, run_sweep

    sweep = load_sweep(arguments.file)
    results = run_sweep(sweep, _progress)
    rows = rows_of(results)
    if arguments.csv:
        write_atomically(arguments.csv, lambda aside: _write(aside, as_csv(rows)))
    else:
        print(as_csv(rows), end="")
    if arguments.figure:
        _draw(arguments.figure, lambda figure: _sweep_figure(figure, rows))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _draw(path: Path, draw: Callable[[Any], None]) -> None:
    """Draw on a new figure and save it whole, without dates, so that the same data give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from simulation.description import write_atomically

    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"{path}: figures are .png, .svg or .pdf: choose one of these endings")
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    with matplotlib.rc_context({"svg.hashsalt": "simulation", "font.size": 9}):
        figure = Figure(figsize=(8, 6), layout="constrained")
        draw(figure)
        write_atomically(path, lambda aside: figure.savefig(aside, dpi=150, metadata=dates))


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
        row["protocol"]: {part: row[f"{part}_s"] for part in figures.PARTS}
        for row in rows
        if row["workers"] == most
    }
    figures.step_time_breakdown(axes["parts"], parts)
    axes["efficiency"].get_legend().remove()
    axes["parts"].set_title(f"{most:,} workers", loc="left", fontsize="medium")


def _shelf(arguments: argparse.Namespace) -> None:
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
        print(
            f"  {name:18} {cluster.devices:5} x {cluster.device.name:9} {cluster.name} [{cluster.confidence}]"
        )
    print("workloads")
    for name in names["workloads"]:
        workload = load_workload(name)
        size = f"{workload.parameters / 1e6:8.1f} M parameters"
        print(f"  {name:18} {size}  {workload.name} [{workload.confidence}]")


def _fit(arguments: argparse.Namespace) -> None:
    if arguments.nccl_tests:
        _fit_nccl_tests(arguments)
        return
    from simulation.description import load_workload, write_yaml
    from simulation.fit import as_cluster, fit, read_table

    if arguments.workers is not None:
        raise UserError("--workers has no effect without --nccl-tests: leave it out")
    if (arguments.workload is None) != (arguments.output is None):
        raise UserError("--workload and --output belong together: give both or neither")
    workers, times = read_table(arguments.table, arguments.batch)
    found = fit(workers, times, arguments.law or "servers")
    if arguments.output:
        workload = load_workload(arguments.workload)
        batch = arguments.batch or workload.batch_per_worker_examples
        write_yaml(as_cluster(found, workload, batch, arguments.table.stem), arguments.output)
    if arguments.json:
        print(json.dumps({"law": type(found.law).__name__, **_plain(found)}, indent=2))
        return
    print(type(found.law).__name__)
    for key, value in found.law.__dict__.items():
        print(f"  {key:26} {value:.6g}")
    held = [abs(e) for e in found.held_out_errors]
    print(f"  error at the data          mean {found.mean_error:.1%}, worst {found.worst_error:.1%}")
    if held:
        print(f"  each point held out        mean {sum(held) / len(held):.1%}, worst {max(held):.1%}")
    for warning in found.warnings:
        print(f"  warning: {warning}")


def _fit_nccl_tests(arguments: argparse.Namespace) -> None:
    from simulation.description import as_yaml, write_yaml
    from simulation.links import fit_alpha_beta
    from simulation.nccl_tests import read_nccl_tests

    for option in ("batch", "workload", "law"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option} has no effect with --nccl-tests: leave it out")
    found = read_nccl_tests(arguments.table, workers=arguments.workers)
    try:
        line = fit_alpha_beta(found.bytes, found.seconds_measured)
    except ValueError as error:
        raise UserError(f"{arguments.table}: {error}") from None
    errors = [line.seconds(b) / s - 1 for b, s in zip(found.bytes, found.seconds_measured, strict=True)]
    held = [
        kept.seconds(b) / s - 1
        for first in (1, 2)
        for kept, points in [found.table.without_every_other(first)]
        for b, s in points
    ]
    if arguments.output:
        write_yaml(found, arguments.output)
    if arguments.json:
        held_out = max((abs(e) for e in held), default=None)
        words = {"latency_s": line.latency_s, "bandwidth_bytes_per_s": line.bandwidth_bytes_per_s}
        print(json.dumps({**_plain(found), **words, "errors": errors, "worst_held_out": held_out}, indent=2))
        return
    print(as_yaml(found), end="")
    print(
        f"# one latency and one bandwidth: {line.latency_s:.3g} s, {line.bandwidth_bytes_per_s:.4g} bytes/s;"
    )
    print(f"# they miss by {min(errors):+.1%} to {max(errors):+.1%}")
    if held:
        print(f"# the table, every other point held out: worst {max(abs(e) for e in held):.1%}")


def _plain(thing: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(thing)


def _calibrate(arguments: argparse.Namespace) -> int:
    if arguments.processes is not None:
        return _calibrate_here(arguments)
    from simulation.calibrate import calibrate

    calibrate(
        output=arguments.output,
        backend=arguments.backend,
        largest_bytes=arguments.largest_mb * 1e6,
        limit_s=arguments.limit_s,
        name=arguments.name,
        check=arguments.check,
        as_json=arguments.json,
    )
    return 0


def _calibrate_here(arguments: argparse.Namespace) -> int:
    """Start the processes to measure, each with the same options."""
    from simulation.processes import launch

    if "RANK" in os.environ:
        raise UserError("--processes has no effect under torchrun: leave it out")
    if arguments.processes < 2:
        raise UserError("--processes: one process has nobody to reduce with: give two or more")
    passed = ["--output", str(arguments.output), "--largest-mb", str(arguments.largest_mb)]
    passed += ["--limit-s", str(arguments.limit_s)]
    passed += [f"--{key}={value}" for key in ("backend", "name") if (value := getattr(arguments, key))]
    passed += [f"--{key}" for key in ("check", "json") if getattr(arguments, key)]
    return launch(["calibrate", *passed], arguments.processes).returncode


def _validate(arguments: argparse.Namespace) -> None:
    from simulation import validate

    rows = validate.predictions()
    unusable = dict(validate.UNUSABLE)
    if arguments.real:
        real = validate.real_prediction()
        if isinstance(real, str):
            unusable[validate.REAL] = real
        else:
            rows.append(real)
    found = validate.summaries(rows)
    if arguments.csv:
        from simulation.description import write_atomically
        from simulation.sweep import as_csv

        records = validate.as_records(rows)
        text = as_csv(records, tuple(records[0]))
        write_atomically(arguments.csv, lambda aside: _write(aside, text))
    if arguments.figure:
        from simulation import figures

        def draw(figure: Any) -> None:
            figures.predicted_against_printed(figure.subplots(), rows)

        _draw(arguments.figure, draw)
    if arguments.json:
        content = {"rows": validate.as_records(rows), "summaries": [_plain(s) for s in found]}
        print(json.dumps({**content, "unusable": unusable}, indent=2))
        return
    print(f"{'check / system':62} {'rows':>8} {'mean':>7} {'worst':>7} {'bias':>7}")
    for s in found:
        if s.system == "all":
            verdict = "" if s.met is None else f"   target {s.target}: {'met' if s.met else 'MISSED'}"
            print(f"{s.check:62.62}" + _errors_in_words(s) + verdict)
        else:
            print(f"  {s.system:60.60}" + _errors_in_words(s))
    print("\nnot predicted:")
    for what, why in unusable.items():
        print(f"  {what}: {why}")


def _errors_in_words(s: Any) -> str:
    return f" {s.n:4} {s.sample:>3} {s.mean_error:7.1%} {s.worst_error:7.1%} {s.bias:+7.1%}"


def _trace(arguments: argparse.Namespace) -> None:
    from simulation.schedule import Schedule

    Schedule.load(arguments.schedule)
    raise UserError("trace: not here yet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int | None = parsed.do(parsed)
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":  # under torchrun every process meets the same mistake
            print(f"error: {error}", file=sys.stderr)
        return 2
    return status or 0
