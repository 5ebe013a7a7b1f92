"""Few labels, rates from a grid, early stopping: what sections 4 and 6 share."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from repro.data.sets import load_once
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._few_labels import few_labels, of_a_grid
from repro.papers.hinton2015._regulariser_runs import early_stopped
from repro.training.curves import Point
from repro.training.loop import DivergedError


def drawn(cases: int | None, seed: int) -> Tensor:
    return few_labels({"cases": cases, "held_out": 300}, load_once("digits"), seed).index


def test_cases_seen_and_held_out_are_apart_and_what_they_say() -> None:
    data = load_once("digits")
    seen = few_labels({"cases": 200, "held_out": 300}, data, seed=1)
    assert not set(seen.index.tolist()) & set(seen.validation_index.tolist())
    assert (len(seen.cases), len(seen.validation), len(seen.test)) == (200, 300, 500)
    assert torch.equal(seen.cases.images, data.train.images[seen.index])
    assert torch.equal(seen.cases.labels, data.train.labels[seen.index])
    assert torch.equal(seen.validation.labels, data.train.labels[seen.validation_index])
    assert seen.cases.labels.bincount().tolist() == [20] * 10
    whole = few_labels({"cases": None, "held_out": 300}, data, seed=1)
    assert sorted(whole.index.tolist() + whole.validation_index.tolist()) == list(range(len(data.train)))


def test_draws_are_nested_and_differ_by_seed_while_validation_does_not() -> None:
    assert set(drawn(50, 3).tolist()) < set(drawn(200, 3).tolist()) < set(drawn(None, 3).tolist())
    assert not torch.equal(drawn(200, 3), drawn(200, 4))
    data = load_once("digits")
    held = [few_labels({"cases": n, "held_out": 300}, data, s).validation_index for n, s in ((50, 0), (200, 5))]
    assert torch.equal(*held)


def test_more_cases_than_are_left_are_refused() -> None:
    with pytest.raises(UserError, match="1200 cases asked for, 997 are there"):
        drawn(1200, 0)


def tried(folder: Path, rate: float, errors: float) -> Path:
    folder.mkdir()
    tuned.leave(Context("digits", {}, folder), {"training": {"learning_rate": rate}}, errors)
    return folder


@pytest.mark.parametrize(
    ("errors", "best"),
    [([30, 10, 20], 0.2), ([10, 10, 20], 0.1), ([math.inf, math.inf, 5], 0.4), ([math.inf] * 3, 0.1)],
)
def test_the_rate_with_the_fewest_validation_errors_is_taken(tmp_path: Path, errors: list[float], best: float) -> None:
    folders = {f"a.rate{r}": tried(tmp_path / str(r), r, e) for r, e in zip((0.1, 0.2, 0.4), errors, strict=True)}
    context = Context("digits", {**folders, "teacher": tmp_path}, tmp_path)
    settings = tuned.without_rate({"hidden": [3], "training": {"epochs": 2, "learning_rate": 9.0}})
    assert settings == {"hidden": [3], "training": {"epochs": 2}}
    chosen = tuned.with_best(settings, context)
    assert chosen == {"hidden": [3], "training": {"epochs": 2, "learning_rate": best}}
    assert tuned.told(chosen) == {"learning_rate": best}
    assert tuned.with_best({"training": {"learning_rate": 9.0}}, context)["training"]["learning_rate"] == 9.0


def test_a_rate_that_fails_on_one_of_its_seeds_is_not_taken(tmp_path: Path) -> None:
    found = {0.1: (10, 900), 0.05: (30, 40)}
    folders = {
        f"a.rate{rate}.{seed}": tried(tmp_path / f"{rate}.{seed}", rate, errors)
        for rate, both in found.items()
        for seed, errors in enumerate(both)
    }
    chosen = tuned.with_best({"training": {}}, Context("digits", folders, tmp_path))
    assert chosen["training"]["learning_rate"] == 0.05
    arms = tuned.grid("a", (0.05, 0.1), lambda rate: {"rate": rate}, seeds=2, data="digits")
    assert [(need.arm, need.seed) for need in tuned.wanted(arms)] == [
        ("a.rate0.05", 0), ("a.rate0.05", 1), ("a.rate0.1", 0), ("a.rate0.1", 1),
    ]  # fmt: skip


def test_what_is_tried_with_a_rate_is_chosen_with_it(tmp_path: Path) -> None:
    sums = {(0.1, 1.0): (10, 90), (0.1, 5.0): (30, 40), (0.2, 1.0): (20, 60), (0.2, 5.0): (35, 35)}
    folders = {}
    for (rate, temperature), both in sums.items():
        for seed, errors in enumerate(both):
            folder = tmp_path / f"{rate}.{temperature}.{seed}"
            folder.mkdir()
            whole = {"temperature": temperature, "training": {"learning_rate": rate}}
            tuned.leave(Context("digits", {}, folder), whole, errors, "temperature")
            folders[folder.name] = folder
    asked = tuned.without_rate({"cases": 7, "temperature": 3.0, "training": {"learning_rate": 9.0}}, "temperature")
    assert asked == {"cases": 7, "training": {}}
    chosen = tuned.with_best(asked, Context("digits", folders, tmp_path))
    assert chosen == {
        "cases": 7,
        "temperature": 5.0,
        "training": {"learning_rate": 0.1},
    }  # the lower of two rates at 70
    assert tuned.told(chosen, "temperature") == {"learning_rate": 0.1, "temperature": 5.0}


def test_no_rate_and_no_grid_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="coin: has no learning rate and needs no grid"):
        tuned.with_best({"training": {}}, Context("digits", {"x": tmp_path}, tmp_path, name="coin"))


def test_a_rate_of_a_grid_at_which_the_loss_diverges_loses_and_other_errors_pass(tmp_path: Path) -> None:
    def fails(error: Exception) -> Result:
        raise error

    arm = Arm("a.rate3", {"training": {"learning_rate": 3.0}}, 1)
    context = Context("digits", {}, tmp_path)
    found = of_a_grid(lambda *_: fails(DivergedError("x: the loss is nan")))(arm, 0, context)
    assert found.metrics == {"diverged": 1, "learning_rate": 3.0}
    other = replace(context, inputs={"a.rate3": tmp_path, "a.rate1": tried(tmp_path / "1", 1.0, 500)})
    assert tuned.with_best({"training": {}}, other)["training"]["learning_rate"] == 1.0
    with pytest.raises(RuntimeError, match="disk"):
        of_a_grid(lambda *_: fails(RuntimeError("disk")))(arm, 0, context)


def test_early_stopping_is_by_validation_alone_and_takes_the_first_of_equals() -> None:
    table = {2: (9, 7, 1), 4: (5, 4, 8), 6: (3, 4, 2), 8: (0, 6, 0)}  # epoch: train, validation, test errors
    points = [
        Point(epoch, 10 * epoch, split, metric, value)
        for epoch, errors in table.items()
        for split, count in zip(("train", "validation", "test"), errors, strict=True)
        for metric, value in (("errors", float(count)), ("cross_entropy", 0.1 * epoch))
    ]
    points += [Point(epoch, 10 * epoch, "train", "loss", 0.5) for epoch in range(1, 9)]
    found = early_stopped(points)
    assert found == {
        "stopped_epoch": 4, "stopped_train_errors": 5, "stopped_validation_errors": 4, "stopped_test_errors": 8,
    }  # fmt: skip
