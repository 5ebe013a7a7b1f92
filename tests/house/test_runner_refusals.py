"""What failed is one line and leaves nothing."""

from pathlib import Path

import pytest

from repro import config, results, runner
from repro.errors import UserError
from tests.house.given import FOLDER, coin, execute_all, record, run_of, section


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


def test_a_device_that_is_not_there_is_one_line(toy_scale, monkeypatch, one_line):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    scale = toy_scale()
    wanted = config.Scale(scale.name, "cuda", scale.path, scale.papers)
    with pytest.raises(UserError) as raised:
        runner.execute(wanted, run_of(scale, "mint", 0))
    assert "cuda was asked for and there is none here" in one_line(raised.value)
