"""A place of its own for every test, and a paper that exists in tests only."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import repro.papers
from repro import config

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAPERS = HERE / "papers"


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder is empty and holds whatever the code writes under a relative name."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))
    return place


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `toy.coin` an experiment, anew for every test."""
    monkeypatch.setattr(repro.papers, "__path__", [*repro.papers.__path__, str(PAPERS)])
    monkeypatch.setattr(config, "_paper_packages", lambda: ["hinton2015", "toy"])
    shipped = config._experiments
    monkeypatch.setattr(config, "_experiments", lambda paper: ["coin"] if paper == "toy" else shipped(paper))
    for name in ("repro.papers.toy", "repro.papers.toy.coin"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def toy_scale(toy: None, own_place: Path) -> Callable[..., config.Scale]:
    """Writes and loads a config of the toy: `toy_scale("tosses: 5")`."""

    def made(settings: str = "", scale: str = "quick") -> config.Scale:
        path = own_place / "toy.yaml"
        path.write_text(f"scale: {scale}\ndevice: cpu\ntoy:\n  coin: {{{settings}}}\n", encoding="utf-8")
        return config.load(path)

    return made


@dataclass(frozen=True)
class Workflow:
    """A copy of everything the workflow consists of, with results and a cache of its own."""

    place: Path
    environment: Mapping[str, str]

    def shell(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a line as a user would; ``more`` goes into its environment."""
        return subprocess.run(
            command, shell=True, cwd=self.place, env={**self.environment, **more},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    @contextlib.contextmanager
    def begun(self, command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """The same, going on while the caller does something else; at the end it is killed if it still runs."""
        process = subprocess.Popen(
            command, shell=True, cwd=self.place, env={**self.environment, **more},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    place = tmp_path / "copy"
    place.mkdir()
    for name in ("workflow", "profiles", "config", "repro", "simulation"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", place)
    return Workflow(
        place,
        os.environ
        | {
            "PYTHONPATH": str(place),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "REPRO_CACHE": str(tmp_path / "cache"),
        },
    )


@pytest.fixture
def one_line() -> Callable[[BaseException], str]:
    """The text of an error as a user reads it: one line that says something."""

    def text(error: BaseException) -> str:
        message = str(error)
        assert message
        assert "\n" not in message
        return message

    return text
