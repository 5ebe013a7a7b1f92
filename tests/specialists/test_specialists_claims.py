"""What section 5's experiments claim of their rows."""

import pytest
import torch

from repro import config
from repro.machine import ROOT
from repro.papers.hinton2015 import _specialist_runs as runs
from repro.papers.hinton2015 import specialist_dustbin, specialist_overfitting, specialists
from repro.papers.hinton2015._specialist_arms import coverage_slopes
from repro.results import Results


def test_coverage_table_by_hand():
    before = torch.tensor([True, True, False, False, True, False])
    after = torch.tensor([True, False, True, True, True, True])
    covering = torch.tensor([0, 1, 1, 2, 2, 4])
    table = {row["covering"]: row for row in runs.coverage(before, after, covering)}
    assert table[0] == {"covering": 0, "cases": 1, "generalist_right": 1, "gained": 0}
    assert table[1] == {"covering": 1, "cases": 2, "generalist_right": 1, "gained": 0}
    assert table[2] == {"covering": 2, "cases": 2, "generalist_right": 1, "gained": 1}
    assert table[3]["cases"] == 0
    assert table[4] == {"covering": 4, "cases": 1, "generalist_right": 0, "gained": 1}


def test_slope_of_the_gain_is_the_weighted_regression(tmp_path, monkeypatch):
    import numpy as np

    cases, right, gained = [400, 300, 200, 100], [200, 150, 120, 50], [0, 3, 6, 2]
    rows = [
        {"arm": "a", "seed": 0, "covering": i, "cases": cases[i], "generalist_right": right[i], "gained": gained[i]}
        for i in range(4)
    ]
    rows.append({"arm": "a", "seed": 0, "covering": 4, "cases": 0, "generalist_right": 0, "gained": 0})
    monkeypatch.setattr(Results, "table", lambda self, name: rows)
    found = coverage_slopes(Results(tmp_path, {}, []), "a")
    relative = [100 * g / r for g, r in zip(gained, right, strict=True)]
    assert found == {0: pytest.approx(np.polyfit(range(4), relative, 1, w=np.sqrt(cases))[0])}


def test_a_law_of_covering_specialists_is_held_against_sets_at_random(tmp_path, monkeypatch):
    section = config.load(ROOT / "config" / "paper.yaml").section("hinton2015.specialists").config
    rises = {"clusters20": (1, 2), "random20": (3, 1), "full_soft20": (2, 2)}
    rows = [
        {"arm": arm, "seed": s, "covering": i, "cases": 100, "generalist_right": 100, "gained": rises[arm][s] * i}
        for arm in rises
        for s in (0, 1)
        for i in range(5)
    ]
    monkeypatch.setattr(Results, "table", lambda self, name: rows)
    found = specialists.claims(Results(tmp_path, {"config": section.model_dump(mode="json")}, []))
    slopes = {a.id: a.differences for a in found if a.id.startswith("KD-J27")}
    assert slopes["KD-J27"] == pytest.approx((1, 2))
    assert slopes["KD-J27.full_soft"] == pytest.approx((2, 2))
    assert slopes["KD-J27.against_random"] == pytest.approx((-2, 1))

    section = config.load(ROOT / "config" / "paper.yaml").section("hinton2015.specialist_dustbin").config
    accuracies = [
        {"arm": "clusters20", "seed": s, "generalist_accuracy": 60.0, "accuracy_deferring": 61.0 + s} for s in (0, 1)
    ]
    found = specialist_dustbin.claims(Results(tmp_path, {"config": section.model_dump(mode="json")}, accuracies))
    deferring = {a.id: a for a in found if a.id.endswith("_deferring")}
    assert deferring["KD-J27.clusters20_deferring"].differences == pytest.approx((1, 2))
    assert deferring["KD-J27.against_random_deferring"].differences == pytest.approx((-2, 1))
    assert deferring["KD-J07.clusters20_deferring"].differences == pytest.approx((1, 2))
    assert all("the paper's do not" in answer.departures for answer in deferring.values())


def test_over_fitting_is_what_labels_alone_lose_on_test_cases(tmp_path, monkeypatch):
    section = config.load(ROOT / "config" / "paper.yaml").section("hinton2015.specialist_overfitting").config
    last = section.specialists.training.epochs
    test = {  # from 70, by seed
        "dustbin": (50, 60, 62), "full": (40, 68, 69), "full_soft": (45, 70, 69),
        "full.same_rate": (30, 40, 50), "full_soft.same_rate": (36, 47, 58),
    }  # fmt: skip
    curves = [
        {"arm": kind, "seed": s, "epoch": epoch, "split": split, "metric": "conditional", "value": value}
        for kind, values in test.items()
        for s, end in enumerate(values)
        for split, epoch, value in (("test", 0, 70), ("test", last, end), ("train", 0, 80), ("train", last, 99))
    ]
    rows = [
        {"arm": kind, "seed": s, "conditional": end, "others": 2 * end}
        for kind, values in test.items()
        for s, end in enumerate(values)
    ]
    monkeypatch.setattr(Results, "curves", curves)
    meta = {"config": section.model_dump(mode="json"), "scale": "paper", "data": "cifar-100"}
    found = {a.id: a for a in specialist_overfitting.claims(Results(tmp_path, meta, rows))}
    assert (found["KD-J28.overfitting"].differences, found["KD-J28.overfitting"].direction) == ((-30, -2, -1), "less")
    assert found["KD-J28.overfitting_dustbin"].differences == (-20, -10, -8)
    assert found["KD-J28.conditional_against_full"].differences == (5, 2, 0)
    assert found["KD-J28.conditional_against_dustbin"].differences == (-5, 10, 7)
    assert found["KD-J28.others_against_full"].differences == (10, 4, 0)
    assert found["KD-J28.overfitting.same_rate"].differences == (-40, -30, -20)
    assert found["KD-J28.conditional_against_full.same_rate"].differences == (6, 7, 8)
    assert found["KD-J28.conditional_against_dustbin.same_rate"].differences == (-14, -13, -4)
    assert found["KD-J28.others_against_full.same_rate"].differences == (12, 14, 16)


def test_kinds_with_all_outputs_are_trained_alike_at_the_dustbin_s_rate():
    section = config.load(ROOT / "config" / "paper.yaml").section("hinton2015.specialist_overfitting").config
    training = {arm.name: arm.settings["training"] for arm in specialist_overfitting.arms(section)}
    kinds = {arm.name: arm.settings["kind"] for arm in specialist_overfitting.arms(section)}
    assert training["full.same_rate"] == training["full_soft.same_rate"] == training["dustbin"] != training["full"]
    assert (kinds["full.same_rate"], kinds["full_soft.same_rate"]) == ("full", "full_soft")
