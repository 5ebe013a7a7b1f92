"""The record: what is put in comes out, in whatever order it arrived and whoever else was writing."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import results
from repro.errors import UserError
from repro.files import read_csv
from repro.results import Record, add, load, recorded

META = {
    "paper": "toy", "experiment": "coin", "scale": "quick", "data": "digits", "config": {"tosses": 3},
    "command": "python -m repro run toy.coin",
}  # fmt: skip


def record(arm: str = "a", seed: int = 0, hardware_class: str = "cpu", **changes: Any) -> Record:
    plain = Record(
        "coin", arm, hardware_class, seed, f"{seed:015d}e",
        {"rate": 0.1, "net": {"hidden": [8, 8], "bound": None}}, {"errors": 7 + seed},
        [[1, 10, "train", "loss", 0.5], [2, 20, "train", "loss", 0.25]], {},
        {"seconds": 1.5, "hardware": "a machine", "threads": 1, "commit": "00e1", "sources": "12e5", "finished": "now"},
        {"python": "3.11"},
    )  # fmt: skip
    return replace(plain, **changes)


def put(folder: Path, *records: Record) -> None:
    for one in records:
        add(folder, one, META, folder.parent / "lock")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


@pytest.fixture
def folder(own_place) -> Path:
    return own_place / "results"


def test_a_record_comes_back_as_it_was(folder):
    put(folder, record(metrics={"errors": 7, "loss": 0.1 + 0.2, "precision": "bf16"}, tables={"t": [{"x": 1e-300}]}))
    found = load(folder)
    assert found is not None
    assert found.rows == [
        {
            "experiment": "coin", "arm": "a", "hardware_class": "cpu", "seed": 0, "digest": "000000000000000e",
            "settings.net.bound": None, "settings.net.hidden": "8 8", "settings.rate": 0.1,
            "errors": 7, "loss": 0.1 + 0.2, "precision": "bf16",
        }
    ]  # fmt: skip
    assert [(p["epoch"], p["step"], p["split"], p["metric"], p["value"]) for p in found.curves] == [
        (1, 10, "train", "loss", 0.5),
        (2, 20, "train", "loss", 0.25),
    ]
    assert found.table("t") == [{"arm": "a", "hardware_class": "cpu", "seed": 0, "x": 1e-300}]
    assert found.table("absent") == []
    (timing,) = found.timing
    assert (timing["commit"], timing["sources"], timing["seconds"]) == ("00e1", "12e5", 1.5)
    assert (found.scale, found.data, found.config) == ("quick", "digits", {"tosses": 3})
    assert json.loads((folder / "meta.json").read_text())["format"] == results.FORMAT


def test_nothing_recorded_is_nothing(folder):
    assert load(folder) is None
    assert recorded(folder) == {}


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63))
def test_numbers_come_back_to_the_last_bit(number, count):
    with tempfile.TemporaryDirectory() as name, mock.patch("os.fsync"):
        put(Path(name, "r"), record(metrics={"x": number, "n": count}, curves=[[1, 1, "test", "x", number]]))
        found = load(Path(name, "r"))
    assert found is not None
    (row,) = found.rows
    assert (type(row["n"]), row["n"]) == (int, count)
    assert repr(row["x"]) == repr(number)


# Metrics appear in some arms only and in orders of their own; t2 and t2.0 read as one number.
MANY = [
    record("t10", 1, metrics={"p": 1, "q": 2}),
    record("t10", 0, metrics={"r": 1, "q": 2}, tables={"t": [{"z": 1}, {"y": 2, "z": 3}]}),
    record("t2", 0, metrics={"q": 0.5, "r": 1}, tables={"t": [{"y": 1, "x": None}]}),
    record("t2.0", 0, metrics={"q": 0.25, "s": "12e3"}),
    record("t2.5", 3, metrics={"s": "", "p": 2}, settings={"option": 2}),
    record("t2.5", 3, "cuda", metrics={"s": "x"}, curves=[]),
]


@settings(deadline=None, max_examples=25)
@given(st.permutations(MANY), st.lists(st.sampled_from(MANY), max_size=3))
def test_the_order_of_arrival_does_not_show(order, again):
    def bytes_of(records: list[Record]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as name, mock.patch("os.fsync"):
            put(Path(name, "r"), *records)
            return contents(Path(name, "r"))

    expected = bytes_of(MANY)
    assert set(expected) == {"runs.csv", "curves.csv", "timing.csv", "meta.json", "t.csv"}
    assert bytes_of([*order, *again]) == expected


def test_rows_and_columns_stand_in_a_readable_order(folder):
    put(folder, *MANY)
    header, rows = read_csv(folder / "runs.csv", results.WORDS)
    assert header == [
        *results.RUNS_HEAD, "settings.net.bound", "settings.net.hidden", "settings.option", "settings.rate",
        "q", "r", "s", "p",
    ]  # fmt: skip
    assert [(r["arm"], r["hardware_class"], r["seed"]) for r in rows] == [
        ("t2", "cpu", 0), ("t2.0", "cpu", 0), ("t2.5", "cpu", 3), ("t2.5", "cuda", 3), ("t10", "cpu", 0),
        ("t10", "cpu", 1),
    ]  # fmt: skip


def test_a_record_replaces_the_older_one_of_its_key_alone(folder):
    put(folder, record(seed=0), record(seed=1), record(seed=0, hardware_class="cuda"))
    put(folder, record(seed=0, digest="new", metrics={"errors": 3}, curves=[[9, 90, "train", "loss", 0.0]]))
    assert recorded(folder) == {("a", 0): {"new", "000000000000000e"}, ("a", 1): {"000000000000001e"}}
    found = load(folder)
    assert found is not None
    assert [point["epoch"] for point in found.curves] == [9, 1, 2]
    _, timing = read_csv(folder / "timing.csv", results.WORDS)
    assert sorted((t["hardware_class"], t["seed"], t["digest"]) for t in timing) == [
        ("cpu", 0, "new"), ("cpu", 1, "000000000000001e"), ("cuda", 0, "000000000000000e"),
    ]  # fmt: skip


def test_hardware_classes_do_not_mix_and_the_one_with_more_rows_speaks(folder):
    table = {"tables": {"t": [{"x": 1}]}}
    put(folder, *(record(seed=s, metrics={"x": s}, **table) for s in (0, 1)))
    put(folder, *(record(seed=s, hardware_class="cuda", metrics={"x": 10 + s}, **table) for s in (0, 2)))
    put(folder, record("b", 0, "cuda", metrics={"x": 5}))
    put(folder, *(record("fixed", s, metrics={"x": 20}) for s in (0, 1)))
    put(folder, *(record("c", s, "cuda") for s in (0, 1)))
    found = load(folder)
    assert found is not None
    assert found.values("a", "x") == {0: 10, 2: 12}, "no row of a CPU among those of the GPU"
    assert found.paired("a", "b", "x") == [5]
    assert found.values("fixed", "x") == {0: 20, 1: 20}, "an arm with a device of its own"
    assert found.passed_over == 2
    assert {(p["arm"], p["seed"]) for p in found.curves if p["hardware_class"] == "cpu"} == {("fixed", 0), ("fixed", 1)}
    assert [(r["hardware_class"], r["seed"]) for r in found.table("t")] == [("cuda", 0), ("cuda", 2)]
    assert len(found.timing) == len(found.rows) == 7


def test_a_mean_over_two_precisions_says_so(folder):
    put(folder, record(seed=0, metrics={"errors": 7, "precision": "bf16"}))
    found = load(folder)
    assert found is not None
    assert found.hardware == "a machine, in bf16"
    put(folder, record(seed=1, metrics={"errors": 8, "precision": "float32"}), record("b", metrics={"errors": 9}))
    found = load(folder)
    assert found is not None
    assert found.hardware == "a machine, in bf16 and float32"
    assert found.scope.endswith("on a machine, in bf16 and float32.")


def test_what_is_left_of_a_row_that_was_taken_out_does_not_count(folder):
    put(folder, record("gone"), record("kept"))
    runs = folder / "runs.csv"
    runs.write_text("".join(line for line in runs.read_text().splitlines(keepends=True) if ",gone," not in line))
    found = load(folder)
    assert found is not None
    assert {row["arm"] for row in [*found.timing, *found.curves]} == {"kept"}


def test_what_figures_and_claims_ask(folder):
    put(folder, *(record("a", s, metrics={"x": 3 * s}) for s in (0, 1, 2)))
    put(folder, *(record("b", s, metrics={"x": s}, settings={"rate": 0.5}) for s in (2, 1, 5)))
    found = load(folder)
    assert found is not None
    assert found.paired("a", "b", "x") == [2, 4]
    assert found.paired("a", "absent", "x") == []
    assert [row["seed"] for row in found.where(rate=0.5)] == [1, 2, 5]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"metrics": {"seed": 1}}, "seed"),
        ({"metrics": {"digest": 1}}, "digest"),
        ({"tables": {"runs": []}}, "runs"),
        ({"tables": {"curves": []}}, "curves"),
    ],
)
def test_the_record_keeps_its_own_names(folder, changes, name):
    with pytest.raises(ValueError, match=f"{name} names a column or file of the record itself"):
        put(folder, record(**changes))
    assert contents(folder) == {}


def damage_meta(folder: Path, **changes: Any) -> None:
    meta = json.loads((folder / "meta.json").read_text()) | changes
    (folder / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if v is not None}))


def cut(path: Path, text: str, other: str) -> None:
    content = path.read_text()
    assert text in content
    path.write_text(content.replace(text, other, 1))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: damage_meta(f, format=2), "results of format 2, this program reads and writes format 1"),
        (lambda f: damage_meta(f, format=None), "is damaged ('format')"),
        (lambda f: damage_meta(f, paper=None), "lacks paper"),
        (lambda f: (f / "meta.json").unlink(), "cannot be read (No such file or directory)"),
        (lambda f: (f / "meta.json").write_text("{"), "is damaged"),
        (lambda f: (f / "meta.json").write_text("[]"), "is damaged"),
        (lambda f: (f / "runs.csv").write_text(""), "is empty"),
        (lambda f: cut(f / "runs.csv", "hardware_class", "hardware"), "columns are not those of format 1"),
        (lambda f: cut(f / "runs.csv", "a,cpu,1", "a,cpu,one"), "line 3: arm, hardware_class, digest or seed"),
        (lambda f: cut(f / "runs.csv", "000000000000001e", ""), "line 3: arm"),
        (lambda f: (f / "runs.csv").write_bytes((f / "runs.csv").read_bytes()[:-1]), "last line is cut off"),
    ],
)
def test_other_formats_and_damage_are_one_line_and_left_as_they_are(folder, one_line, damage, told):
    put(folder, record(seed=0), record(seed=1))
    damage(folder)
    before = contents(folder)
    for use in (lambda: load(folder), lambda: put(folder, record(seed=2))):
        with pytest.raises(UserError) as raised:
            use()
        assert one_line(raised.value).startswith(f"{folder}")
        assert told in str(raised.value)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["curves", "timing", "t"])
def test_damage_in_a_table_is_one_line_and_nothing_is_overwritten(folder, one_line, name):
    put(folder, record(tables={"t": [{"x": 1}]}))
    cut(folder / f"{name}.csv", "arm", "arms")
    before = contents(folder)
    found = load(folder)
    assert found is not None
    for use in (lambda: found.table(name), lambda: put(folder, record(seed=2, tables={"t": [{"x": 1}]}))):
        with pytest.raises(UserError) as raised:
            use()
        assert f"{name}.csv: its columns are not those of format 1" in one_line(raised.value)
    assert contents(folder) == before


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_a_full_disk_leaves_whole_files_and_no_row_without_its_curves(folder, monkeypatch, one_line, fails_at):
    put(folder, record(seed=0, tables={"t": [{"x": 1}]}))
    before = contents(folder)
    calls = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    new = record(seed=1, tables={"t": [{"x": 2}]})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError) as raised:
            put(folder, new)
    assert "No space left on device" in one_line(raised.value)
    after = contents(folder)
    assert set(after) == set(before)
    assert after["runs.csv"] == before["runs.csv"]
    found = load(folder)
    assert found is not None
    assert [row["seed"] for row in found.rows] == [0]
    put(folder, new)
    found = load(folder)
    assert found is not None
    assert len(found.curves) == 4, "what the failed writer left was replaced, not doubled"


@pytest.mark.parametrize("fails_at", range(2, 6))
def test_a_row_that_was_not_wholly_replaced_is_missing(folder, monkeypatch, fails_at):
    put(folder, record(seed=0), record(seed=1))
    calls = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    new = record(seed=1, metrics={"errors": 3}, curves=[[9, 90, "train", "loss", 0.0]])
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError):
            put(folder, new)
    assert recorded(folder) == {("a", 0): {"000000000000000e"}}
    put(folder, new)
    found = load(folder)
    assert found is not None
    assert found.values("a", "errors") == {0: 7, 1: 3}
    assert [point["epoch"] for point in found.curves if point["seed"] == 1] == [9]


def test_a_folder_that_cannot_be_made_is_one_line(own_place, one_line):
    (own_place / "results").write_text("in the way")
    with pytest.raises(UserError) as raised:
        put(own_place / "results" / "toy", record())
    assert "cannot be written" in one_line(raised.value)


WRITER = """
import sys
from pathlib import Path
from test_results import put, record
arm, count = sys.argv[1], int(sys.argv[2])
put(Path("results"), *(record(arm, seed) for seed in range(count)))
"""


def test_writers_side_by_side_lose_nothing(folder, root):
    arms, count = ["a", "b", "c"], 8
    paths = os.pathsep.join([str(root), str(Path(__file__).parent)])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, arm, str(count)], env={**os.environ, "PYTHONPATH": paths})
        for arm in arms
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    together = contents(folder)
    alone = folder.parent / "alone"
    put(alone, *(record(arm, seed) for arm in reversed(arms) for seed in range(count)))
    assert together == contents(alone)
    found = load(folder)
    assert found is not None
    assert len(found.rows) == len(arms) * count
