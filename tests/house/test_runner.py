"""Running: what is done is not done again, what was stopped goes on, what failed leaves nothing."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from repro import config, experiment, results, runner
from repro.config import Scale
from repro.errors import UserError

FOLDER = Path("results/quick/toy/coin")
FILES = {"runs.csv", "curves.csv", "timing.csv", "meta.json", "shares.csv"}
EVERYTHING = [f"toss {s}" for s in range(3)] + [f"toss.fair {s}" for s in range(3)] + ["mint 0", "mint 1"]


def coin() -> ModuleType:
    return experiment.module_of("toy", "coin")


def section(scale: Scale) -> config.Section:
    return scale.section("toy.coin")


def execute_all(scale: Scale, **options: bool) -> list[str]:
    """Executes every run; returns what was done for it, in order."""
    coin().DONE.clear()
    for run in scale.runs(section(scale)):
        runner.execute(scale, run, **options)
    return list(coin().DONE)


def record() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def run_of(scale: Scale, arm: str, seed: int) -> experiment.Run:
    (run,) = [r for r in scale.runs(section(scale)) if (r.arm.name, r.seed) == (arm, seed)]
    return run


def drop_cache() -> None:
    shutil.rmtree(runner.cache_folder())


def test_a_study_is_run_recorded_and_not_run_again(toy_scale):
    scale = toy_scale()
    assert len(runner.missing(scale, section(scale))) == len(EVERYTHING)
    assert sorted(execute_all(scale)) == sorted(EVERYTHING)
    assert set(record()) == FILES
    found = results.load(FOLDER)
    assert found is not None
    assert [(row["arm"], row["seed"]) for row in found.rows] == [tuple(_split(run)) for run in sorted(EVERYTHING)]
    assert {row["digest"] for row in found.rows} == {run.digest for run in scale.runs(section(scale))}
    assert found.meta["command"] == f"python -m repro run toy.coin --config {scale.path}"
    assert set(found.meta["data_sha256"]) == {"sklearn.datasets.load_digits"}
    assert all(row["threads"] >= 1 and row["finished"].endswith("+00:00") for row in found.timing)
    assert runner.missing(scale, section(scale)) == []
    before = record()
    assert execute_all(scale) == []
    assert record() == before


def _split(run: str) -> tuple[str, int]:
    arm, seed = run.split()
    return arm, int(seed)


def test_again_does_the_run_anew_and_not_what_it_needs(toy_scale):
    scale = toy_scale()
    execute_all(scale)
    before = record()
    coin().DONE.clear()
    runner.execute(scale, run_of(scale, "toss", 1), again=True)
    assert coin().DONE == ["toss 1"]
    after = record()
    assert {name for name in FILES if name != "timing.csv" and after[name] != before[name]} == set()


def test_the_record_does_without_the_cache(toy_scale):
    scale = toy_scale()
    execute_all(scale)
    before = record()
    drop_cache()
    assert runner.missing(scale, section(scale)) == []
    assert execute_all(scale) == []
    assert record() == before
    runner.collect(scale, section(scale))
    assert record() == before


def test_what_is_needed_is_made_again_when_it_is_gone_and_its_row_stays(toy_scale):
    scale = toy_scale()
    execute_all(scale)
    before = record()
    drop_cache()
    coin().DONE.clear()
    runner.execute(scale, run_of(scale, "toss", 2), again=True)
    assert coin().DONE == ["mint 0", "toss 2"]
    after = record()
    assert after["runs.csv"] == before["runs.csv"]
    mint = [line for line in before["timing.csv"].decode().splitlines() if ",mint," in line]
    assert mint == [line for line in after["timing.csv"].decode().splitlines() if ",mint," in line]


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


def test_what_others_need_can_be_restored_and_its_row_stays(toy_scale):
    scale = toy_scale()
    execute_all(scale)
    before = record()
    drop_cache()
    run = run_of(scale, "mint", 0)
    coin().DONE.clear()
    assert not runner.execute(scale, run, restore=True)
    assert not runner.execute(scale, run, restore=True)
    assert coin().DONE == ["mint 0"]
    assert (runner.work_folder(run) / "bias.txt").exists()
    assert record() == before


def test_other_settings_are_other_runs(toy_scale):
    execute_all(toy_scale())
    longer = toy_scale("tosses: 20")
    assert len(runner.missing(longer, section(longer))) == len(EVERYTHING)
    runner.execute(longer, run_of(longer, "toss.fair", 0))
    assert len(runner.missing(longer, section(longer))) == len(EVERYTHING) - 1
    found = results.load(FOLDER)
    assert found is not None
    assert len(found.rows) == len(EVERYTHING), "the row took the place of the older one"
    more = toy_scale("seeds: 4")
    assert [run.name for run in runner.missing(more, section(more))] == [
        "toy.coin toss seed 3",
        "toy.coin toss.fair seed 0",
        "toy.coin toss.fair seed 3",
    ]


def test_rows_of_an_arm_that_is_dropped_do_not_age(toy_scale, monkeypatch):
    scale = toy_scale()
    execute_all(scale)
    monkeypatch.setattr(runner.machine, "sources_digest", lambda _: "later")
    found = results.load(FOLDER)
    assert runner.aged(found, scale.runs(section(scale))) == len(EVERYTHING)
    kept = [run for run in scale.runs(section(scale)) if run.arm.name != "toss.fair"]
    for run in kept:
        runner.execute(scale, run, again=True)
    assert runner.aged(results.load(FOLDER), kept) == 0


def test_collect_records_what_finished_elsewhere(toy_scale):
    scale = toy_scale()
    execute_all(scale)
    before = record()
    shutil.rmtree("results")
    coin().DONE.clear()
    runner.result_file(run_of(scale, "mint", 1)).write_text('{"metrics": ')
    runner.collect(scale, section(scale))
    assert coin().DONE == []
    assert [run.name for run in runner.missing(scale, section(scale))] == ["toy.coin mint seed 1"]
    assert execute_all(scale) == ["mint 1"], "a damaged result is made anew"
    assert record()["runs.csv"] == before["runs.csv"]
    assert record()["curves.csv"] == before["curves.csv"]


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


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("metric", "heads is nan"),
        ("curve", "test heads after epoch 1 is nan"),
        ("table", "share in row 1 of table shares is nan"),
    ],
)
def test_what_is_no_number_is_refused_by_name_and_not_recorded(toy_scale, one_line, trouble, told):
    scale = toy_scale(f"trouble: {trouble}")
    run = run_of(scale, "toss", 1)
    with pytest.raises(UserError) as raised:
        runner.execute(scale, run)
    assert one_line(raised.value).startswith("toy.coin toss seed 1: ")
    assert told in str(raised.value)
    assert not FOLDER.exists()
    assert not runner.result_file(run).exists()
    runner.collect(scale, section(scale))
    assert {row["arm"] for row in results.load(FOLDER).rows} == {"mint"}, "what it needed is finished and on record"


def test_a_run_that_raises_leaves_the_record_and_the_cache_as_they_were(toy_scale):
    execute_all(toy_scale())
    before = record()
    scale = toy_scale("trouble: raise")
    with pytest.raises(RuntimeError, match="the coin rolled away"):
        runner.execute(scale, run_of(scale, "toss", 1))
    assert record() == before
    assert not runner.result_file(run_of(scale, "toss", 1)).exists()
    assert not list(runner.cache_folder().rglob("*.part"))


def test_what_a_run_refuses_says_which_run(toy_scale, monkeypatch, one_line):
    def refuses(*_):
        raise UserError("9 clusters of 5 classes")

    monkeypatch.setattr(coin(), "run", refuses)
    scale = toy_scale()
    with pytest.raises(UserError) as raised:
        runner.execute(scale, run_of(scale, "toss.fair", 0))
    assert str(raised.value) == "toy.coin toss.fair seed 0: 9 clusters of 5 classes"
    one_line(raised.value)


def test_a_full_disk_is_one_line_and_the_run_is_not_lost(toy_scale, monkeypatch, one_line):
    scale = toy_scale()
    run = run_of(scale, "toss.fair", 0)
    with monkeypatch.context() as patched:
        patched.setattr(results, "write_text", _full)
        with pytest.raises(UserError) as raised:
            runner.execute(scale, run)
    assert "No space left" in one_line(raised.value)
    coin().DONE.clear()
    runner.execute(scale, run)
    assert coin().DONE == [], "the result came from the cache"
    found = results.load(FOLDER)
    assert found is not None
    assert len(found.rows) == 1


def _full(path: Path, _: str) -> None:
    raise UserError(f"{path}: cannot be written (No space left on device); nothing was changed")


def test_the_same_row_now_and_from_the_cache(toy_scale):
    scale = toy_scale()
    run = run_of(scale, "toss.fair", 0)
    runner.execute(scale, run)
    before = record()
    content = json.loads(runner.result_file(run).read_text())
    assert content["metrics"]["share"] == results.load(FOLDER).rows[0]["share"]
    shutil.rmtree("results")
    runner.collect(scale, section(scale))
    assert record() == before


def test_runs_have_folders_of_their_own(toy_scale):
    scale = toy_scale()
    folders = {runner.work_folder(run) for s in (scale, toy_scale("tosses: 9")) for run in s.runs(section(s))}
    assert len(folders) == 2 * len(EVERYTHING)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"REPRO_CACHE": "here"}, Path("here")),
        ({"REPRO_CACHE": "", "XDG_CACHE_HOME": "/cache"}, Path("/cache/learning-from-models")),
        (
            {"REPRO_CACHE": "", "XDG_CACHE_HOME": "somewhere", "HOME": "/home/x"},
            Path("/home/x/.cache/learning-from-models"),
        ),
        ({"REPRO_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/home/x"}, Path("/home/x/.cache/learning-from-models")),
    ],
)
def test_where_the_cache_is(monkeypatch, environment: dict[str, str], expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert runner.cache_folder() == expected


def test_a_device_that_is_not_there_is_one_line(toy_scale, monkeypatch, one_line):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    scale = toy_scale()
    wanted = config.Scale(scale.name, "cuda", scale.path, scale.papers)
    with pytest.raises(UserError) as raised:
        runner.execute(wanted, run_of(scale, "mint", 0))
    assert "cuda was asked for and there is none here" in one_line(raised.value)


@pytest.fixture
def two_sets(toy, monkeypatch):
    """The toy as an experiment whose arms name their data: the mint has the digits, `other` a set of its own."""
    from repro.data import sets
    from repro.experiment import BY_ARM, Arm

    module = coin()
    monkeypatch.setattr(module, "DATA", dict.fromkeys(config.SCALES, BY_ARM))
    settings = {"tosses": 3}
    monkeypatch.setattr(module, "arms", lambda _: [Arm("mint", settings, 1, data="digits"),
                                                   Arm("toss.fair", settings, 1, data="other")])  # fmt: skip
    monkeypatch.setitem(sets.LOADERS, "other", sets.LOADERS["digits"])


def test_arms_may_name_their_own_data(two_sets, toy_scale):
    scale = toy_scale()
    assert section(scale).data == "digits, other"
    assert not section(scale).swapped
    execute_all(scale)
    found = results.load(FOLDER)
    assert found is not None
    assert found.data == "digits, other"
    assert {name.partition("/")[0] for name in found.meta["data_sha256"]} == {"digits", "other"}
    assert [run.data for run in scale.runs(section(scale))] == ["digits", "other"]


def test_a_swap_leaves_an_experiment_alone_whose_arms_name_their_data(two_sets, toy_scale):
    path = toy_scale().path
    digests = {run.digest for run in toy_scale().runs(section(toy_scale()))}
    path.write_text("scale: quick\ndevice: cpu\ntoy:\n  data: elsewhere\n  coin: {}\n", encoding="utf-8")
    swapped = config.load(path)
    assert section(swapped).folder("quick") == Path("quick/toy/coin")
    assert {run.digest for run in swapped.runs(section(swapped))} == digests
