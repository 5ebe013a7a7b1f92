"""Results on record without a run of the workflow."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from repro import config, results, runner
from repro.machine import ROOT


def run_whole(place: Path, name: str, text: str) -> results.Results:
    """Every run of the experiment `name` under the config `text`, in `place`: what is then on record there."""
    path = place / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("REPRO_CACHE", str(place / "cache"))
        scale = config.load(path)
        section = scale.section(name)
        for run in scale.runs(section):
            runner.execute(scale, run)
        found = results.load(place / runner.RESULTS / section.folder(scale.name))
    assert found is not None
    return found


def shipped(name: str) -> dict[str, Any]:
    """The settings of an experiment in config/quick.yaml."""
    paper, experiment = name.split(".")
    whole = yaml.safe_load((ROOT / "config" / "quick.yaml").read_text(encoding="utf-8"))
    return dict(whole[paper][experiment])
