"""Soft targets as regularisers: what each kind learns from, equal steps, and what the claims read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from repro.compare import Claim, Value
from repro.data.sets import ImageSet, LabelledImages, load_once
from repro.experiment import Context
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015 import soft_regularisers
from repro.papers.hinton2015._few_labels import few_labels
from repro.papers.hinton2015._regulariser_runs import RUNS
from repro.papers.hinton2015.soft_regularisers import Config
from repro.results import Results
from repro.training.checkpoint import write_tensors

TRAINING = {"epochs": 6, "batch_size": 20, "precision": "float32", "schedule": "constant", "evaluate_every_epochs": 2}
TASK = {
    "data": "digits", "cases": 60, "held_out": 300, "net": {"hidden": [8], "training": TRAINING},
    "rates": [0.05, 0.1], "full": TRAINING, "seeds": 2, "sweep": [10, 200],
}  # fmt: skip
CONFIG = Config.model_validate({"tasks": [TASK]})
ARMS = {arm.name: arm for arm in soft_regularisers.arms(CONFIG)}


def test_every_number_of_cases_takes_the_same_steps() -> None:
    for kind in ("hard", "soft"):
        for name, batches in ((kind, 3), (f"{kind}.n10", 1), (f"{kind}.n200", 10)):
            assert ARMS[f"digits.{name}"].settings["training"]["epochs"] * batches == pytest.approx(18, abs=2), name
    assert "digits.smoothed.n10" not in ARMS


def test_students_begin_and_see_alike_and_differ_in_their_targets(tmp_path: Path, monkeypatch: Any) -> None:
    given: dict[str, tuple[Tensor, Tensor | None]] = {}
    first: dict[str, Tensor] = {}
    distilling, train = nets.distilling, nets.train

    def noted(settings, labels, teacher, device):  # type: ignore[no-untyped-def]
        given[kind] = (labels, teacher)
        return distilling(settings, labels, teacher, device)

    def watched(model, *rest, **options):  # type: ignore[no-untyped-def]
        first[kind] = next(model.parameters()).detach().clone()
        return train(model, *rest, **options)

    monkeypatch.setattr(nets, "distilling", noted)
    monkeypatch.setattr(nets, "train", watched)
    data = load_once("digits")
    teacher, rates = tmp_path / "full", tmp_path / "rates"
    for folder in (teacher, rates):
        folder.mkdir()
    logits = torch.randn(len(data.train), 10, generator=torch.Generator().manual_seed(0))
    write_tensors(teacher / nets.LOGITS, {"train": logits, "test": logits[:500].clone()})
    tuned.leave(Context("digits", {}, rates), {"training": {"learning_rate": 0.05}}, 1)
    found = {}
    for kind in soft_regularisers.KINDS:
        (tmp_path / kind).mkdir()
        inputs = {"rates": rates} | ({"digits.full": teacher} if kind == "soft" else {})
        context = Context("digits", inputs, tmp_path / kind, name=kind)
        found[kind] = RUNS["student"](ARMS[f"digits.{kind}"], 1, context)
    seen = few_labels(ARMS["digits.soft"].settings, data, 1)
    for labels, _ in given.values():
        assert torch.equal(labels, seen.cases.labels)
    assert torch.equal(first["hard"], first["soft"])
    assert torch.equal(first["hard"], first["smoothed"])
    assert given["hard"][1] is None
    assert torch.equal(given["soft"][1], logits[seen.index])
    smoothed = torch.softmax(given["smoothed"][1], 1)
    torch.testing.assert_close(smoothed.max(1).values, torch.full((60,), 0.91))
    assert torch.equal(smoothed.argmax(1), seen.cases.labels)
    for kind, result in found.items():
        # What a grid would choose by is the end of training, not the best evaluation.
        left = json.loads((tmp_path / kind / "tried.json").read_text())
        at = {epoch: value for epoch, _, *which, value in result.curves if which == ["validation", "errors"]}
        assert left["validation_errors"] == at[6] == result.metrics["validation_errors"]
        assert {(split, metric) for _, _, split, metric, _ in result.curves} == {
            (split, metric) for split in ("train", "validation", "test") for metric in ("errors", "cross_entropy")
        }
        assert {epoch for epoch, *_ in result.curves} == {2, 4, 6}
        assert result.metrics["train_cases"] == 60


def results(tmp_path: Path) -> Results:
    def row(arm: str, seed: int, test: int, stopped: int, train: int) -> dict[str, Any]:
        splits = {"train_cases": 60, "test_cases": 500, "train_errors": train, "stopped_train_errors": train + 1}
        return {"arm": f"digits.{arm}", "seed": seed, "test_errors": test, "stopped_test_errors": stopped, **splits}

    rows = [row("full", s, 50, 50, 0) for s in (0, 1)]
    rows += [row("hard", 0, 210, 200, 0), row("hard", 1, 200, 150, 0)]
    rows += [row("smoothed", 0, 180, 170, 0), row("smoothed", 1, 150, 140, 0)]
    rows += [row("soft", 0, 80, 75, 6), row("soft", 1, 70, 70, 9)]
    return Results(tmp_path, {"scale": "quick", "data": "digits", "config": CONFIG.model_dump(mode="json")}, rows)


def test_claims_hold_the_end_of_soft_targets_against_labels_stopped_early(tmp_path: Path) -> None:
    answers = {a.id: a for a in soft_regularisers.claims(results(tmp_path))}
    expected = {
        "KD-R04.digits_falls": (-2.0, -10.0),
        "KD-R06.digits_stays": (-1.0, 0.0),
        "KD-R06.digits_stays_better": (1.0, 10.0),
        "KD-R06.digits_against_hard": (24.0, 16.0),
        "KD-R06.digits_against_smoothed": (18.0, 14.0),
        "KD-R06.digits_recovered": (9.0, 6.0),  # of 500: 120 of 150 errors regained, 80 of 100
        "KD-R05.digits_against_hard": (-100 * 5 / 60, -100 * 8 / 60),
    }
    for name, differences in expected.items():
        answer = answers[name]
        assert isinstance(answer, Claim)
        assert answer.differences == pytest.approx(differences), name
    recovered, early = answers["KD-R06.digits_recovered"], answers["KD-R04.digits"]
    assert isinstance(recovered, Claim)
    assert "80 % regained, 87 % printed" in recovered.setting
    assert isinstance(early, Value)
    assert early.ours == pytest.approx((60.0, 70.0))


def test_channels_are_among_the_settings_and_build_a_convolutional_net() -> None:
    net = soft_regularisers.SmallNet.model_validate({"channels": [4, 8], "training": {"epochs": 1}})
    settings = net.from_labels(0.1)
    assert settings["channels"] == [4, 8]
    images = LabelledImages(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    built = nets.build(settings, ImageSet("colours", images, images, ("a", "b", "c"), {}), seed=0)
    assert nets.logits_of(built, images.images).shape == (2, 3)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in built) == 2
