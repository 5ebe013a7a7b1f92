"""The run files that ship with the experiments' tasks: they are read, started as they say, and learn."""

import re
import subprocess
import sys

import pytest
import yaml

from repro import config
from repro.codistill import cli
from repro.codistill.settings import RunFile, load_run
from repro.codistill.shared import GroupFolder
from repro.codistill.task import load_task
from repro.machine import ROOT
from repro.papers.anil2018 import _tasks, image_batch

RUNS = sorted((ROOT / "repro" / "papers" / "anil2018" / "runs").glob("*.yaml"))
COMMAND = re.compile(r"^# +((?:python|torchrun) .*)$", re.MULTILINE)


@pytest.fixture
def short(tmp_path):
    """A smaller copy of a run file that writes into the test's folder: its path, and the commands it names."""

    def copy(name, **smaller):
        path = next(run for run in RUNS if run.stem == name)
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) | {"folder": str(tmp_path / "run"), "updates": 20, "evaluate_updates": 10}
        content["protocol"] |= {"interval_steps": 5, "burn_in_steps": 0}
        content["task_settings"] |= smaller
        own = tmp_path / path.name
        own.write_text(yaml.safe_dump(content), encoding="utf-8")
        shipped = str(path.relative_to(ROOT))
        return own, [[str(own) if word == shipped else word for word in c.split()] for c in COMMAND.findall(text)]

    return copy


def losses(run: RunFile, group: int) -> list[float]:
    ended = GroupFolder(run.folder, group).ended()
    assert ended is not None
    return [value for _, _, split, metric, value in ended["curve"] if (split, metric) == ("test", "loss")]


def test_a_language_model_is_launched_as_its_file_says(short, capsys):
    path, commands = short("language_model", words=200, hidden=24, judged_tokens=640)
    launched = commands[0]
    assert launched[:3] == ["python", "-m", "repro.codistill"]
    assert cli.main(launched[3:]) == 0
    run = load_run(path)
    for group in range(2):
        assert losses(run, group)[-1] < losses(run, group)[0]
    assert capsys.readouterr().out.count('"updates": 20') == 2


def test_pictures_are_learned_under_torchrun_as_their_file_says(short):
    path, commands = short("pictures")
    command = next(c for c in commands if c[0] == "torchrun")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = load_run(path)
    for group in range(2):
        assert losses(run, group)[-1] < losses(run, group)[0]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_command_in_a_run_file_starts_that_run(path):
    run, name = load_run(path), str(path.relative_to(ROOT))
    commands = [command.split() for command in COMMAND.findall(path.read_text(encoding="utf-8"))]
    assert commands
    for command in commands:
        assert name in command
        if command[0] == "torchrun":
            processes = int(command[command.index("--nproc-per-node") + 1])
            assert processes == (run.protocol.total_workers if run.exchanges_predictions else run.workers)
            assert ("--group" in command) != run.exchanges_predictions
    if run.task_settings["name"] != "imagenet":
        assert load_task(run.task, run.task_settings).examples > run.batch_size


def test_the_imagenet_run_is_the_cluster_configs_spread_over_workers():
    scale = config.load(ROOT / "config" / "cluster.yaml")
    runs = scale.runs(scale.section("anil2018.imagenet"))
    arm = next(run.arm for run in runs if run.arm.name == "codistilled.batch16384")
    asked = RunFile.model_validate(arm.settings["run"] | {"task": "of:config", "folder": "of/config", "device": "cpu"})
    ours = load_run(next(path for path in RUNS if path.stem == "imagenet"))
    assert ours.workers * ours.batch_size == asked.batch_size
    assert ours.batch_size // ours.accumulation == asked.batch_size // asked.accumulation
    assert ours.optimizer == asked.optimizer
    for name in ("updates", "evaluate_updates", "precision", "channels_last", "split"):
        assert getattr(ours, name) == getattr(asked, name), name
    for name in ("groups", "interval_steps", "burn_in_steps", "exchange", "pickup"):
        assert getattr(ours.protocol, name) == getattr(asked.protocol, name), name
    assert ours.task_settings["net"] == arm.settings["net"]
    section = scale.section("anil2018.imagenet").config
    assert ours.task_settings["loaders"] == section.job.loaders


def test_what_is_priced_is_what_the_cluster_config_runs():
    scale = config.load(ROOT / "config" / "cluster.yaml")
    section = scale.section("anil2018.imagenet")
    price = image_batch.Price()
    assert price.kinds == section.config.kinds
    assert section.config.batch_sizes == (price.batch_size,)
    runs = {run.arm.name.partition(".")[0]: run.arm.settings["run"] for run in scale.runs(section)}
    assert runs.keys() == set(price.kinds)
    for asked in runs.values():
        assert asked["updates"] == price.steps
        assert asked["batch_size"] == price.examples_at_once * asked["accumulation"]
    codistilled = runs["codistilled"]["protocol"]
    assert (codistilled["interval_steps"], codistilled["burn_in_steps"]) == (price.interval_steps, price.burn_in_steps)
    hours = {kind: image_batch.gpu_hours(price, kind) for kind in price.kinds}
    assert hours["twice"] == pytest.approx(2 * hours["plain"])
    assert 2 * hours["plain"] < hours["codistilled"] < 3 * hours["plain"]
    assert f"{sum(hours.values()):,.0f} GPU-hours in all" in image_batch.cost_in_words(price)


def test_the_cluster_configs_jobs_have_room_for_what_they_read_ahead():
    scale = config.load(ROOT / "config" / "cluster.yaml")
    for run in scale.runs(scale.section("anil2018.imagenet")):
        arm, asked = run.arm, run.arm.settings["run"]
        groups = asked["protocol"].get("groups", 1)
        loaders = (arm.helpers + 1) // groups - 1
        assert arm.settings["as_processes"]
        assert loaders == 8
        picture = 4 * 3 * run.arm.settings["net"]["size"] ** 2
        pieces = 2 * loaders * _tasks.PICTURES_A_PIECE  # every process has two under way
        assert groups * picture * (2 * asked["batch_size"] + pieces) < arm.memory_mb * 1e6
        pictures_a_second = groups * loaders * 155  # of codistill.pictures in results/bench.csv
        assert groups * asked["updates"] * asked["batch_size"] / pictures_a_second < 60 * arm.minutes
