"""``python -m repro``: run, list, fetch, compare, draw and report by hand what the workflow does for you."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import UserError
from repro.logged import logged
from simulation.errors import UserError as SimulatorError

if TYPE_CHECKING:
    from repro.config import Scale, Section

DEFAULT_CONFIG = Path("config/quick.yaml")
EXIT_USER_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; users' mistakes end as one line and status 2."""
    arguments = _parser().parse_args(argv)
    # One thread unless told otherwise: runs go side by side, and the thread count changes the last bits.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with logged(arguments.log):
            return _status(arguments)
    except UserError as error:  # no log can be kept there
        print(f"repro: {error}", file=sys.stderr)
        return EXIT_USER_ERROR


def _status(arguments: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
        sys.stdout.flush()
    except (UserError, SimulatorError) as error:
        print(f"repro: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except BrokenPipeError:  # the reader, such as head, has seen enough; nothing more is said at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("repro: interrupted; what was finished is on record, start again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro",
        description="Reproductions of papers in which a model learns from another model.",
        epilog="'make figures' and 'make paper' run all of this for you; README.md tells more.",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep what is said in this file too")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    def config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="default: %(default)s")

    run = add("run", _run, "Run one experiment, one arm of it, or one seed; finished runs are skipped.")
    run.add_argument("experiment", metavar="PAPER.EXPERIMENT")
    run.add_argument("--arm", help="only this arm")
    run.add_argument("--seed", type=int, nargs="+", help="only these seeds (with --arm)")
    run.add_argument("--again", action="store_true", help="do it anew even if it is on record")
    run.add_argument(
        "--restore",
        action="store_true",
        help="also make what the cache has lost of runs on record, for others that need it; their rows stay",
    )
    run.add_argument("--draw", action="store_true", help="then draw the figure")
    config(run)

    listing = add("list", _list, "List papers, experiments, arms, and what each costs.")
    listing.add_argument("experiment", nargs="?", metavar="PAPER[.EXPERIMENT]")
    config(listing)

    data = add("data", _data, "List public data sets, or fetch and verify some.")
    data.add_argument("action", choices=("list", "fetch", "verify"))
    data.add_argument("sets", nargs="*", metavar="SET")

    draw = add("draw", _draw, "Draw the figures of experiments from recorded results.")
    draw.add_argument("experiments", nargs="+", metavar="PAPER.EXPERIMENT")
    config(draw)

    compare = add("compare", _compare, "Hold all recorded results of a scale against the printed numbers.")
    config(compare)

    add("report", _report, "Write report.html: comparison and figures of all scales, on one page, offline.")
    readme = add("readme", _readme, "Write the generated parts of README.md.")
    readme.add_argument("--check", action="store_true", help="only say whether they are current")
    bench = add("bench", _bench, "Measure speed and memory against their targets; writes results/bench.csv.")
    bench.add_argument("names", nargs="*", metavar="NAME", help="modules of repro/bench that begin so; default: all")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    from repro import config, runner

    if arguments.seed is not None and arguments.arm is None:
        raise UserError("--seed names a seed of an arm: add --arm")
    scale = config.load(arguments.config, [arguments.experiment])
    section = scale.section(arguments.experiment)
    runs = scale.runs(section)
    arms = list(dict.fromkeys(run.arm.name for run in runs))
    if arguments.arm is not None and arguments.arm not in arms:
        raise UserError(f"{section.name}: no arm {arguments.arm}; there are {', '.join(arms)}")
    chosen = [
        run
        for run in runs
        if arguments.arm in (None, run.arm.name) and (arguments.seed is None or run.seed in arguments.seed)
    ]
    if unknown := sorted(set(arguments.seed or []) - {run.seed for run in chosen}):
        count = sum(run.arm.name == arguments.arm for run in runs)
        raise UserError(f"{section.name} {arguments.arm}: seeds are 0 to {count - 1}, not {unknown[0]}")
    kept = sum(not runner.execute(scale, run, again=arguments.again, restore=arguments.restore) for run in chosen)
    if kept:
        folder = runner.RESULTS / section.folder(scale.name)
        print(f"{kept} of {len(chosen)} runs are on record in {folder}; --again makes them anew", file=sys.stderr)
    if arguments.draw:
        _draw_each(scale, [section])


def _list(arguments: argparse.Namespace) -> None:
    from repro import config
    from repro.listing import lines

    for line in lines(config.load(arguments.config), arguments.experiment):
        print(line)


def _data(arguments: argparse.Namespace) -> None:
    from repro.data import fetch

    if arguments.action == "list":
        for row in fetch.describe():
            where = row.folder or "not here; python -m repro data fetch " + row.name
            print(f"{row.name:16} {row.size_bytes / 1e6:8.1f} MB  {where}\n{'':16} {row.title}. {row.licence}")
        return
    if not arguments.sets:
        raise UserError(f"data {arguments.action}: name at least one set; 'data list' shows them")
    for name in arguments.sets:
        folder = fetch.locate(name) if arguments.action == "fetch" else fetch.verify(name)
        print(f"{name}: verified in {folder}")


def _draw(arguments: argparse.Namespace) -> None:
    from repro import config

    scale = config.load(arguments.config, arguments.experiments)
    _draw_each(scale, [scale.section(name) for name in arguments.experiments])


def _draw_each(scale: "Scale", sections: "list[Section]") -> None:
    from repro.drawing import draw

    for section in sections:
        print(draw(scale, section))


def _compare(arguments: argparse.Namespace) -> None:
    from repro import config
    from repro.comparison import compare_scale

    scale = config.load(arguments.config)
    for line in compare_scale(scale):
        print(line)


def _report(arguments: argparse.Namespace) -> None:
    from repro.report import write_report

    print(write_report())


def _readme(arguments: argparse.Namespace) -> None:
    from repro.readme import check, update

    if arguments.check:
        check()
    else:
        update()


def _bench(arguments: argparse.Namespace) -> None:
    from repro.bench import run_all

    run_all(arguments.names)
