"""Clusters, workloads and anything else described by dataclasses, read from YAML and written to it.

Each mistake is one line that names the file and the key. ``load`` takes a path, or the name of something on
the shelf (``simulation/shelf``: ready clusters and workloads from public specifications).
"""

import difflib
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from simulation.cluster import Cluster, Empirical, Straggler
from simulation.errors import UserError
from simulation.workload import Workload

SHELF = Path(__file__).parent / "shelf"
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
BRANCHES = {branch.__name__ for branch in get_args(Straggler)}
T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, which YAML would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key is a list or a mapping: keys are single words"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: no such file, not YAML, a key given twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of some systems begin a file with a mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}): check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not text: give a YAML file in UTF-8") from None
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys to values")
    return content


def _branches(kind: Any) -> list[Any]:
    """What a type may be, None left out: the members of a union, else itself."""
    if get_origin(kind) in (Union, UnionType):
        return [branch for member in get_args(kind) for branch in _branches(member)]
    return [] if kind is type(None) else [kind]


def _names(kind: Any) -> list[str]:
    """Fields of a dataclass, or of a model of pydantic's; none of anything else."""
    return [field.name for field in fields(kind)] if is_dataclass(kind) else list(getattr(kind, "model_fields", ()))


def _keys_beside(kind: Any, loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the description takes in which the last of ``loc`` was found, in its order."""
    kinds = _branches(kind)
    for part in loc[:-1]:
        if any(getattr(k, "__name__", "") == part for k in kinds):  # which member of a union was meant
            kinds = [k for k in kinds if k.__name__ == part]
        elif isinstance(part, int):
            kinds = [b for k in kinds if get_args(k) for b in _branches(get_args(k)[0])]
        else:
            kinds = [b for k in kinds if part in _names(k) for b in _branches(get_type_hints(k)[part])]
    return [name for k in kinds for name in _names(k)]


def _one_line(error: ValidationError, kind: Any) -> str:
    """The first mistake as ``key: what, remedy``."""
    problems = error.errors(include_url=False)
    # A union reports every branch: only the branch whose `kind` was meant says something.
    other_kinds = {p["loc"][:-1] for p in problems if p["type"] == "literal_error" and p["loc"][-1] == "kind"}
    meant = [p for p in problems if p["loc"][:-1] not in other_kinds]
    # A key that is misspelt is also missing: the spelling is what to mend.
    first = min(meant, key=lambda p: p["type"] not in UNKNOWN_KEY) if meant else problems[0]
    parts = [str(part) for part in first["loc"] if str(part) not in BRANCHES]
    key = ".".join(parts)
    if not meant:
        allowed = ", ".join(str(p["ctx"]["expected"]).strip("'") for p in problems if "ctx" in p)
        return f"{key}: {first['input']!r} is not one of {allowed}"
    if first["type"] in UNKNOWN_KEY:
        known = _keys_beside(kind, first["loc"])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        others = f"remove it, or give one of {', '.join(known)}" if known else "remove it"
        return f"{key}: unknown key" + (f", did you mean {close[0]}?" if close else f": {others}")
    if first["type"] in ("missing", "missing_argument"):
        return f"{key}: missing: add it"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    given = first.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    said = f"{message}{shown if first['type'] != 'value_error' else ''}"
    return f"{key}: {said}" if key else said  # what is wrong with the whole names its keys itself


def validated(content: Any, kind: type[T] | Any, where: str) -> T:
    """Content of a file as a dataclass.

    Raises:
        UserError: the first mistake, with ``where`` and key.
    """
    adapter: TypeAdapter[T] = TypeAdapter(kind)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        raise UserError(f"{where}: {_one_line(error, kind)}") from None


def shelf_names() -> dict[str, list[str]]:
    """What is on the shelf: ``{"clusters": [...], "workloads": [...]}``."""
    return {
        "clusters": sorted(p.stem for p in (SHELF / "clusters").glob("*.yaml")),
        "workloads": sorted(p.stem for p in (SHELF / "workloads").glob("*.yaml")),
    }


def _locate(name: str, kind: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    names = shelf_names()[kind]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose a file or one of {', '.join(names)}"
        raise UserError(f"{name}: no such file, and not among the shelf's {kind}: {hint}")
    return SHELF / kind / f"{name}.yaml"


def load_cluster(name: str) -> Cluster:
    """The cluster in a YAML file, or of that name on the shelf."""
    path = _locate(name, "clusters")
    content = read_yaml(path)
    cluster: Cluster = validated(content, Cluster, str(path))
    if "bucket_bytes" in content and not cluster.overlap:
        raise UserError(f"{path}: bucket_bytes: has no effect with overlap: false: leave one of them out")
    times = cluster.straggler
    if isinstance(times, Empirical):
        beside = path.parent / times.file
        if not beside.is_file():
            raise UserError(f"{path}: straggler.file: {beside} does not exist: give step times, one per line")
        # Whole, so that the cluster may be written elsewhere.
        cluster = replace(cluster, straggler=replace(times, file=str(beside.resolve())))
    return cluster


def load_workload(name: str) -> Workload:
    """The workload in a YAML file, or of that name on the shelf."""
    path = _locate(name, "workloads")
    return validated(read_yaml(path), Workload, str(path))


def to_plain(thing: Any) -> Any:
    """A dataclass as lists, mappings and scalars, without what has its default value."""
    return TypeAdapter(type(thing)).dump_python(thing, mode="json", exclude_defaults=True)


def as_yaml(thing: Any) -> str:
    """A described dataclass as YAML, keys in the order of its fields."""
    return yaml.safe_dump(to_plain(thing), sort_keys=False, width=110, allow_unicode=True)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file beside ``path``, then rename: never half a file, whatever happens.

    Raises:
        UserError: the folder does not exist or cannot be written, or ``path`` is one itself.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}): check the folder") from None
    os.close(handle)
    aside = Path(name)
    try:
        write(aside)
        aside.chmod(0o644)
        aside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}): name a file that can") from None
    finally:
        aside.unlink(missing_ok=True)


def write_yaml(thing: Any, path: Path) -> None:
    """Write a described dataclass to a YAML file, whole or not at all."""
    text = as_yaml(thing)

    def write(aside: Path) -> None:
        aside.write_text(text, encoding="utf-8")

    write_atomically(path, write)
