"""For all tests: one thread, as every job of the workflow has, set before torch is imported; and what many share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

from repro.results import Results
from tests.recorded import run_whole

# The same examples each time: whether a change is sound must not depend on the day.
# `pytest --hypothesis-profile=default` searches anew.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Results]:
    """Runs an experiment in the test's own folder and loads what is on record: `record("toy.coin", "tosses: 5")`."""
    monkeypatch.chdir(tmp_path)

    def recorded(name: str, settings: str | Mapping[str, Any] = "") -> Results:
        paper, experiment = name.split(".")
        section = yaml.safe_load(f"{{{settings}}}") if isinstance(settings, str) else dict(settings)
        text = yaml.safe_dump({"scale": "quick", "device": "cpu", paper: {experiment: section}})
        return run_whole(tmp_path, name, text)

    return recorded
