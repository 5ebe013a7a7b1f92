"""The workflow as a user starts it: what reruns, what goes wrong, what a kill leaves."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from repro.bench.workflow import SIDE_BY_SIDE
from repro.machine import ROOT

HERE = Path(__file__).parent
TOSS = "snakemake toy --config file=own.yaml"


@pytest.fixture
def tossing(workflow):
    """The workflow with one more paper, of milliseconds."""
    shutil.copytree(HERE / "papers" / "toy", workflow.place / "repro" / "papers" / "toy")
    (workflow.place / "own.yaml").write_text("scale: quick\ndevice: cpu\ntoy:\n  coin: {tosses: 5}\n")
    return workflow


def numbers(place: Path) -> dict[str, bytes]:
    """What is on record, but for the time it took."""
    folder = place / "results" / "quick" / "toy" / "coin"
    return {path.name: path.read_bytes() for path in folder.glob("*.csv") if path.name != "timing.csv"}


def test_what_is_done_is_done_until_a_source_or_a_setting_changes(tossing):
    assert tossing.shell(TOSS).returncode == 0
    first = numbers(tossing.place)
    assert set(first) == {"runs.csv", "curves.csv", "shares.csv"}
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout
    imported = tossing.place / "repro" / "errors.py"
    imported.touch()
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout, "times do not matter, contents do"
    imported.write_text(imported.read_text() + "# another source\n")
    assert "run_toy_coin" in tossing.shell(f"{TOSS} -n").stdout
    own = tossing.place / "own.yaml"
    own.write_text(own.read_text().replace("tosses: 5", "tosses: 6"))
    assert tossing.shell(TOSS).returncode == 0
    assert numbers(tossing.place)["curves.csv"].count(b"\n") > first["curves.csv"].count(b"\n")
    own.write_text(own.read_text().replace("tosses: 6", "tosses: 6, seeds: 2"))
    imported.write_text(imported.read_text() + "# and another\n")
    # By hand, and Snakemake has no record of it: rows that are no longer asked for stay as they are, and do not count.
    shutil.rmtree(tossing.place / ".snakemake")
    assert tossing.shell("python -m repro run toy.coin --config own.yaml --again --draw").returncode == 0
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout


def test_at_scale_paper_what_new_runs_need_is_restored_when_the_cache_is_gone(tossing):
    own = tossing.place / "own.yaml"
    own.write_text("scale: paper\ndevice: cpu\ntoy:\n  coin: {tosses: 5}\n")
    done = tossing.shell(TOSS)
    assert done.returncode == 0, done.stdout
    first = (tossing.place / "results" / "paper" / "toy" / "coin" / "runs.csv").read_text()
    shutil.rmtree(tossing.environment["REPRO_CACHE"])
    shutil.rmtree(tossing.place / ".snakemake")  # as in a fresh clone
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout, "the rows are the record"
    own.write_text(own.read_text().replace("tosses: 5", "tosses: 5, seeds: 5"))
    done = tossing.shell(TOSS)
    assert done.returncode == 0, done.stdout
    after = (tossing.place / "results" / "paper" / "toy" / "coin" / "runs.csv").read_text()
    assert set(first.splitlines()) < set(after.splitlines())
    assert sum(",toss," in line for line in after.splitlines()) == 5
    restored = Path(tossing.environment["REPRO_CACHE"]).rglob("bias.txt")
    assert len(list(restored)) == 2
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout


def test_what_only_figures_and_claims_read_redraws_and_compares_anew_without_training(tossing):
    own = tossing.place / "own.yaml"
    own.write_text("scale: paper\ndevice: cpu\ntoy:\n  coin: {tosses: 5}\n")
    header = "id,paper,arxiv,where,experiment,quantity,setting,value,low,high,unit,confidence,role\n"
    rows = [f"TOY-{n},toy,,table 1,coin,heads,,5,4,6,heads,transcribed,result\n" for n in (1, 2)]
    (tossing.place / "repro" / "published" / "toy.csv").write_text("".join([header, *rows]))
    compared = "results/paper/comparison.csv"
    asked = f"snakemake toy {compared} --config file=own.yaml"
    assert tossing.shell(asked).returncode == 0
    record = (tossing.place / "results" / "paper" / "toy" / "coin" / "timing.csv").read_bytes()
    own.write_text(own.read_text().replace("tosses: 5", "tosses: 5, excuse: lost it"))
    planned = tossing.shell(f"{asked} -n").stdout
    assert "draw_paper_toy_coin" in planned
    assert "compare_paper" in planned
    assert tossing.shell(asked).returncode == 0
    assert "lost it" in (tossing.place / "paper_figures" / "paper" / "toy" / "coin.txt").read_text()
    assert "lost it" in (tossing.place / compared).read_text()
    assert (tossing.place / "results" / "paper" / "toy" / "coin" / "timing.csv").read_bytes() == record
    assert "Nothing to be done" in tossing.shell(f"{asked} -n").stdout


def test_neither_a_kill_nor_a_damaged_cache_changes_a_number(tossing):
    dead = tossing.shell(TOSS, TOY_KILL="toss 1")
    assert dead.returncode != 0
    assert "run_toy_coin" in dead.stdout
    assert tossing.shell(TOSS).returncode == 0
    after = numbers(tossing.place)
    for path in Path(tossing.environment["REPRO_CACHE"]).rglob("result.json"):
        path.write_text("{")
    for left in ("results", "paper_figures"):
        shutil.rmtree(tossing.place / left)
    assert tossing.shell(TOSS).returncode == 0
    assert numbers(tossing.place) == after


def test_what_a_failing_program_says_is_on_the_terminal_once_and_in_its_log(tossing):
    own = tossing.place / "own.yaml"
    own.write_text(own.read_text().replace("tosses: 5", "tosses: 5, trouble: raise"))
    done = tossing.shell(TOSS)
    assert done.returncode != 0
    assert done.stdout.count("RuntimeError: the coin rolled away") == 1
    log = (tossing.place / "logs" / "quick" / "toy_coin.log").read_text()
    assert log.rstrip().endswith("RuntimeError: the coin rolled away")
    own.write_text(own.read_text().replace(", trouble: raise", ""))
    assert tossing.shell(TOSS).returncode == 0
    log = (tossing.place / "logs" / "quick" / "toy_coin.log").read_text()
    assert log.endswith("paper_figures/quick/toy/coin.png\n")
    shutil.rmtree(tossing.place / "logs")
    assert "Nothing to be done" in tossing.shell(f"{TOSS} -n").stdout


def test_results_that_cannot_be_written_are_one_line(tossing):
    (tossing.place / "results").write_text("in the way")
    done = tossing.shell("python -m repro run toy.coin --config own.yaml")
    assert done.returncode == 2
    assert "results/quick/toy/coin/meta.json: cannot be written" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def test_a_mistake_in_the_config_stops_the_workflow_in_a_line(tossing):
    own = tossing.place / "own.yaml"
    own.write_text(own.read_text().replace("tosses: 5", "tozzes: 5"))
    done = tossing.shell(TOSS)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("repro: own.yaml: toy.coin.tozzes: ")
    assert "did you mean tosses" in done.stdout
    assert '.smk", line' not in done.stdout


def test_a_data_set_that_nobody_knows_stops_the_workflow_before_anything_is_run(workflow):
    quick = (workflow.place / "config" / "quick.yaml").read_text()
    (workflow.place / "own.yaml").write_text(quick.replace("hinton2015:\n", "hinton2015:\n  data: mnits\n"))
    done = workflow.shell("snakemake hinton2015 --config file=own.yaml")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(
        "repro: own.yaml: hinton2015.data: no data set is called 'mnits': choose one of mnist, fashion-mnist, "
    )
    assert not (workflow.place / "results").exists()


@contextlib.contextmanager
def held(process: subprocess.Popen[str], pipe: Path) -> Iterator[None]:
    """While some part of a process waits at the pipe."""
    while True:
        assert process.poll() is None, process.stdout and process.stdout.read()
        try:
            writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            assert error.errno == errno.ENXIO, error  # nobody reads it yet
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(writing)


def test_a_second_workflow_in_the_same_place_is_refused_and_the_first_goes_on(tossing):
    pipe = tossing.place / "hold"
    os.mkfifo(pipe)
    with tossing.begun(TOSS, TOY_HOLD="toss 1") as first:
        with held(first, pipe):
            second = tossing.shell(TOSS)
            assert second.returncode != 0
            assert "--unlock" in second.stdout
            assert "Traceback" not in second.stdout
        said, _ = first.communicate(timeout=600)
        assert first.returncode == 0, said
    assert set(numbers(tossing.place)) == {"runs.csv", "curves.csv", "shares.csv"}
    assert "Nothing to be done" in tossing.shell(TOSS).stdout


def test_the_environment_of_the_rules_is_what_make_installs():
    environment = yaml.safe_load((ROOT / "workflow" / "environment.yaml").read_text())
    python, _, pip = environment["dependencies"]
    version = python.partition("=")[2]
    pinned = []
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line) if "==" in line and not line.lstrip().startswith("#") else None
        if requirement and (
            not requirement.marker or requirement.marker.evaluate({"python_full_version": f"{version}.0"})
        ):
            pinned.append(f"{requirement.name}{requirement.specifier}")
    asked = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("-")]
    assert [line.partition("==")[0] for line in pip["pip"]] == asked
    assert set(pip["pip"]) <= set(pinned)


def test_tests_are_timed_as_make_runs_them():
    assert f"SIDE_BY_SIDE := {' '.join(SIDE_BY_SIDE)}\n" in (ROOT / "Makefile").read_text()
