"""Recorded results of small studies, without the workflow."""

from collections.abc import Callable

import pytest

from repro import config, results, runner
from repro.machine import ROOT


@pytest.fixture(scope="module")
def quick_results(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., results.Results]:
    """Runs an experiment of scale quick in a place of its own; ``seeds`` and steps are cut for speed."""
    place = tmp_path_factory.mktemp("bucila")
    text = (ROOT / "config" / "quick.yaml").read_text(encoding="utf-8")
    for long, short in (("seeds: 3", "seeds: 2"), ("steps: 300", "steps: 60")):
        text = text.replace(long, short)
    path = place / "own.yaml"
    path.write_text(text, encoding="utf-8")

    def recorded(experiment: str) -> results.Results:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REPRO_CACHE", str(place / "cache"))
            patch.setattr(runner, "RESULTS", place / "results")
            scale = config.load(path)
            section = scale.section(f"bucila2006.{experiment}")
            for run in scale.runs(section):
                runner.execute(scale, run, root=place / "results")
            found = results.load(place / "results" / section.folder("quick"))
        assert found is not None
        return found

    return recorded
