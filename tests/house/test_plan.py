"""Planning: arms x seeds, needs resolved, and the digests that decide what is done anew."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from repro import config, experiment, machine
from repro.errors import UserError
from repro.experiment import Arm, Need, Run, plan


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Run]]:
    """Plans `main` of a paper whose experiments are given as lists of arms."""

    def runs(main: list[Arm], data: str = "digits", **others: list[Arm]) -> list[Run]:
        listed = {"main": main, **others}
        for name, arms in listed.items():
            module = ModuleType(name)
            for part in experiment.MODULE_PARTS:
                setattr(module, part, None)
            module.arms = lambda _, arms=arms: arms  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, f"repro.papers.paper.{name}", module)
        return plan(dict.fromkeys(listed), "paper", "main", data)

    return runs


def arm(name: str = "a", seeds: int = 1, needs: tuple[Need, ...] = (), **settings: Any) -> Arm:
    return Arm(name, settings, seeds, needs)


def only(runs: list[Run], name: str = "a", seed: int = 0) -> Run:
    (run,) = [run for run in runs if run.arm.name == name and run.seed == seed]
    return run


def test_runs_come_in_the_order_of_arms_and_seeds(planned):
    runs = planned([arm("b", seeds=2), arm("a", seeds=3)])
    assert [(r.arm.name, r.seed) for r in runs] == [("b", 0), ("b", 1), ("a", 0), ("a", 1), ("a", 2)]
    assert len({r.digest for r in runs}) == 5
    assert runs[0].name == "paper.main b seed 0"


def test_run_s_uses_seed_s_mod_n_of_what_it_needs(planned):
    runs = planned([arm("student", seeds=5, needs=(Need("teacher"),)), arm("teacher", seeds=2)])
    needed = [run.needs for run in runs if run.arm.name == "student"]
    assert [(label, run.arm.name, run.seed) for ((label, run),) in needed] == [
        ("teacher", "teacher", s % 2) for s in range(5)
    ]
    assert needed[3][0][1] is only(runs, "teacher", 1)


def test_a_need_may_name_its_seed_and_another_experiment(planned):
    needs = (Need("net", experiment="other", seed=2), Need("net", experiment="other"))
    runs = planned([arm("a", seeds=2, needs=needs)], other=[arm("net", seeds=3)])
    assert [(label, run.experiment, run.seed) for label, run in only(runs, seed=1).needs] == [
        ("net.2", "other", 2),
        ("net", "other", 1),
    ]


def test_digests_depend_on_everything_that_was_asked(planned):
    teacher = arm("teacher", depth=2)
    asked = {
        "as it is": planned([arm(rate=0.1, needs=(Need("teacher"),)), teacher]),
        "setting": planned([arm(rate=0.2, needs=(Need("teacher"),)), teacher]),
        "nested setting": planned([arm(rate=0.1, net={"depth": 1}, needs=(Need("teacher"),)), teacher]),
        "data": planned([arm(rate=0.1, needs=(Need("teacher"),)), teacher], data="other"),
        "no need": planned([arm(rate=0.1), teacher]),
        "settings of the need": planned([arm(rate=0.1, needs=(Need("teacher"),)), arm("teacher", depth=3)]),
    }
    digests = {only(runs).digest for runs in asked.values()}
    assert len(digests) == len(asked)
    seeds = planned([arm(rate=0.1, seeds=4, needs=(Need("teacher"),)), teacher])
    assert only(seeds).digest == only(asked["as it is"]).digest, "the number of seeds is no part of a run"
    assert len({run.digest for run in seeds}) == 5


@pytest.mark.parametrize("off", [None, False, 0, 0.0, "", [], {}, {"deep": None}])
def test_options_that_are_off_leave_digests_as_they_are(planned, off):
    assert only(planned([arm(rate=0.1, option=off)])).digest == only(planned([arm(rate=0.1)])).digest
    nested = only(planned([arm(net={"rate": 0.1, "option": off})])).digest
    assert nested == only(planned([arm(net={"rate": 0.1})])).digest
    assert only(planned([arm(rate=0.1, option=1)])).digest != only(planned([arm(rate=0.1)])).digest


def test_the_digest_of_a_run_stays_what_it_was(planned):
    # Rows on record carry such digests: another way of making them would train everything anew.
    student = arm("student", needs=(Need("teacher"),), rate=0.1, hidden=[8, 8], training={"epochs": 3, "decay": 0.0})
    runs = planned([student, arm("teacher", seeds=2, rate=0.5)])
    assert [run.digest for run in runs] == ["964ef8ac27a10ccf", "78309b370af75ae5", "bb1765cb4216fa48"]


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        ([arm(needs=(Need("a"),))], "needs itself"),
        ([arm(needs=(Need("b"),)), arm("b", needs=(Need("c"),)), arm("c", needs=(Need("a"),))], "needs itself"),
        ([arm(needs=(Need("teacher"),)), arm("b")], "no arm teacher; there are a, b"),
        ([arm(needs=(Need("b", experiment="gone"),))], "gone is needed and not in the config"),
        ([arm(needs=(Need("b", seed=2),)), arm("b", seeds=2)], "arm b has seeds 0 to 1, not 2"),
        ([arm(needs=(Need("b", seed=-1),)), arm("b", seeds=2)], "not -1"),
        ([arm("b"), arm("a"), arm("b")], "two arms are called b"),
        ([arm(needs=(Need("b"), Need("b"))), arm("b")], "needs two things called b"),
        ([arm(needs=(Need("b", seed=1), Need("b.1"))), arm("b", seeds=2), arm("b.1")], "two things called b.1"),
    ],
)
def test_plans_that_cannot_be_kept_are_refused_in_one_line(planned, one_line, arms, told):
    with pytest.raises(UserError) as raised:
        planned(arms)
    assert told in one_line(raised.value)
    assert "paper" in str(raised.value)


def test_circles_through_another_experiment_are_found(planned):
    with pytest.raises(UserError, match="needs itself"):
        planned([arm(needs=(Need("b", experiment="other"),))], other=[arm("b", needs=(Need("a", experiment="main"),))])


@pytest.mark.parametrize("seeds", [0, -1])
def test_an_arm_has_a_seed(seeds):
    with pytest.raises(UserError, match=f"arm a: seeds must be at least 1, not {seeds}"):
        arm(seeds=seeds)


@pytest.mark.parametrize("name", ["", ".", "../a", "a/b", "a b", "a\nb", ".hidden"])
def test_the_name_of_an_arm_can_name_a_folder(name, one_line):
    with pytest.raises(UserError) as raised:
        arm(name)
    assert "letters, digits" in one_line(raised.value)


def test_modules_that_are_not_there_or_lack_a_part_are_refused(monkeypatch, one_line):
    with pytest.raises(UserError, match=r"hinton2015\.gone: no such experiment") as raised:
        experiment.module_of("hinton2015", "gone")
    one_line(raised.value)
    with pytest.raises(UserError, match="no such experiment"):
        experiment.module_of("nobody1900", "gone")
    half = ModuleType("half")
    half.arms = half.run = half.DATA = half.Config = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "repro.papers.paper.half", half)
    with pytest.raises(UserError, match="lacks PRINTED_DATA, figure, claims"):
        experiment.module_of("paper", "half")


def test_a_package_that_an_experiment_misses_is_not_taken_for_the_experiment(monkeypatch):
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'rep'", name="rep")

    monkeypatch.setattr(experiment.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="rep"):
        experiment.module_of("hinton2015", "mnist_students")


def shipped_configs() -> list[str]:
    return sorted(path.name for path in (Path(__file__).parents[2] / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_config_plans(root, name):
    scale = config.load(root / "config" / name)
    assert scale.name == name.removesuffix(".yaml")
    runs = [run for section in scale.sections() for run in scale.runs(section)]
    assert runs
    assert len({run.digest for run in runs}) == len(runs)
    for run in runs:
        for _, needed in run.needs:
            assert needed.data == run.data


@pytest.mark.parametrize("name", shipped_configs())
def test_experiments_that_never_ask_for_the_device_say_that_they_run_on_the_processor(root, name):
    # Else a machine with a GPU would reserve it for them and record their rows as made by it.
    scale = config.load(root / "config" / name)
    for section in scale.sections():
        module = experiment.module_of(section.paper, section.experiment)
        if not any("context.device" in path.read_text() for path in machine.sources_of(module.__name__)):
            for run in scale.runs(section):
                assert run.arm.device == "cpu", run.name


WITHOUT_TORCH = """
import importlib, sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not to be imported here")

sys.meta_path.insert(0, Absent())
from repro import cli, config
from repro.experiment import MODULE_PARTS
root = Path(sys.argv[1])
count = 0
for path in sorted((root / "repro" / "papers").glob("*/[!_]*.py")):
    module = importlib.import_module(f"repro.papers.{path.parent.name}.{path.stem}")
    assert all(hasattr(module, part) for part in MODULE_PARTS), path
    count += 1
for path in sorted((root / "config").glob("*.yaml")):
    assert cli.main(["list", "--config", str(path)]) == 0
    scale = config.load(path)
    for section in scale.sections():
        assert scale.runs(section)
import repro.comparison, repro.drawing
assert "torch" not in sys.modules
print("modules", count)
"""


def test_planning_drawing_and_comparing_need_no_torch(root):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(root)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root), "PATH": "", "REPRO_CACHE": "cache"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rpartition("modules ")[2]) > 0
