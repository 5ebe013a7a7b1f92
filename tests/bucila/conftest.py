"""Recorded results of small studies, without the workflow."""

from collections.abc import Callable

import pytest

from repro.machine import ROOT
from repro.results import Results
from tests.recorded import run_whole


@pytest.fixture(scope="module")
def quick_results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Results]:
    """Runs an experiment of scale quick in a place of its own; ``seeds`` and steps are cut for speed."""
    text = (ROOT / "config" / "quick.yaml").read_text(encoding="utf-8")
    for long, short in (("seeds: 3", "seeds: 2"), ("steps: 300", "steps: 60")):
        text = text.replace(long, short)
    place = tmp_path_factory.mktemp("bucila")
    return lambda experiment: run_whole(place, f"bucila2006.{experiment}", text)
