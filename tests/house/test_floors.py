"""The house's floors: a room imports from rooms below it, and only papers and data know a data set by name."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for room in ("repro", "simulation") for path in (ROOT / room).rglob("*.py"))

# From the ground up. A room may use its own floor and those below; where two rooms of one floor may not use each
# other they have floors of their own.
FLOORS = (
    {"repro", "repro.errors", "repro.settings", "simulation"},
    {"repro.files", "repro.logged", "repro.machine"},
    {"repro.published", "repro.plots", "repro.experiment"},
    {"repro.comparison_rows", "repro.results", "repro.config"},
    {"repro.compare", "repro.contrasts"},
    {"repro.runner"},
    {"repro.data", "repro.models", "repro.training", "repro.retrieval"},
    {"repro.distill"},
    {"repro.codistill", "repro.perturb"},
    {"repro.papers"},
    {"repro.drawing", "repro.comparison", "repro.listing"},
    {"repro.report", "repro.readme", "repro.bench"},
    {"repro.cli", "repro.__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# The runner stands under the papers, which name their checkpoints as it does, and asks the rooms below them for
# the device and for the data's sums.
DOWN_FROM_THE_RUNNER = {"repro.training", "repro.data"}
# What every method room stands on; nothing of how runs are planned, recorded or drawn.
METHODS = {
    "repro.data", "repro.models", "repro.training", "repro.retrieval", "repro.distill", "repro.codistill",
    "repro.perturb",
}  # fmt: skip
UNDER_METHODS = METHODS | {"repro.errors", "repro.files", "repro.settings", "simulation"}


def room_of(name: str) -> str:
    """`repro.data` of `repro.data.sets.load`, `simulation` of all that is in it."""
    parts = name.split(".")
    return parts[0] if parts[0] == "simulation" else ".".join(parts[:2])


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names_imported(path: Path) -> set[str]:
    """Full names of what a file imports, modules and what is taken from them, wherever the statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: line {node.lineno}: relative import; sources are traced by full names"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imported(path: Path) -> set[str]:
    """Rooms that a file imports from."""
    return {room_of(name) for name in names_imported(path) if name.partition(".")[0] in ("repro", "simulation")}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_room_imports_from_its_floor_or_below(path):
    room = room_of(module_of(path))
    assert room in LEVEL, f"{room} has no floor: give it one in this test"
    for other in imported(path) - {room}:
        assert other in LEVEL, f"{other} has no floor: give it one in this test"
        if room == "repro.runner" and other in DOWN_FROM_THE_RUNNER:
            continue
        assert LEVEL[other] <= LEVEL[room], f"{room} stands below {other}"
        if room in METHODS:
            assert other in UNDER_METHODS, f"{room} is a method's room and knows nothing of {other}"


def test_methods_do_not_use_each_other_but_for_distillation():
    for room, other in (("codistill", "perturb"), ("perturb", "codistill"), ("distill", "codistill")):
        for path in (ROOT / "repro" / room).rglob("*.py"):
            assert f"repro.{other}" not in imported(path), name_of(path)


def test_the_simulator_knows_nothing_of_the_house():
    for path in (ROOT / "simulation").rglob("*.py"):
        assert imported(path) <= {"simulation"}, name_of(path)


def test_one_paper_does_not_import_another():
    for path in (ROOT / "repro" / "papers").rglob("*.py"):
        paper = module_of(path).split(".")[2:3]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("repro.papers.") and paper:
                assert str(node.module).split(".")[2] in (*paper, "paper"), name_of(path)


def test_no_imports_run_in_a_circle():
    files = {module_of(path): path for path in SOURCES}
    asked = {}
    for module, path in files.items():
        names = names_imported(path)
        asked[module] = {name if name in files else name.rpartition(".")[0] for name in names} & files.keys() - {module}
    try:
        TopologicalSorter(asked).prepare()
    except CycleError as error:
        pytest.fail(f"each imports the one before it: {', '.join(error.args[1])}")


def test_only_papers_and_data_know_a_data_set_by_name():
    knowing = [
        name_of(path)
        for path in SOURCES
        if not name_of(path).startswith(("repro/papers/", "repro/data/"))
        and re.search(r"f?mnist|cifar", _code(path), re.IGNORECASE)
    ]
    assert knowing == []


def _code(path: Path) -> str:
    """The file without its docstrings: an example in words ties nothing to a data set."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
