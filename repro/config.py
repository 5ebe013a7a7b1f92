"""Configuration: one YAML file per scale, one pydantic model per experiment, shared by program and workflow.

``config/<scale>.yaml`` names the scale, the device, and for each paper the experiments it runs::

    scale: paper
    device: auto
    hinton2015:
      data: fashion-mnist        # optional: another data set of the same format, with its own results
      mnist_students:
        teacher_seeds: 3
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError

from repro.errors import UserError
from repro.experiment import BY_ARM, NO_DATA, Run, module_of, plan
from repro.settings import Options

SCALES = ("quick", "paper", "cluster")
_SHOWN = 60  # letters of a wrong value in a message


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, five times as fast, if PyYAML has it


class _Loader(_SafeLoader):  # type: ignore[misc]  # whichever there is
    """Safe YAML in which a key that stands twice is an error; PyYAML alone keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
                seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


class _Header(Options):
    """The keys of a config file that are not papers."""

    scale: Literal["quick", "paper", "cluster"]
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class Section:
    """One experiment as configured: its module's ``Config`` and the data it runs on."""

    paper: str
    experiment: str
    config: Any
    data: str
    swapped: bool  # another data set than the module's own at this scale

    @property
    def name(self) -> str:
        return f"{self.paper}.{self.experiment}"

    def folder(self, scale: str) -> Path:
        """``<scale>/<paper>/<experiment>``; with swapped data ``<paper>-<data>`` in the middle."""
        paper = f"{self.paper}-{self.data}" if self.swapped else self.paper
        return Path(scale, paper, self.experiment)


@dataclass(frozen=True)
class Scale:
    """A whole config file, validated."""

    name: str
    device: str
    path: Path
    papers: Mapping[str, Mapping[str, Section]]

    def sections(self) -> list[Section]:
        return [section for paper in self.papers.values() for section in paper.values()]

    def section(self, name: str) -> Section:
        """The section called ``<paper>.<experiment>``.

        Raises:
            UserError: the config has no such section.
        """
        for section in self.sections():
            if section.name == name:
                return section
        names = [section.name for section in self.sections()]
        if name in self.papers:
            listed = ", ".join(section.name for section in self.papers[name].values())
            raise UserError(f"{name} is a paper; name one of its experiments: {listed}")
        raise UserError(f"{self.path}: no experiment {name}{_suggest(name, names)}")

    def runs(self, section: Section) -> list[Run]:
        configs = {name: s.config for name, s in self.papers[section.paper].items()}
        return plan(configs, section.paper, section.experiment, section.data)


def load(path: Path, experiments: Sequence[str] = ()) -> Scale:
    """Read and validate a config file; where ``experiments`` are named, only the sections of their papers.

    Raises:
        UserError: no such file, not YAML, or a key or value that is wrong: one line with file, key, remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        content = yaml.load(text, _Loader)
    except Exception as error:  # PyYAML lets any error of Python's through on malformed dates and numbers
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: is not valid YAML ({detail})") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: must map keys to values, beginning with 'scale:'")
    known = _paper_packages()
    header = {key: value for key, value in content.items() if key not in known}
    for key in header:
        if key not in _Header.model_fields:
            raise UserError(f"{path}: {key}: unknown key{_suggest(key, [*_Header.model_fields, *known])}")
    checked = validated(_Header, header, path, "")
    asked = {name.partition(".")[0] for name in experiments}
    if not asked or not asked <= set(content):  # a name to put right deserves all there is to suggest
        asked = set(known)
    papers = {name: _paper(path, name, content[name], checked.scale) for name in content if name in asked}
    return Scale(checked.scale, checked.device, path, papers)


def _paper(path: Path, paper: str, content: Any, scale: str) -> dict[str, Section]:
    if not isinstance(content, dict):
        raise UserError(f"{path}: {paper}: must map experiments to their settings")
    swapped = content.get("data")
    if swapped is not None and not (isinstance(swapped, str) and re.fullmatch(r"\w[\w.-]*", swapped)):
        raise UserError(f"{path}: {paper}.data: must be the name of a data set, not {swapped!r}")
    sections = {}
    for experiment, settings in content.items():
        if experiment == "data":
            continue
        if experiment not in _experiments(paper):
            hint = _suggest(str(experiment), _experiments(paper))
            raise UserError(f"{path}: {paper}.{experiment}: no such experiment{hint}")
        module = module_of(paper, experiment)
        config = validated(module.Config, {} if settings is None else settings, path, f"{paper}.{experiment}")
        own = module.DATA[scale]
        if own == BY_ARM:  # its arms say which; a swap leaves them as they are
            own = ", ".join(dict.fromkeys(str(arm.data) for arm in module.arms(config)))
            data = own
        else:
            data = own if own == NO_DATA else swapped or own
        sections[experiment] = Section(paper, experiment, config, data, data != own)
    return sections


def validated(model: type[BaseModel], content: Any, path: Path, prefix: str) -> Any:
    """``content`` as a ``model``; ``path`` and ``prefix`` say in an error where it stands.

    Raises:
        UserError: a key or value that is wrong, in one line.
    """
    try:
        config = model.model_validate(content)
    except ValidationError as error:
        # A misspelt key is also a missing one: the spelling is what to mend.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        keys = [str(part) for part in first["loc"]]
        where = ".".join(([prefix] if prefix else []) + keys)
        if first["type"] == "extra_forbidden":
            message = f"unknown key{_suggest(keys[-1], _fields_at(model, keys[:-1]))}"
        elif first["type"] == "missing":
            message = "is missing; add it"
        else:
            shown = repr(first["input"])
            said = first["msg"].removeprefix("Value error, ")
            message = f"{said} (it is {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'})"
        raise UserError(f"{path}: {where}: {message}") from None
    if wrong := _endless(config.model_dump(mode="python"), prefix):
        raise UserError(f"{path}: {wrong}: must be a finite number")
    return config


def _endless(value: Any, where: str) -> str:
    """Where the first number stands that is infinite or none; empty if there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else where
    if isinstance(value, Mapping):
        items = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, (list, tuple)) else []
    return next((found for key, part in items if (found := _endless(part, f"{where}.{key}"))), "")


def _fields_at(model: type[BaseModel], keys: list[str]) -> list[str]:
    """Names of the fields of the model nested under ``keys``; none where that is not a model."""
    for key in keys:
        field = model.model_fields.get(key)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(sorted(known))}" if known else ""


def _paper_packages() -> list[str]:
    folder = Path(__file__).parent / "papers"
    return sorted(p.name for p in folder.iterdir() if (p / "__init__.py").exists())


def _experiments(paper: str) -> list[str]:
    folder = Path(__file__).parent / "papers" / paper
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
