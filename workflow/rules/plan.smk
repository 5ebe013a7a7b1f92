# What there is to do: the scale that is run, the scales that are only redrawn, and their sections.
# Everything is taken from the same config models and arms() that the programs use.

import os
from pathlib import Path

from repro import machine, results, runner
from repro import config as configs
from repro.comparison import comparison_path
from repro.drawing import figure_path
from repro.experiment import digest_of

# What a program says is kept in its rule's log too. The program does that: behind a pipe it would no longer know that
# it speaks to a terminal, and show no progress.
PYTHON = "python -m repro --log {log}"
ENVIRONMENT = "../environment.yaml"  # looked at with --sdm conda only
FIGURE_FILES = (".png", ".csv", ".txt")


def or_stop(what, *words):
    """A user's mistake ends the workflow in one line instead of a traceback."""
    try:
        return what(*words)
    except UserError as error:
        raise SystemExit(f"repro: {error}")


RUN = or_stop(
    configs.load,
    Path(config.get("file", f"config/{config.get('scale', 'quick')}.yaml")),
)
OTHERS = [
    or_stop(configs.load, Path("config", f"{name}.yaml"))
    for name in configs.SCALES
    if name != RUN.name and name != "quick" and Path("config", f"{name}.yaml").exists()
]


def known_data(scale):
    """Ends the workflow before anything is planned where a paper's `data:` is none that can be read."""
    for paper, name in {(s.paper, s.data) for s in scale.sections() if s.swapped}:
        # Imports torch, for which no workflow without swapped data should wait.
        from repro.data.sums import known

        or_stop(known, name, f"{scale.path}: {paper}.data: ")


known_data(RUN)


def runs_csv(scale, section):
    return runner.RESULTS / section.folder(scale.name) / "runs.csv"


def recorded(scale):
    """Sections of a scale that have results."""
    return [
        section for section in scale.sections() if runs_csv(scale, section).exists()
    ]


# What a file depends on is its sources' content, not their times: the digest of all of them is a parameter of its
# rule. As inputs, a hundred files a rule, they would cost the workflow minutes of looking after them.


def module_name(section):
    return f"repro.papers.{section.paper}.{section.experiment}"


def source(section):
    """The experiment's own file, an input; what it imports is in the digest."""
    return str(Path(*module_name(section).split(".")).with_suffix(".py"))


def sources(sections):
    """Digest of all sources of these sections' figures and claims."""
    return digest_of(
        [machine.sources_digest(module_name(section)) for section in sections]
    )


def settings(sections):
    """Digest of all that these sections' figures and claims are told by the config file."""
    return digest_of([section.config.model_dump(mode="json") for section in sections])


def identifier(section):
    return f"{section.paper}_{section.experiment}"
