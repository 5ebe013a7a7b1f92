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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from repro.errors import UserError
from repro.experiment import Run, module_of, plan

SCALES = ("quick", "paper", "cluster")


class _Header(BaseModel):
    """The keys of a config file that are not papers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        raise UserError(f"{self.path}: no experiment {name}{_suggest(name, names)}")

    def runs(self, section: Section) -> list[Run]:
        configs = {name: s.config for name, s in self.papers[section.paper].items()}
        return plan(configs, section.paper, section.experiment, section.data)


def load(path: Path) -> Scale:
    """Read and validate a config file.

    Raises:
        UserError: no such file, not YAML, or a key or value that is wrong: one line with file, key, remedy.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: is not valid YAML ({detail})") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: must map keys to values, beginning with 'scale:'")
    known = _paper_packages()
    header = {key: value for key, value in content.items() if key not in known}
    for key in header:
        if key not in _Header.model_fields:
            raise UserError(f"{path}: {key}: unknown key{_suggest(key, [*_Header.model_fields, *known])}")
    checked = _validate(_Header, header, path, "")
    papers = {name: _paper(path, name, content[name], checked.scale) for name in content if name in known}
    return Scale(checked.scale, checked.device, path, papers)


def _paper(path: Path, paper: str, content: Any, scale: str) -> dict[str, Section]:
    if not isinstance(content, dict):
        raise UserError(f"{path}: {paper}: must map experiments to their settings")
    swapped = content.get("data")
    if swapped is not None and not isinstance(swapped, str):
        raise UserError(f"{path}: {paper}.data: must be the name of a data set, not {swapped!r}")
    sections = {}
    for experiment, settings in content.items():
        if experiment == "data":
            continue
        if experiment not in _experiments(paper):
            hint = _suggest(str(experiment), _experiments(paper))
            raise UserError(f"{path}: {paper}.{experiment}: no such experiment{hint}")
        module = module_of(paper, experiment)
        config = _validate(module.Config, settings or {}, path, f"{paper}.{experiment}")
        own = module.DATA[scale]
        sections[experiment] = Section(paper, experiment, config, swapped or own, swapped not in (None, own))
    return sections


def _validate(model: type[BaseModel], content: Any, path: Path, prefix: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"]]
        where = ".".join(([prefix] if prefix else []) + keys)
        if first["type"] == "extra_forbidden":
            message = f"unknown key{_suggest(keys[-1], _fields_at(model, keys[:-1]))}"
        elif first["type"] == "missing":
            message = "is missing; add it"
        else:
            message = f"{first['msg']} (it is {first['input']!r})"
        raise UserError(f"{path}: {where}: {message}") from None


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
