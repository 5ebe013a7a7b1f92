"""What an experiment module is: the contract between papers and everything that runs, draws and compares.

A module ``repro/papers/<paper>/<experiment>.py`` has, besides a docstring that says what the paper did,
what we do, what it costs and every departure:

``DATA``, ``PRINTED_DATA``
    the data set of each scale, and the paper's own (only on it can a printed value be reproduced);
    ``NO_DATA`` where formulas speak and nothing is learned, ``BY_ARM`` where an experiment spans several
    sets and each of its arms names its own;
``Config``
    the options (``repro.settings.Options``) of its section in ``config/<scale>.yaml``;
``arms(config) -> list[Arm]``
    the conditions and their number of seeds. Importable without torch: the workflow plans by it;
``run(arm, seed, context) -> Result``
    one run. Deterministic in (arm settings, seed, data, hardware class, threads);
``figure(results) -> Drawing``
    the experiment's figure, drawn from recorded results alone, without torch;
``claims(results) -> list[Answer]``
    what the results say to the printed numbers (``repro.compare``), likewise without torch.

There is no registry: a section ``hinton2015: mnist_students:`` in a config file names the module
``repro.papers.hinton2015.mnist_students``.
"""

import hashlib
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from repro.errors import UserError

NO_DATA = "none"
BY_ARM = "by arm"
MODULE_PARTS = ("DATA", "PRINTED_DATA", "Config", "arms", "run", "figure", "claims")


@dataclass(frozen=True)
class Need:
    """Something another arm leaves behind in its folder: a teacher's weights, its soft targets.

    With ``seed=None`` run s uses seed s mod n of the n runs of the needed arm.
    """

    arm: str
    experiment: str | None = None  # None: of the same experiment
    seed: int | None = None


@dataclass(frozen=True)
class Arm:
    """One condition of an experiment, run with ``seeds`` seeds 0..seeds-1.

    ``settings`` are plain JSON values; together with the data, the seed and what is needed they decide
    the result, and their digest decides whether a recorded row still answers the question asked. All below ``data`` is
    what the workflow must give its jobs.
    """

    name: str
    settings: Mapping[str, Any]
    seeds: int
    needs: tuple[Need, ...] = ()
    seeds_per_job: int = 1  # seeds that one job of the workflow does in turn, for runs of a few seconds
    data: str | None = None  # its own data set, in an experiment whose DATA is BY_ARM
    processes: int = 1  # that compute side by side, each on a core of its own
    device: str | None = None  # where its runs must go; None: to the scale's device
    helpers: int = 0  # further processes, each on a core, that read ahead or share the GPU; their time is not billed
    memory_mb: int | None = None  # of a job; None: 2,000 a process
    minutes: int | None = None  # that a job may take; None: as the workflow's profile says

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.name):  # it names a folder
            raise UserError(f"arm {self.name!r}: a name is of letters, digits and . _ + -")
        if self.seeds < 1:
            raise UserError(f"arm {self.name}: seeds must be at least 1, not {self.seeds}")
        if self.processes < 1:
            raise UserError(f"arm {self.name}: processes must be at least 1, not {self.processes}")
        if self.helpers < 0:
            raise UserError(f"arm {self.name}: helpers must be at least 0, not {self.helpers}")


@dataclass(frozen=True)
class Context:
    """What a run may use: its data set's name, needed folders, a folder of its own, and the device.

    ``inputs`` maps the arm name of each need (``name.seed`` where the need names a seed) to the folder
    that its run left behind. ``work`` is this run's own folder: checkpoints while it runs, and whatever
    other runs need of it afterwards.
    """

    data: str
    inputs: Mapping[str, Path]
    work: Path
    device: str = "cpu"
    name: str = ""
    checkpoint_interval_s: float = 60.0


CurvePoint = tuple[int, int, str, str, float]
"""Epoch, step, split, metric, value."""


@dataclass(frozen=True)
class Result:
    """What a run found: one row of metrics, its learning curves and any further tables.

    ``tables`` maps a name to rows of plain values, recorded as ``<name>.csv`` beside ``runs.csv``.
    """

    metrics: Mapping[str, float | int | str]
    curves: Sequence[CurvePoint] = ()
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One cell of arms x seeds, with the digest of all that was asked of it."""

    paper: str
    experiment: str
    arm: Arm
    seed: int
    data: str
    digest: str
    needs: tuple[tuple[str, "Run"], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.paper}.{self.experiment} {self.arm.name} seed {self.seed}"


def module_of(paper: str, experiment: str) -> ModuleType:
    """Import an experiment module and check that it keeps the contract.

    Raises:
        UserError: there is no such module, or it lacks a part.
    """
    name = f"repro.papers.{paper}.{experiment}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"{paper}.{experiment}: no such experiment ({name} is not there)") from None
        raise
    missing = [part for part in MODULE_PARTS if not hasattr(module, part)]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; see repro/experiment.py")
    return module


def digest_of(content: Any) -> str:
    """16 hex digits of the SHA-256 of the content's canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _switched_on(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings less those that are off (None, False, zero, empty): an option added later, off by default,
    leaves the digests of older rows as they are."""
    nested = {k: _switched_on(v) if isinstance(v, Mapping) else v for k, v in settings.items()}
    return {key: value for key, value in nested.items() if value}


def plan(sections: Mapping[str, Any], paper: str, experiment: str, data: str) -> list[Run]:
    """All runs of one experiment in the order of its arms, needs resolved.

    ``sections`` maps the experiments of the paper to their configs: needs may point into each of them.

    Raises:
        UserError: a need that no arm satisfies, or arms that need each other in a circle.
    """
    planner = _Planner(sections, paper, data)
    return [
        planner.run(experiment, arm.name, seed)
        for arm in planner.arms(experiment).values()
        for seed in range(arm.seeds)
    ]


class _Planner:
    """Resolves needs to runs, each run once."""

    def __init__(self, sections: Mapping[str, Any], paper: str, data: str) -> None:
        self._sections, self._paper, self._data = sections, paper, data
        self._arms: dict[str, dict[str, Arm]] = {}
        self._runs: dict[tuple[str, str, int], Run | None] = {}

    def arms(self, experiment: str) -> dict[str, Arm]:
        if experiment not in self._arms:
            if experiment not in self._sections:
                raise UserError(f"{self._paper}: {experiment} is needed and not in the config; add its section")
            listed = module_of(self._paper, experiment).arms(self._sections[experiment])
            arms = {arm.name: arm for arm in listed}
            if len(arms) < len(listed):
                twice = next(name for name in arms if [arm.name for arm in listed].count(name) > 1)
                raise UserError(f"{self._paper}.{experiment}: two arms are called {twice}; name each condition once")
            self._arms[experiment] = arms
        return self._arms[experiment]

    def run(self, experiment: str, arm_name: str, seed: int) -> Run:
        key = (experiment, arm_name, seed)
        if key in self._runs:
            known = self._runs[key]
            if known is None:
                raise UserError(f"{self._paper}.{experiment}: arm {arm_name} needs itself")
            return known
        arms = self.arms(experiment)
        if arm_name not in arms:
            raise UserError(f"{self._paper}.{experiment}: no arm {arm_name}; there are {', '.join(sorted(arms))}")
        arm = arms[arm_name]
        data = arm.data or self._data
        if not 0 <= seed < arm.seeds:
            raise UserError(f"{self._paper}.{experiment}: arm {arm_name} has seeds 0 to {arm.seeds - 1}, not {seed}")
        self._runs[key] = None
        needs: list[tuple[str, Run]] = []
        for need in arm.needs:
            source = need.experiment or experiment
            count = self.arms(source)[need.arm].seeds if need.arm in self.arms(source) else 1
            wanted = seed % count if need.seed is None else need.seed
            label = need.arm if need.seed is None else f"{need.arm}.{need.seed}"
            if any(label == other for other, _ in needs):
                raise UserError(f"{self._paper}.{experiment}: arm {arm_name} needs two things called {label}")
            needs.append((label, self.run(source, need.arm, wanted)))
        content = {
            "experiment": f"{self._paper}.{experiment}",
            "arm": arm_name,
            "settings": _switched_on(arm.settings),
            "seed": seed,
            "data": data,
            "needs": {label: run.digest for label, run in needs},
        }
        run = Run(self._paper, experiment, arm, seed, data, digest_of(content), tuple(needs))
        self._runs[key] = run
        return run
