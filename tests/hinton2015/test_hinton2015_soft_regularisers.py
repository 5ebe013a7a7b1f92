"""Soft targets as regularisers: what each kind learns from, equal steps, and what the claims read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from repro.compare import Claim, Value
from repro.data.sets import ImageSet, LabelledImages, load_once
from repro.experiment import Context
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _regulariser_arms, _regulariser_figure, soft_regularisers
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._few_labels import few_labels
from repro.papers.hinton2015._regulariser_runs import RUNS
from repro.papers.hinton2015.soft_regularisers import Config
from repro.results import Results
from repro.training.checkpoint import write_tensors

TRAINING = {"epochs": 6, "batch_size": 20, "precision": "float32", "schedule": "constant", "evaluate_every_epochs": 2}
TASK = {
    "data": "digits", "cases": 60, "held_out": 300, "net": {"hidden": [8], "training": TRAINING},
    "rates": [0.05, 0.1], "full": {"epochs": 6}, "full_rates": [0.1, 0.2], "full_epochs": [3], "seeds": 2,
    "sweep": [10, 200],
}  # fmt: skip
CONFIG = Config.model_validate({"tasks": [TASK], "temperatures": [1, 5], "smoothings": [0.1, 0.3]})
ARMS = {arm.name: arm for arm in soft_regularisers.arms(CONFIG)}


def test_every_number_of_cases_takes_the_same_steps() -> None:
    for kind in ("hard", "soft"):
        for name, batches in ((kind, 3), (f"{kind}.n10", 1), (f"{kind}.n200", 10)):
            assert ARMS[f"digits.{name}"].settings["training"]["epochs"] * batches == pytest.approx(18, abs=2), name
    assert "digits.smoothed.n10" not in ARMS


def test_temperature_and_smoothing_are_tried_with_every_rate_and_labels_with_the_rate_alone() -> None:
    def tried(kind: str) -> set[tuple[float, float | None]]:
        chosen, found = _regulariser_arms.KINDS[kind].chosen, set()
        for need in ARMS[f"digits.{kind}"].needs:
            settings = ARMS[need.arm].settings
            if settings["role"] == "student_grid":
                assert settings["training"]["evaluate_every_epochs"] is None
                found.add((settings["training"]["learning_rate"], settings[chosen[0]] if chosen else None))
        return found

    assert tried("hard") == {(0.05, None), (0.1, None)}
    assert tried("soft") == {(rate, t) for rate in (0.05, 0.1) for t in (1, 5)}
    assert tried("smoothed") == {(rate, e) for rate in (0.05, 0.1) for e in (0.1, 0.3)}
    assert not {"temperature", "smoothing"} & ARMS["digits.soft"].settings.keys()
    assert "smoothing" not in ARMS["digits.smoothed"].settings


def test_rate_and_epochs_of_the_full_net_are_chosen_together(tmp_path: Path) -> None:
    full = ARMS["digits.full"]
    assert not {"learning_rate", "epochs"} & full.settings["training"].keys()
    folders: dict[str, Path] = {}
    for need in full.needs:
        folder = folders[need.arm] = tmp_path / need.arm
        folder.mkdir()
        errors = 10 if need.arm == "digits.full.epochs3.rate0.2" else 20
        tuned.leave(Context("digits", {}, folder), ARMS[need.arm].settings, errors, "epochs")
    assert len(folders) == 4
    work = tmp_path / "full"
    work.mkdir()
    found = RUNS["full"](full, 0, Context("digits", folders, work))
    assert (found.metrics["epochs"], found.metrics["learning_rate"]) == (3, 0.2)
    assert [path.name for path in work.glob("*.json")] == []  # else students would take its rate for theirs
    tried = tmp_path / "digits.full.epochs3.rate0.2"
    again = RUNS["full_grid"](ARMS[tried.name], 0, Context("digits", {}, tried))
    assert again.metrics == found.metrics
    left = json.loads((tried / "tried.json").read_text())
    assert left == {"learning_rate": 0.2, "epochs": 3, "validation_errors": found.metrics["validation_errors"]}
    assert not (tried / nets.LOGITS).exists()


@pytest.mark.parametrize("changes", [{"full_epochs": [3, 6]}, {"full_epochs": [3, 3]}, {"sweep": [10, 60]}])
def test_what_would_be_run_twice_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(changes))} are others than 6.*; leave repeated ones out"):
        Config.model_validate({"tasks": [TASK | changes]})


def test_students_begin_and_see_alike_and_differ_in_their_targets(tmp_path: Path, monkeypatch: Any) -> None:
    given: dict[str, tuple[Tensor, Tensor | None]] = {}
    first: dict[str, Tensor] = {}
    temperatures: dict[str, float | None] = {}
    distilling, train = nets.distilling, nets.train

    def noted(settings, labels, teacher, device):  # type: ignore[no-untyped-def]
        given[kind] = (labels, teacher)
        temperatures[kind] = settings.get("temperature")
        return distilling(settings, labels, teacher, device)

    def watched(model, *rest, **options):  # type: ignore[no-untyped-def]
        first[kind] = next(model.parameters()).detach().clone()
        return train(model, *rest, **options)

    monkeypatch.setattr(nets, "distilling", noted)
    monkeypatch.setattr(nets, "train", watched)
    data = load_once("digits")
    teacher = tmp_path / "full"
    teacher.mkdir()
    logits = torch.randn(len(data.train), 10, generator=torch.Generator().manual_seed(0))
    write_tensors(teacher / nets.LOGITS, {"train": logits, "test": logits[:500].clone()})
    found = {}
    for kind, what in _regulariser_arms.KINDS.items():
        rates = tmp_path / f"{kind}_rates"
        for folder in (rates, tmp_path / kind):
            folder.mkdir()
        best = {"temperature": 5.0, "smoothing": 0.1, "training": {"learning_rate": 0.05}}
        tuned.leave(Context("digits", {}, rates), best, 1, *what.chosen)
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
    assert temperatures == {"hard": None, "smoothed": 1.0, "soft": 5.0}
    took = {
        kind: {k: v for k, v in r.metrics.items() if k in ("temperature", "smoothing")} for kind, r in found.items()
    }
    assert took == {"hard": {}, "smoothed": {"smoothing": 0.1}, "soft": {"temperature": 5.0}}
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
    rows += [row("smoothed", 0, 180, 170, 0) | {"smoothing": 0.1}, row("smoothed", 1, 150, 140, 0) | {"smoothing": 0.1}]
    rows += [row("soft", 0, 80, 75, 6) | {"temperature": 5.0}, row("soft", 1, 70, 70, 9) | {"temperature": 5.0}]
    # Nats of held-out and of test cases at three evaluations: labels rise after the second, the first of two least.
    nats = {"hard": ((0.9, 0.5, 0.5), (0.8, 0.6, 1.0)), "soft": ((0.9, 0.5, 0.4), (0.7, 0.6, 0.3))}
    curves = [
        {"arm": f"digits.{arm}", "seed": seed, "epoch": 2.0 * (at + 1), "split": split, "metric": "cross_entropy"}
        | {"value": value * (seed + 1)}
        for arm, both in nats.items()
        for seed in (0, 1)
        for split, values in zip(("validation", "test"), both, strict=True)
        for at, value in enumerate(values)
    ]
    meta = {"scale": "quick", "data": "digits", "config": CONFIG.model_dump(mode="json")}
    found = Results(tmp_path, meta, rows)
    vars(found)["curves"] = curves  # as if read from its file
    return found


def test_claims_hold_the_end_of_soft_targets_against_labels_stopped_early(tmp_path: Path) -> None:
    answers = {a.id: a for a in soft_regularisers.claims(results(tmp_path))}
    expected = {
        "KD-R04.digits_falls": (-2.0, -10.0),
        "KD-R06.digits_stays": (-1.0, 0.0),
        "KD-R06.digits_stays_better": (1.0, 10.0),
        "KD-R06.digits_against_hard": (24.0, 16.0),
        "KD-R06.digits_against_smoothed": (18.0, 14.0),
        "KD-R06.digits_recovered": (9.0, 6.0),  # of 500: 120 of 150 errors regained, 80 of 100
        "KD-R04.digits_rises": (0.4, 0.8),
        "KD-R06.digits_rises_less": (-0.4, -0.8),
        "KD-R05.digits_against_hard": (-100 * 5 / 60, -100 * 8 / 60),
    }
    for name, differences in expected.items():
        answer = answers[name]
        assert isinstance(answer, Claim)
        assert answer.differences == pytest.approx(differences), name
    recovered, early = answers["KD-R06.digits_recovered"], answers["KD-R04.digits"]
    assert isinstance(recovered, Claim)
    assert "80 % regained, 87 % printed" in recovered.setting
    assert "soft targets at T = 5; 60 cases of digits" in recovered.setting
    assert isinstance(early, Value)
    assert early.ours == pytest.approx((60.0, 70.0))
    smoothed = answers["KD-R06.digits_against_smoothed"]
    assert isinstance(smoothed, Claim)
    assert "stopped early on top of that" in smoothed.departures


def test_a_caption_says_where_more_might_have_been_tried(tmp_path: Path) -> None:
    told = _regulariser_figure._chosen_everywhere(results(tmp_path), CONFIG)
    assert told.endswith("chosen on held-out cases: digits T = 5 (the largest tried) and 0.1 (the least tried). ")
    wider = CONFIG.model_copy(update={"temperatures": (1.0, 5.0, 20.0), "smoothings": (0.1,)})
    assert _regulariser_figure._chosen_everywhere(results(tmp_path), wider).endswith("digits T = 5 and 0.1. ")


def test_channels_are_among_the_settings_and_build_a_convolutional_net() -> None:
    net = _regulariser_arms.SmallNet.model_validate({"channels": [4, 8], "training": {"epochs": 1}})
    settings = net.from_labels(0.1)
    assert settings["channels"] == [4, 8]
    images = LabelledImages(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    built = nets.build(settings, ImageSet("colours", images, images, ("a", "b", "c"), {}), seed=0)
    assert nets.logits_of(built, images.images).shape == (2, 3)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in built) == 2
