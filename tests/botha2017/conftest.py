"""Recorded results without a run of the workflow."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro import config, results, runner


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], results.Results]:
    """Runs an experiment of a config of its own, in an empty place, and loads what is then on record."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))

    def recorded(experiment: str, settings: str = "") -> results.Results:
        path = tmp_path / "own.yaml"
        path.write_text(f"scale: quick\ndevice: cpu\nbotha2017:\n  {experiment}: {{{settings}}}\n", encoding="utf-8")
        scale = config.load(path)
        section = scale.section(f"botha2017.{experiment}")
        for run in scale.runs(section):
            runner.execute(scale, run)
        found = results.load(runner.RESULTS / section.folder("quick"))
        assert found is not None
        return found

    return recorded
