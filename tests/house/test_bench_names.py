"""Which benchmarks run by which names."""

import sys
from types import ModuleType

import pytest

from repro import bench
from repro.errors import UserError


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
    with pytest.raises(UserError, match=f"nothing begins with {told}; there are codistill, munge") as raised:
        bench.run_all(asked)
    one_line(raised.value)
    assert not ran
