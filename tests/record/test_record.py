"""What is on record must be what the programs make of it: chosen rates, figures, comparison, README."""

import argparse
import re
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from repro import cli as repro_cli
from repro import compare, comparison, comparison_rows, config, readme, results, runner
from repro.codistill import cli as codistill_cli
from repro.codistill.settings import load_run
from repro.data import tiny_imagenet
from repro.errors import UserError
from repro.experiment import module_of
from repro.machine import ROOT
from repro.papers.paper import Paper, paper_named
from repro.plots.save import save
from repro.published import load as load_published
from simulation import cli as simulation_cli

PAPER = config.load(ROOT / "config" / "paper.yaml")
RECORDED = [s for s in PAPER.sections() if (ROOT / "results" / s.folder("paper") / "runs.csv").exists()]
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and ";" not in line
)


@pytest.mark.parametrize("section", RECORDED, ids=lambda s: s.name)
def test_figures_are_redrawn_byte_for_byte(section, tmp_path):
    if version("matplotlib") != PINNED["matplotlib"]:
        pytest.skip("bytes of a picture are promised for the pinned matplotlib only")
    found = runner.on_record(PAPER, section, ROOT / "results")
    committed = ROOT / "paper_figures" / section.folder("paper").with_suffix(".png")
    redrawn = Path(shutil.copy(committed, tmp_path))  # whatever the processor: a picture that looks alike is left
    save(module_of(section.paper, section.experiment).figure(found), redrawn)
    for suffix in (".png", ".csv", ".txt"):
        assert redrawn.with_suffix(suffix).read_bytes() == committed.with_suffix(suffix).read_bytes()


@pytest.fixture(scope="module")
def remade(tmp_path_factory) -> Path:
    """The comparison of scale ``paper`` made anew from what is on record."""
    if not RECORDED:
        pytest.skip("nothing is on record at scale paper")
    folder = tmp_path_factory.mktemp("remade")
    shutil.copytree(ROOT / "results" / "paper", folder / "results" / "paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("REPRO_CACHE", str(folder / "cache"))
        list(comparison.compare_scale(PAPER))
    return folder / "results" / "paper" / "comparison.csv"


def test_comparison_on_record_is_current(remade):
    assert remade.read_bytes() == (ROOT / "results" / "paper" / "comparison.csv").read_bytes()


def test_every_printed_result_that_was_not_run_has_a_reason_of_its_own(remade):
    rows = comparison_rows.read(remade)
    assert any(row.verdict == "not_run" for row in rows)
    assert [row.id for row in rows if compare.NOBODY_SPEAKS in row.departures] == []


def test_every_reason_is_some_printed_result_s():
    printed = [row for row in load_published().values() if row.role == "result"]
    for paper in PAPER.papers:
        left = [row for row in printed if row.paper == paper]
        for pattern, reason in paper_named(paper).beyond:
            assert any(compare.reason_beyond(row, paper_named(paper).beyond) == reason for row in left), pattern


def test_rows_on_record_answer_todays_config():
    """A row whose settings are no longer asked for would be a number without a question."""
    for section in RECORDED:
        asked = {(run.arm.name, run.seed): run.digest for run in PAPER.runs(section)}
        rows = results.recorded(ROOT / "results" / section.folder("paper"))
        assert set(rows) <= set(asked), section.name
        for key, digests in rows.items():
            assert digests == {asked[key]}, (section.name, key)


def _best_rates(rows, units, kind):
    """The rates whose validation errors, summed over the temperatures tried, are fewest; several if they tie."""
    tried = {}
    for row in rows:
        net, _, rate = str(row["arm"]).rpartition(".rate")
        if net == f"units{units}.{kind}" or net.startswith(f"units{units}.{kind}.t"):
            tried[float(rate)] = tried.get(float(rate), 0) + row["validation_errors"]
    return [rate for rate, errors in tried.items() if errors == min(tried.values())]


def test_chosen_rates_are_the_best_on_held_out_cases():
    section = PAPER.section("hinton2015.mnist_tuning")
    found = results.load(ROOT / "results" / section.folder("paper"))
    if found is None or runner.missing(PAPER, section, ROOT / "results"):
        pytest.skip("the tuning is not wholly on record")
    students = PAPER.section("hinton2015.mnist_students").config
    assert [students.teacher.training.learning_rate] == _best_teacher_rates(found.rows)
    for kind in ("hard", "soft", "soft_hard"):
        assert getattr(students.student.rates, kind) in _best_rates(found.rows, 800, kind), kind
    for width in PAPER.section("hinton2015.mnist_temperature").config.widths:
        for kind in ("hard", "soft"):
            assert getattr(width.rates, kind) in _best_rates(found.rows, width.hidden[0], kind), (width.hidden, kind)


def _best_teacher_rates(rows):
    tried = {
        float(str(row["arm"]).rpartition(".rate")[2]): row["validation_errors"]
        for row in rows
        if str(row["arm"]).startswith("teacher")
    }
    return [rate for rate, errors in tried.items() if errors == min(tried.values())]


def test_generated_parts_of_the_readme_are_current(monkeypatch):
    monkeypatch.chdir(ROOT)
    readme.check()


def test_a_headline_that_is_no_row_is_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    wrong = Paper("hinton2015", "a title", headlines=("KD-M99.none",))
    monkeypatch.setattr("repro.papers.hinton2015.PAPER", wrong)
    with pytest.raises(UserError, match=r"headline KD-M99\.none is no row of results/paper/comparison\.csv"):
        readme.headlines()


def _commands() -> list[str]:
    """What README.md and config/README.md tell to type, line by line."""
    text = (ROOT / "README.md").read_text() + (ROOT / "config" / "README.md").read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`((?:python -m |make |snakemake |git )[^`]+)`", text.replace("\n", " "))
    return [line for line in lines if line.split("#")[0].strip()]


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """As the program itself reads its words; a name in capitals stands for one that the reader chooses."""
    chosen = {"PAPER.EXPERIMENT": "hinton2015.mnist_students"}
    try:
        parser.parse_args([chosen.get(word, word) for word in words])
    except SystemExit as stopped:
        raise AssertionError(f"{parser.prog} refuses {' '.join(words)}") from stopped


def _module(words: list[str]) -> None:
    parser = {
        "repro": repro_cli._parser,
        "simulation": simulation_cli._parser,
        "repro.codistill": codistill_cli._parser,
        "repro.data.tiny_imagenet": tiny_imagenet._parser,
    }
    _parsed(parser[words[0]](), words[1:])
    if words[0] == "repro.codistill":
        assert load_run(ROOT / words[2])


def _make(words: list[str]) -> None:
    assert words[0] in re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def _snakemake(words: list[str]) -> None:
    """Options are the program's own; a target is a rule or a figure of the scale asked for."""
    from snakemake.cli import get_argument_parser

    asked = get_argument_parser(profiles=[]).parse_args(["2" if word == "N" else word for word in words])
    scale = dict(pair.split("=") for pair in asked.config or []).get("scale", "quick")
    sections = config.load(ROOT / "config" / f"{scale}.yaml").sections()
    rules = {"all", "report"} | {s.paper for s in sections} | {f"{s.paper}_{s.experiment}" for s in sections}
    figures = {f"paper_figures/{s.folder('paper')}.png" for s in PAPER.sections()}
    assert set(asked.targets) <= rules | figures
    if asked.workflow_profile:
        assert (ROOT / asked.workflow_profile / "config.yaml").exists()


def _pip(words: list[str]) -> None:
    assert words[:2] == ["install", "-r"]
    assert (ROOT / words[2]).exists()


def _git(words: list[str]) -> None:
    assert words[0] == "restore"
    assert (ROOT / words[1]).exists()


def _python(words: list[str]) -> None:
    assert words[0] == "-m"
    _module(words[1:])


def _torchrun(words: list[str]) -> None:
    _module(words[words.index("-m") + 1 :])


def _activate(words: list[str]) -> None:
    assert words == [".venv/bin/activate"]


PROGRAMS = {
    "make": _make, "snakemake": _snakemake, "python": _python, "torchrun": _torchrun, "pip": _pip, "git": _git,
    ".": _activate,
}  # fmt: skip


@pytest.mark.parametrize("command", _commands())
def test_a_command_of_the_readme_is_one_that_its_program_takes(command):
    program, *words = shlex.split(command, comments=True)
    assert program in PROGRAMS, "a program that this test does not know"
    PROGRAMS[program](words)


def test_every_kind_of_command_is_told():
    assert {shlex.split(command, comments=True)[0] for command in _commands()} == set(PROGRAMS)


def test_a_command_that_does_not_exist_is_seen():
    for wrong in (
        "make figure",
        "snakemake hinton2016",
        "snakemake --forse",
        "python -m repro rum",
        "pip install -r none",
    ):
        program, *words = wrong.split()
        with pytest.raises((AssertionError, SystemExit)):
            PROGRAMS[program](words)


def test_the_runner_finds_nothing_missing_that_is_on_record():
    for section in RECORDED:
        missing = {(run.arm.name, run.seed) for run in runner.missing(PAPER, section, ROOT / "results")}
        rows = set(results.recorded(ROOT / "results" / section.folder("paper")))
        assert not missing & rows


def test_what_the_readme_says_was_not_reproduced_was_not():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"`([A-Z]+[0-9.\w]*-?[\w.]*)`", page.partition("What was not reproduced")[2].partition("## ")[0])
    rows = compare.read(ROOT / "results" / "paper" / "comparison.csv")
    for name in told:
        verdicts = {row.verdict for row in rows if row.id == name or row.id.startswith(f"{name}.")}
        assert verdicts & {"fails", "differs", "undecided"}, name
    assert len(told) > 5
