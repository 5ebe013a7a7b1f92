"""Running: what is done is not done again, and the record does without the cache."""

import json
import shutil
from pathlib import Path

import pytest

from repro import config, results, runner
from tests.house.given import EVERYTHING, FILES, FOLDER, coin, drop_cache, execute_all, record, run_of, section


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
