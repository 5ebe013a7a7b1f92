"""The command line: ``python -m simulation run|sweep|shelf|fit|calibrate|validate|trace``.

Nothing heavy is imported until a command needs it. A user's mistake is one line on stderr and exit status 2.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from simulation.errors import UserError
from simulation.protocols import PROTOCOLS

# What a field of a protocol says, beyond its choices and the protocols that have it.
_SAYS = {
    "workers": "how many, all together",
    "aggregation": "how gradients meet",
    "backups": "workers beyond those that a step waits for",
    "late": "what workers do that come too late for a step",
    "bound_steps": "how far the fastest may run ahead",
    "interval_steps": "steps between exchanges",
    "momentum": "what becomes of momentum when weights are averaged",
    "groups": "groups that teach each other",
    "burn_in_steps": "steps before they begin to",
    "exchange": "what groups exchange",
    "pickup": "whether a group waits for a checkpoint or takes the latest",
}


def protocol_options() -> dict[str, tuple[type, str]]:
    """Every field of every protocol that an option can give: its type and its help."""
    owners: dict[str, list[str]] = {}
    hints: dict[str, Any] = {}
    for kind, protocol in PROTOCOLS.items():
        annotated = get_type_hints(protocol)
        for field in fields(protocol):
            if field.name != "within":
                owners.setdefault(field.name, []).append(kind)
                hints[field.name] = annotated[field.name]
    options = {}
    for name, kinds in owners.items():
        choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
        said = [_SAYS.get(name, ""), " or ".join(map(str, choices))]
        whose = "" if len(kinds) > 3 else f" ({', '.join(kinds)})"
        options[name] = (type(choices[0]) if choices else hints[name], ": ".join(filter(None, said)) + whose)
    return options


def _path(text: str) -> Path:
    return Path(text)


def _add_question(parser: argparse.ArgumentParser) -> None:
    """The options that say what is simulated."""
    parser.add_argument("--cluster", required=True, help="a name on the shelf, or a YAML file")
    parser.add_argument("--workload", required=True, help="a name on the shelf, or a YAML file")
    parser.add_argument("--protocol", default="SyncSGD", help=f"{', '.join(PROTOCOLS)}, or a YAML file")
    parser.add_argument("--within", help="protocol inside each group of Codistillation")
    for name, (kind, text) in protocol_options().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    parser.add_argument("--nodes", type=int, help="resize the cluster to so many nodes")
    parser.add_argument("--batch", type=int, help="examples per worker and step, instead of the workload's")
    parser.add_argument("--updates", type=int, help="updates to simulate (of each group)")
    parser.add_argument("--seed", type=int, help="of all draws; default: 0")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulation",
        description="What many workers cost, how stale what they read is, and what bounds a step.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    run = commands.add_parser("run", help="one protocol on one cluster, in words or JSON")
    _add_question(run)
    run.add_argument("--engine", choices=("auto", "heap", "window", "closed_form"), default="auto")
    run.add_argument("--schedule", type=_path, help="write the schedule to this safetensors file")
    run.add_argument("--figure", type=_path, help="draw step time and staleness here (.png, .svg, .pdf)")
    run.add_argument("--json", action="store_true", help="print everything as JSON")
    run.set_defaults(do="simulation.cli_ask:run")

    sweep = commands.add_parser("sweep", help="one YAML over protocols and worker counts: CSV and figure")
    sweep.add_argument("file", type=_path)
    sweep.add_argument("--csv", type=_path, help="write the table here (default: print it)")
    sweep.add_argument("--figure", type=_path, help="draw step time, efficiency and breakdown here (.png, .svg)")
    sweep.set_defaults(do="simulation.cli_ask:sweep")

    shelf = commands.add_parser("shelf", help="ready clusters and workloads")
    shelf.add_argument("name", nargs="?", help="print the YAML of this one")
    shelf.set_defaults(do="simulation.cli_ask:shelf")

    fit = commands.add_parser("fit", help="a law of step time from a table of workers and step times or rates")
    fit.add_argument("table", type=_path, help="CSV: workers and step_s or examples_per_s; or nccl-tests output")
    fit.add_argument("--law", choices=("servers", "all_reduce"), help="default: servers")
    fit.add_argument("--batch", type=int, help="examples per worker and step")
    fit.add_argument("--workload", help="needed for --output: whose bytes and FLOP were measured")
    fit.add_argument("--nccl-tests", action="store_true", help="the table is the output of all_reduce_perf")
    fit.add_argument("--workers", type=int, help="ranks of an nccl-tests run without '# Rank' lines")
    fit.add_argument("--into", help="with --nccl-tests and --output: the cluster measured (shelf or YAML file)")
    fit.add_argument("--output", type=_path, help="write a cluster that gives the law (or the table) back")
    fit.add_argument("--json", action="store_true")
    fit.set_defaults(do="simulation.cli_measure:fit")

    calibrate = commands.add_parser("calibrate", help="measure this machine under torchrun and write a cluster file")
    calibrate.add_argument("--output", type=_path, required=True, help="cluster file to write")
    calibrate.add_argument("--backend", choices=("gloo", "nccl"), help="default: nccl on GPUs, else gloo")
    calibrate.add_argument("--largest-mb", type=float, default=17.0, help="largest all-reduce, in 10^6 bytes")
    calibrate.add_argument("--limit-s", type=float, default=120.0, help="give up beyond so many seconds")
    calibrate.add_argument("--name", help="name of the cluster")
    calibrate.add_argument("--processes", type=int, help="start so many here, without torchrun")
    calibrate.add_argument("--check", action="store_true", help="also predict real steps and report the error")
    calibrate.add_argument("--json", action="store_true")
    calibrate.set_defaults(do="simulation.cli_measure:calibrate")

    validate = commands.add_parser("validate", help="predict public scaling rows and show the errors")
    validate.add_argument("--csv", type=_path, help="write every row here")
    validate.add_argument("--figure", type=_path, help="draw predicted against printed here")
    validate.add_argument("--real", action="store_true", help="also real steps of two processes here")
    validate.add_argument("--json", action="store_true")
    validate.set_defaults(do="simulation.cli_measure:validate")

    trace = commands.add_parser("trace", help="one protocol on one cluster as a Perfetto trace")
    _add_question(trace)
    trace.add_argument("--engine", choices=("auto", "heap", "window"), default="auto")
    trace.add_argument("--output", type=_path, required=True, help="JSON for ui.perfetto.dev")
    trace.add_argument("--sample", type=int, help="workers to draw, of each group; default: up to 16")
    trace.set_defaults(do="simulation.cli_ask:trace")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        module, name = parsed.do.split(":")
        status: int | None = getattr(importlib.import_module(module), name)(parsed)
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":  # under torchrun every process meets the same mistake
            print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: this needs more memory than there is: lower the updates or the workers", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder that went away
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return status or 0
