"""Commands that hold the simulator against measurements: fit, calibrate, validate."""

import argparse
import json
import os
from collections import Counter
from dataclasses import asdict
from typing import Any

from simulation.errors import UserError
from simulation.output import check_figure, check_output, draw_to, write_text


def fit(arguments: argparse.Namespace) -> None:
    """The command `fit`."""
    check_output(arguments.output)
    if arguments.nccl_tests:
        _fit_nccl_tests(arguments)
        return
    from simulation.description import load_workload, write_yaml
    from simulation.fit import as_cluster, fit, read_table

    for option in ("workers", "into"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option} has no effect without --nccl-tests: leave it out")
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch {arguments.batch}: give one example or more")
    if (arguments.workload is None) != (arguments.output is None):
        raise UserError("--workload and --output belong together: give both or neither")
    workers, times = read_table(arguments.table, arguments.batch)
    try:
        found = fit(workers, times, arguments.law or "servers")
        if arguments.output:
            workload = load_workload(arguments.workload)
            batch = arguments.batch or workload.batch_per_worker_examples
            cluster = as_cluster(found, workload, batch, arguments.table.stem)
    except UserError as error:
        raise UserError(f"{arguments.table}: {error}") from None
    if arguments.output:
        write_yaml(cluster, arguments.output)
    if arguments.json:
        print(json.dumps({"law": type(found.law).__name__, **asdict(found)}, indent=2))
        return
    print(type(found.law).__name__)
    for key, value in found.law.__dict__.items():
        print(f"  {key:26} {value:.6g}{' at most' if key in found.upper_bounds else ''}")
    held = [abs(e) for e in found.held_out_errors]
    print(f"  error at the data          mean {found.mean_error:.1%}, worst {found.worst_error:.1%}")
    if held:
        print(f"  each point held out        mean {sum(held) / len(held):.1%}, worst {max(held):.1%}")
    for warning in found.warnings:
        print(f"  warning: {warning}")


def _fit_nccl_tests(arguments: argparse.Namespace) -> None:
    from simulation.cluster import with_table
    from simulation.description import as_yaml, load_cluster, write_yaml
    from simulation.links import fit_alpha_beta
    from simulation.nccl_tests import read_nccl_tests

    for option in ("batch", "workload", "law"):
        if getattr(arguments, option) is not None:
            raise UserError(f"--{option} has no effect with --nccl-tests: leave it out")
    if (arguments.into is None) != (arguments.output is None):
        raise UserError("--into (the cluster measured) and --output belong together: give both or neither")
    found = read_nccl_tests(arguments.table, arguments.workers)
    try:
        line = fit_alpha_beta(found.bytes, found.seconds_measured)
    except ValueError as error:
        raise UserError(f"{arguments.table}: {error}") from None
    errors = [line.seconds(b) / s - 1 for b, s in zip(found.bytes, found.seconds_measured, strict=True)]
    held = [predicted / s - 1 for _, s, predicted in found.table.held_out()]
    if arguments.output:
        try:
            cluster = with_table(load_cluster(arguments.into), found)
        except ValueError as error:
            raise UserError(f"{arguments.table}: --into {arguments.into}: {error}") from None
        write_yaml(cluster, arguments.output)
    if arguments.json:
        held_out = max((abs(e) for e in held), default=None)
        words = {"latency_s": line.latency_s, "bandwidth_bytes_per_s": line.bandwidth_bytes_per_s}
        print(json.dumps({**asdict(found), **words, "errors": errors, "worst_held_out": held_out}, indent=2))
        return
    print(as_yaml(found), end="")
    print(f"# one latency and one bandwidth: {line.latency_s:.3g} s, {line.bandwidth_bytes_per_s:.4g} bytes/s;")
    print(f"# they miss by {min(errors):+.1%} to {max(errors):+.1%}")
    if held:
        print(f"# the table, every other point held out: worst {max(abs(e) for e in held):.1%}")


def calibrate(arguments: argparse.Namespace) -> int:
    """The command `calibrate`."""
    check_output(arguments.output)
    if arguments.processes is not None:
        return _calibrate_here(arguments)
    from simulation.processes import place_from_environment

    place_from_environment()  # refuses what torchrun did not start before anything heavy is imported
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


def validate(arguments: argparse.Namespace) -> None:
    """The command `validate`."""
    check_output(arguments.csv)
    check_figure(arguments.figure)
    from simulation import validate
    from simulation.predictions import REAL, as_records, summaries
    from simulation.unpredicted import unpredicted

    rows = validate.predictions()
    reasons = unpredicted({row.id for row in rows})
    if arguments.real:
        real = validate.real_prediction()
        if isinstance(real, str):
            reasons[REAL] = real
        else:
            rows.append(real)
    found = summaries(rows)
    if arguments.csv:
        from simulation.sweep import as_csv

        records = as_records(rows)
        text = as_csv(records, tuple(records[0]))
        write_text(arguments.csv, text)
    if arguments.figure:
        from simulation import figures

        def draw(figure: Any) -> None:
            figures.predicted_against_printed(figure.subplots(), rows)

        draw_to(arguments.figure, draw)
    if arguments.json:
        content = {"rows": as_records(rows), "summaries": [asdict(s) for s in found]}
        print(json.dumps({**content, "not_predicted": reasons}, indent=2))
        return
    print(f"{'check / system':62} {'rows':>8} {'mean':>7} {'worst':>7} {'bias':>7}")
    for s in found:
        if s.system == "all":
            verdict = "" if s.met is None else f"   target {s.target}: {'met' if s.met else 'MISSED'}"
            print(f"{s.check:62.62}" + _errors_in_words(s) + verdict)
        else:
            print(f"  {s.system:60.60}" + _errors_in_words(s))
    print("\nnot predicted:")
    for why, count in Counter(reasons.values()).most_common():
        print(f"  {count:4}  {why}")


def _errors_in_words(s: Any) -> str:
    return f" {s.n:4} {s.sample:>3} {s.mean_error:7.1%} {s.worst_error:7.1%} {s.bias:+7.1%}"
