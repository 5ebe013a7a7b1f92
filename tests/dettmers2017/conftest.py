"""Recorded results without a run of the workflow."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from repro import config, results, runner
from repro.machine import ROOT

SHIPPED = yaml.safe_load((ROOT / "config" / "quick.yaml").read_text())["dettmers2017"]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], results.Results]:
    """Runs an experiment with the shipped settings in an empty place, and loads what is then on record."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "cache"))

    def recorded(experiment: str) -> results.Results:
        content = {"scale": "quick", "device": "cpu", "dettmers2017": {experiment: SHIPPED[experiment]}}
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        scale = config.load(path)
        section = scale.section(f"dettmers2017.{experiment}")
        for run in scale.runs(section):
            runner.execute(scale, run)
        found = results.load(runner.RESULTS / section.folder("quick"))
        assert found is not None
        return found

    return recorded
