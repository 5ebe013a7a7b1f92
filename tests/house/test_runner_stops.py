"""What was stopped goes on, by the sources that began it, and its seconds are those it took."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro import results, runner
from tests.house.given import FILES, FOLDER, coin, execute_all, record, run_of, section


def test_a_row_names_the_sources_and_the_commit_its_run_began_with(toy_scale, monkeypatch):
    now = {"sources": "before", "commit": "old"}
    monkeypatch.setattr(runner.machine, "sources_digest", lambda _: now["sources"])
    monkeypatch.setattr(runner.machine, "commit", lambda: now["commit"])
    toss = coin().run

    def edited_meanwhile(*words):
        now.update(sources="after", commit="new")
        return toss(*words)

    monkeypatch.setattr(coin(), "run", edited_meanwhile)
    scale = toy_scale()
    runner.execute(scale, run_of(scale, "toss.fair", 0))
    (timing,) = results.load(FOLDER).timing
    assert (timing["sources"], timing["commit"]) == ("before", "old")


@pytest.mark.parametrize("edited", [False, True])
def test_an_interrupted_run_goes_on_only_by_the_sources_that_began_it(toy_scale, monkeypatch, capsys, edited):
    scale = toy_scale()
    run = run_of(scale, "toss.fair", 0)
    checkpoint = runner.work_folder(run) / "checkpoint.safetensors"
    seen = []

    def stopped(*_):
        checkpoint.write_text("epoch 7")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(coin(), "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            runner.execute(scale, run)
    if edited:
        monkeypatch.setattr(runner.machine, "sources_digest", lambda _: "edited")
    toss = coin().run
    monkeypatch.setattr(coin(), "run", lambda *words: [seen.append(checkpoint.exists()), toss(*words)][1])
    capsys.readouterr()
    runner.execute(scale, run)
    assert seen == [not edited]
    told = "toy.coin toss.fair seed 0: it was begun by other sources than today's; it begins anew\n"
    assert (told in capsys.readouterr().err) == edited


def test_seconds_are_of_all_processes_and_of_what_came_before_a_kill(toy_scale, monkeypatch):
    scale = toy_scale()
    plain = run_of(scale, "toss.fair", 0)
    run = dataclasses.replace(plain, arm=dataclasses.replace(plain.arm, processes=2))
    work = runner.work_folder(run)
    toss = coin().run

    def stopped(*_):
        (work / "checkpoint.safetensors").write_text("epoch 7")
        begun = json.loads((work / "attempt.json").read_text())
        # As if it had begun a thousand seconds before its checkpoint.
        (work / "attempt.json").write_text(json.dumps({**begun, "began": begun["began"] - 1000}))
        raise KeyboardInterrupt

    monkeypatch.setattr(coin(), "run", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runner.execute(scale, run)
    monkeypatch.setattr(coin(), "run", toss)
    runner.execute(scale, run)
    (timing,) = results.load(FOLDER).timing
    assert 4000 <= timing["seconds"] < 4100, "two kills after 1000 s each, of two processes"


def test_seconds_of_one_process_are_those_it_computes_and_not_those_it_waits(toy_scale, monkeypatch):
    scale, toss = toy_scale(), coin().run
    clocks = {"time": 100.0, "process_time": 7.0}
    monkeypatch.setattr(time, "monotonic", lambda: clocks["time"])
    monkeypatch.setattr(time, "process_time", lambda: clocks["process_time"])

    def suspended(*words):
        clocks["time"] += 3600
        clocks["process_time"] += 5
        return toss(*words)

    monkeypatch.setattr(coin(), "run", suspended)
    runner.execute(scale, run_of(scale, "toss.fair", 0))
    (timing,) = results.load(FOLDER).timing
    assert timing["seconds"] == pytest.approx(5)


def test_again_begins_in_an_empty_folder(toy_scale):
    scale = toy_scale()
    run = run_of(scale, "toss.fair", 0)
    runner.execute(scale, run)
    left = runner.work_folder(run) / "aside" / "specialist"
    left.parent.mkdir()
    left.write_text("of older code")
    runner.execute(scale, run, again=True)
    assert not left.exists()
    assert runner.result_file(run).exists()


CHILD = """
import sys
import time
from pathlib import Path
import repro.papers
repro.papers.__path__.append(sys.argv[1])
from repro import cli, config
config._paper_packages, config._experiments = (lambda: ["toy"]), (lambda paper: ["coin"])
sys.exit(cli.main(["run", "toy.coin", "--config", "toy.yaml"]))
"""


def test_after_kill_9_the_record_ends_the_same(toy_scale, root, tmp_path, monkeypatch):
    scale = toy_scale()
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent / "papers")],
        env={**os.environ, "PYTHONPATH": str(root), "TOY_KILL": "toss 1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert "toy.coin toss seed 0: heads" in killed.stderr
    assert next(run.name for run in runner.missing(scale, section(scale))) == "toy.coin toss seed 1"
    assert (runner.work_folder(run_of(scale, "toss", 1)) / "half").exists()
    assert not runner.result_file(run_of(scale, "toss", 1)).exists()
    done = execute_all(scale)
    assert done[0] == "toss 1"
    assert "mint 0" not in done
    resumed = record()
    shutil.rmtree("results")
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "another cache"))
    execute_all(scale)
    for name in FILES - {"timing.csv"}:
        assert resumed[name] == record()[name], name
