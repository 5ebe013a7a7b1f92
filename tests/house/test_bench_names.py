"""Which benchmarks run by which names, what they leave of earlier rows, and what the soak runs."""

import sys
from types import ModuleType

import pytest

from repro import bench, config
from repro.bench import soak, studies
from repro.errors import UserError
from repro.files import read_csv


@pytest.fixture
def ran(monkeypatch):
    """Names of the benchmarks that ran; none measures anything."""
    names: list[str] = []
    for name in bench.MODULES:
        module = ModuleType(name)
        module.measure = lambda name=name: names.append(name) or []  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"repro.bench.{name}", module)
    return names


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (["train"], ["training"]),
        (["munge", "training"], ["munge", "training"]),
        (["training", "train"], ["training"]),
        (["s"], [name for name in bench.MODULES if name.startswith("s")]),
        ([], list(bench.MODULES)),
    ],
)
def test_those_run_whose_names_begin_so(ran, asked, chosen):
    bench.run_all(asked)
    assert ran == chosen


@pytest.mark.parametrize(("asked", "told"), [(["munge", "trainng"], "trainng"), (["training.bf16"], "training.bf16")])
def test_a_name_that_none_begins_with_is_refused_before_anything_runs(ran, one_line, asked, told):
    with pytest.raises(UserError, match=f"nothing begins with {told}; there are ci, codistill, munge") as raised:
        bench.run_all(asked)
    one_line(raised.value)
    assert not ran


def test_a_retake_leaves_what_this_machine_does_not_measure(own_place):
    path = own_place / "bench.csv"
    bench._record(
        path, [bench.Measurement("training.bf16.peak", "a", 1, "s"), bench.Measurement("training.memory", "b", 2, "GB")]
    )
    bench._record(path, [bench.Measurement("training.memory", "c", 3, "GB")])
    assert [(row["benchmark"], row["quantity"]) for row in read_csv(path)[1]] == [
        ("training.bf16.peak", "a"),
        ("training.memory", "c"),
    ]


def test_every_study_on_record_has_its_minutes_and_its_hardware(root):
    every = studies.measure()
    measured = [m for m in every if m.benchmark == "workflow.paper"]
    folders = sorted(path.parent for path in (root / "results" / "paper").glob("*/*/runs.csv"))
    assert {m.quantity for m in every if m not in measured} == set(studies.BUDGETS_H)
    assert sum(m.value for m in every if m not in measured) == pytest.approx(sum(m.value for m in measured) / 60)
    assert len({m.quantity for m in measured}) == len(folders)
    for m, folder in zip(measured, folders, strict=True):
        timing = read_csv(folder / "timing.csv")[1]
        assert 0 < m.value <= sum(row["seconds"] for row in timing) / 60 + 1e-9
        assert {row["hardware"] for row in timing} >= set(m.hardware.split("; "))


def test_the_soak_runs_all_but_what_measures_seconds(root):
    names = {section.name for section in config.load(root / "config" / "quick.yaml").sections()}
    assert names > soak.TIMED
    assert len(soak.targets()) == len(names) - len(soak.TIMED)


def test_the_soak_counts_its_kills_and_sees_a_number_that_differs(monkeypatch, tmp_path):
    """On a copy of a folder with a workflow of seconds, for which every kill comes too early."""
    made = tmp_path / "tiny"
    (made / "repro").mkdir(parents=True)
    (made / "repro" / "__main__.py").write_text(
        "import pathlib, random\npathlib.Path('results/quick/comparison.csv').write_text(str(random.random()))\n"
    )
    (made / "Snakefile").write_text(
        "rule one:\n  output: 'results/quick/a/b/runs.csv'\n  shell: 'sleep 2; echo 1 > {output}'\n"
    )
    (made / "profiles" / "default").mkdir(parents=True)
    (made / "profiles" / "default" / "config.yaml").write_text("cores: 1\nrerun-incomplete: true\n")
    monkeypatch.setattr("repro.bench.workflow.ROOT", made)
    found = {m.quantity: m for m in soak.rows(["one"], kills=2, life_s=(0.05, 0.1))}
    assert found["kills of a workflow under way"].value == 2
    assert found["kills of a workflow under way"].met == "yes"
    same = found["files byte for byte the same, comparison included"]
    assert (same.value, same.target, same.met) == (1, ">= 2", "no")


def test_every_study_of_scale_paper_has_a_budget(root):
    names = [section.name for section in config.load(root / "config" / "paper.yaml").sections()]
    assert {studies.budget_of(name) for name in names} == set(studies.BUDGETS_H)
    with pytest.raises(LookupError, match=r"nobody2020\.coins: no budget"):
        studies.budget_of("nobody2020.coins")
