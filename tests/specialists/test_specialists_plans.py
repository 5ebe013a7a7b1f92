"""What section 5's experiments ask for, and what they refuse."""

import subprocess
import sys
from pathlib import Path

import pytest

from repro import config
from repro.errors import UserError
from repro.experiment import Arm, Context
from repro.machine import ROOT
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015 import _specialist_runs as runs
from repro.papers.hinton2015 import specialist_generalist
from tests.specialists.given import SPECIALISTS, context, generalist_config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 21}, "21 clusters of 20 classes"),
        ({"size": 1}, "has one class alone"),
        ({"size": 20}, "has all 20 classes"),
        ({"size": 21}, "choose a size from 1 to 20"),
    ],
)
def test_refuses_sets_that_cannot_be(folder, changes, message):
    settings = SPECIALISTS.model_copy(update=changes).settings()
    with pytest.raises(UserError, match=message):
        nets.Generalist.left_in(folder).class_sets(settings, 0)


def test_what_cannot_be_asked_is_refused_before_anything_is_trained(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train", None)
    monkeypatch.setattr(nets, "train", None)
    arm = specialist_generalist.arms(generalist_config().model_copy(update={"counts": (5, 21)}))[0]
    with pytest.raises(UserError, match="21 clusters of 20 classes"):
        runs.generalist(arm, 0, Context("hierarchy", {}, tmp_path))
    settings = SPECIALISTS.settings() | {"tops": [1, 21]}
    for run in (runs.specialists, runs.on_features):
        with pytest.raises(UserError, match="n = 21 most probable classes: choose a number from 1 to 20"):
            run(Arm("some", settings, 1), 0, context(folder, tmp_path / "some"))


@pytest.mark.parametrize(
    ("experiment", "changes", "message"),
    [
        ("specialists", {"other_count": 5}, "other_count: specialists.count is the same; choose another number"),
        ("specialists", {"tops": [2, 3]}, "tops: the accuracy that is judged is that of n = 1; add 1"),
        ("specialist_overfitting", {"trained": 6}, "trained: there are 5 specialists; train as many or fewer"),
    ],
)
def test_what_would_be_dropped_or_never_recorded_is_refused(experiment, changes, message):
    section = config.load(ROOT / "config" / "quick.yaml").section(f"hinton2015.{experiment}").config
    content = section.model_dump(mode="json")
    assert config.validated(type(section), content, Path("some.yaml"), experiment) == section
    with pytest.raises(UserError, match=f"^some.yaml: {experiment}.{message}"):
        config.validated(type(section), content | changes, Path("some.yaml"), experiment)


def test_kinds_are_told_what_they_use():
    assert "head" in SPECIALISTS.settings()
    assert "temperature" not in SPECIALISTS.settings(kind="full")
    soft = SPECIALISTS.settings(kind="full_soft", learning_rate=0.5)
    assert soft["temperature"] == 2.0
    assert "head" not in soft
    assert soft["training"]["learning_rate"] == 0.5


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_all_experiments_plan_without_torch(scale):
    code = (
        "import sys; from pathlib import Path; from repro import config\n"
        f"scale = config.load(Path('config/{scale}.yaml'))\n"
        "for section in scale.sections():\n"
        "    if 'specialist' in section.experiment: assert scale.runs(section)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_rates_and_teachers_agree_over_the_experiments():
    """The net distilled back learns from the very specialists that were judged."""
    for scale in ("quick", "paper"):
        loaded = config.load(ROOT / "config" / f"{scale}.yaml")
        judged, taught = (
            loaded.section(f"hinton2015.{name}").config for name in ("specialists", "specialist_distilled")
        )
        tuned = loaded.section("hinton2015.specialist_tuning").config.distilled
        assert judged.specialists == taught.specialists == tuned.specialists
        assert judged.full_soft_rate == taught.full_soft_rate == tuned.full_soft_rate
        assert (taught.training, taught.hard_weight) == (tuned.training, tuned.hard_weight)
        assert loaded.section("hinton2015.specialist_dustbin").config.count == judged.specialists.count
