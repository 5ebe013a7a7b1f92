"""Which files a number depends on, read from import statements."""

import ast
import re
from pathlib import Path

import pytest

from repro import machine


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a few files in place of this one."""
    files = {
        "repro/__init__.py": "",
        "repro/errors.py": "import json",
        "repro/papers/__init__.py": "",
        "repro/papers/toy/__init__.py": "from repro.errors import UserError",
        "repro/papers/toy/coin.py": "import repro.data\ndef run():\n    from repro.papers.toy import _nets as nets\n",
        "repro/papers/toy/_nets.py": "from repro.papers.toy import coin\nimport simulation.cluster, numpy\n",
        "repro/papers/toy/other.py": "import repro.unused",
        "repro/data/__init__.py": "x = 1",
        "repro/data/sets.py": "",
        "repro/unused.py": "",
        "simulation/__init__.py": "",
        "simulation/description.py": "",
        "simulation/shelf/clusters/one.yaml": "nodes: 1",
        "simulation/shelf/notes.md": "",
        "simulation/published/scaling.csv": "id",
        "simulation/cluster.py": "try:\n    import repro.missing\nexcept ImportError:\n    pass\n",
    }
    for name, content in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(machine, "ROOT", tmp_path / "tree")
    forget()
    yield tmp_path / "tree"
    forget()


def forget() -> None:
    """As a new process would begin."""
    for cached in (machine.sources_of, machine.sources_digest, machine._imports):
        cached.cache_clear()


COIN = [
    "repro/__init__.py", "repro/data/__init__.py", "repro/errors.py", "repro/papers/__init__.py",
    "repro/papers/toy/__init__.py", "repro/papers/toy/_nets.py", "repro/papers/toy/coin.py",
    "simulation/__init__.py", "simulation/cluster.py",
]  # fmt: skip


def test_sources_are_found_wherever_they_are_imported(tree):
    found = machine.sources_of("repro.papers.toy.coin")
    assert [str(path.relative_to(tree)) for path in found] == COIN
    assert machine.sources_of("numpy.linalg") == ()
    assert machine.sources_of("repro.gone") == ()


def test_the_digest_changes_with_every_source_and_with_nothing_else(tree):
    def digest() -> str:
        forget()
        return machine.sources_digest("repro.papers.toy.coin")

    before = digest()
    assert len(before) == 12
    for name in ("repro/unused.py", "repro/papers/toy/other.py", "repro/data/sets.py"):
        (tree / name).write_text("changed = True")
        assert digest() == before, name
    for name in COIN:
        (tree / name).write_text((tree / name).read_text() + "\n# changed\n")
        after = digest()
        assert after != before, name
        before = after


def test_the_shelf_is_among_the_sources_of_who_reads_it(tree):
    def digest() -> str:
        forget()
        return machine.sources_digest("repro.papers.toy.coin")

    one = tree / "simulation/shelf/clusters/one.yaml"
    before = digest()
    one.write_text("nodes: 2")
    assert digest() == before, "nothing imports what reads it"
    (tree / "simulation/cluster.py").write_text("from simulation.description import load_cluster")
    before = digest()
    assert one in machine.sources_of("repro.papers.toy.coin")
    for name in ("simulation/shelf/notes.md", "simulation/published/scaling.csv"):
        (tree / name).write_text("changed")
        assert digest() == before, name
    one.write_text("nodes: 3")
    assert digest() != before


@pytest.mark.parametrize(
    ("experiment", "read", "not_read"),
    [
        ("scaling.protocols", "shelf/clusters/p100-ethernet.yaml", None),
        ("anil2018.language_model", "shelf/workloads/anil-lstm.yaml", None),
        ("scaling.validation", "published/scaling.csv", None),
        ("hinton2015.mnist_students", None, "simulation/"),
    ],
)
def test_experiments_here_depend_on_the_data_they_read(root, experiment, read, not_read):
    found = [str(path.relative_to(root)) for path in machine.sources_of(f"repro.papers.{experiment}")]
    if read:
        assert f"simulation/{read}" in found
    if not_read:
        assert not [name for name in found if name.startswith(not_read) and not name.endswith(".py")]


def test_imports_are_those_of_the_syntax_tree(root):
    for path in sorted(path for room in machine.PACKAGES for path in (root / room).rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
        ours = {name for name in names if name.partition(".")[0] in machine.PACKAGES}
        found = set(machine._imports(path))
        assert ours <= found, path
        assert ours == found or "bench" in path.parts, path  # a yardstick is a program in a string


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from repro.data import (  # why\n    sets as s,\n    cifar,\n)", {"", ".sets", ".cifar"}),
        ("def f():\n\tfrom repro.data import sets, cifar  # twice", {"", ".sets", ".cifar"}),
        ("import repro.data.sets as s, repro.data, numpy", {"", ".sets"}),
        ("x = 'no'\nfrom . import here\nfromage = 1", set()),
    ],
)
def test_imports_in_every_form(tmp_path, text, names):
    path = tmp_path / "module.py"
    path.write_text(text)
    assert set(machine._imports(path)) == {f"repro.data{name}" for name in names}


def test_an_experiment_here_depends_on_what_it_imports_lazily(root):
    found = {str(path.relative_to(root)) for path in machine.sources_of("repro.papers.hinton2015.mnist_students")}
    assert {
        "repro/papers/hinton2015/_nets.py", "repro/training/loop.py", "repro/data/sets.py",
        "repro/published/__init__.py", "repro/papers/__init__.py",
    } <= found  # fmt: skip
    assert not any("mnist_tuning" in name or name.endswith("cli.py") for name in found)


def test_what_a_number_was_made_on():
    assert machine.hardware("cpu").endswith(" cores")
    assert {"python", "platform", "torch", "numpy"} <= machine.versions().keys()


def test_outside_of_git_there_is_no_commit(tree, tmp_path):
    machine.commit.cache_clear()
    assert machine.commit() == ""
    machine.commit.cache_clear()


def test_no_merge_was_left_half_done(root):
    rooms = ("repro", "simulation", "tests", "config", "workflow", "profiles")
    files = [
        path for room in rooms for path in (root / room).rglob("*") if path.suffix in (".py", ".md", ".yaml", ".smk")
    ]
    files += [*root.glob("*.md"), root / "Snakefile", root / "Makefile"]
    marked = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
    assert [str(path) for path in files if marked.search(path.read_text(encoding="utf-8"))] == []
