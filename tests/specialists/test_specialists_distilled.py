"""One net taught by a generalist and its specialists: what it learns from, at which rates, and what is claimed."""

from dataclasses import replace

import pytest
import torch

from repro import config
from repro.data.sets import load_once
from repro.distill.combine import combine, consulted
from repro.experiment import Arm, Context
from repro.machine import ROOT
from repro.papers.hinton2015 import _specialist_arms as arms
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015 import _specialist_tops as tops
from repro.papers.hinton2015 import specialist_distilled, specialist_tuning
from repro.results import Results
from tests.specialists.given import SPECIALISTS, context

QUICK = config.load(ROOT / "config" / "quick.yaml")
CONFIG = QUICK.section("hinton2015.specialist_distilled").config


@pytest.mark.parametrize("seed", [None, 0])
def test_the_combination_is_that_of_eq_5_on_the_cases_the_generalist_knows(folder, tmp_path, monkeypatch, seed):
    """``seed``: whether needs are of the run's own seed or, as in the tuning, of one generalist."""
    teacher, data = nets.Generalist.left_in(folder), load_once("hierarchy")
    made = context(folder, tmp_path / "specialists")
    nets.train_all(SPECIALISTS.settings(), 0, made, teacher, data)
    given = []
    monkeypatch.setattr(tops, "_whole", lambda *arguments: given.append(arguments[3:]))
    wanted = CONFIG.model_copy(update={"specialists": SPECIALISTS})
    arm = wanted.arm("some", "combined", 0.1, 1, seed)
    labels = [need.arm if seed is None else f"{need.arm}.{seed}" for need in arm.needs]
    inputs = dict(zip(labels, (folder, made.work), strict=True))
    tops.distilled(arm, 0, Context("hierarchy", inputs, tmp_path))
    ((targets, hard_weight),) = given
    assert hard_weight == wanted.hard_weight

    kept, truth = teacher["kept"], data.train.labels
    left = nets.left_specialists(SPECIALISTS.settings(), made.work, teacher)
    sets = torch.stack([class_set for class_set, _ in left])
    said = nets.said_by(left, "dustbin", teacher.maps("train")[0][kept], truth[kept])
    p = torch.softmax(teacher["train_logits"][kept].double(), 1)
    expected = combine(p, said, sets, consulted(p, sets))
    torch.testing.assert_close(targets[kept].double(), expected.double(), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(expected, p, atol=0.01)
    rest = torch.ones(len(targets), dtype=torch.bool).index_fill(0, kept, value=False)
    assert not targets[rest].any()


@pytest.mark.parametrize("targets", ["generalist", "labels"])
def test_controls_learn_from_the_generalist_s_own_targets_and_from_labels(folder, tmp_path, monkeypatch, targets):
    given = []
    monkeypatch.setattr(tops, "_whole", lambda *arguments: given.append(arguments[3:]))
    arm = CONFIG.arm("some", targets, 0.1, 1)
    tops.distilled(arm, 0, context(folder, tmp_path / "work"))
    ((soft, hard_weight),) = given
    if targets == "labels":
        assert (soft, hard_weight) == (None, 1.0)
        assert "hard_weight" not in arm.settings
    else:
        teacher = nets.Generalist.left_in(folder)
        kept = teacher["kept"]
        torch.testing.assert_close(soft[kept], torch.softmax(teacher["train_logits"][kept], 1), atol=1e-6, rtol=1e-4)
        assert hard_weight == CONFIG.hard_weight


def test_every_arm_of_the_tuning_is_what_its_name_says(folder, tmp_path, monkeypatch):
    from repro.papers.hinton2015 import _specialist_runs as runs

    called = []
    for module, name in ((runs, "held_out_alone"), (runs, "on_features"), (tops, "longer"), (tops, "distilled")):
        monkeypatch.setattr(module, name, lambda *_, name=name: called.append(name))
    expected = {"longer": "longer", "sweep": "on_features"} | dict.fromkeys(arms.TARGETS, "distilled")
    tuned = specialist_tuning.arms(QUICK.section("hinton2015.specialist_tuning").config)
    for arm in tuned:
        specialist_tuning.run(arm, 0, context(folder, tmp_path / "work"))
        assert called.pop() == expected.get(arm.name.split(".")[0], "held_out_alone")
        assert {need.seed for need in arm.needs} == {0}
    assert {arm.name.split(".")[0] for arm in tuned} > expected.keys()


def planned(**rates: float) -> specialist_distilled.Config:
    whole = dict.fromkeys(arms.TARGETS, 0.1) | rates
    return CONFIG.model_copy(update={"rates": specialist_distilled.Rates.model_validate(whole)})


def rates_of(listed: list[Arm]) -> dict[str, float]:
    return {arm.name: arm.settings["training"]["learning_rate"] for arm in listed}


def test_targets_with_rates_of_their_own_have_an_arm_at_that_of_labels_too():
    assert rates_of(specialist_distilled.arms(planned())) == dict.fromkeys(arms.TARGETS, 0.1)
    own = dict.fromkeys(arms.TARGETS, 0.1) | {"combined": 0.01, "generalist": 0.3}
    listed = specialist_distilled.arms(planned(combined=0.01, generalist=0.3))
    assert rates_of(listed) == own | {"combined.same_rate": 0.1, "generalist.same_rate": 0.1}
    by_name = {arm.name: arm for arm in listed}
    for targets in ("combined", "generalist"):
        one, other = by_name[targets], by_name[f"{targets}.same_rate"]
        training = {**one.settings["training"], "learning_rate": 0.1}
        assert replace(one, name=other.name, settings=one.settings | {"training": training}) == other


def test_claims_compare_at_own_rates_and_at_that_of_labels(tmp_path):
    wanted = planned(combined=0.01)
    accuracy = {"combined": 64.0, "combined.same_rate": 63.0, "combined_full_soft": 63.5, "generalist": 62.0}
    accuracy["labels"] = 61.0
    rows = [
        {"arm": arm, "seed": seed, "accuracy": value + seed, "generalist_accuracy": 60.0}
        for arm, value in accuracy.items()
        for seed in (0, 1)
    ]
    meta = {"scale": "quick", "data": "hierarchy", "config": wanted.model_dump(mode="json")}
    found = {answer.id: answer.differences for answer in specialist_distilled.claims(Results(tmp_path, meta, rows))}
    assert found == {
        "KD-J25.gain": (4.0, 5.0),
        "KD-J25.against_labels": (3.0, 3.0),
        "KD-J25.against_generalist": (2.0, 2.0),
        "KD-J25.against_labels.same_rate": (2.0, 2.0),
        "KD-J25.against_generalist.same_rate": (1.0, 1.0),
        "KD-J25.full_soft.gain": (3.5, 4.5),
        "KD-J25.full_soft.against_labels": (2.5, 2.5),
        "KD-J25.full_soft.against_generalist": (1.5, 1.5),
    }
