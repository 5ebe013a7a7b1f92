"""Ensembles that differ in initial weights alone, their means, their students, and the share kept."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor

from repro.compare import Claim, Value
from repro.data.sets import load_once
from repro.experiment import Context
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015 import ensembles
from repro.papers.hinton2015._ensemble_arms import chosen_temperature, shares_kept
from repro.papers.hinton2015._ensemble_runs import MEMBERS, RUNS
from repro.papers.hinton2015._few_labels import few_labels
from repro.papers.hinton2015.ensembles import Config
from repro.results import Results
from repro.training.checkpoint import write_tensors

TRAINING = {"epochs": 2, "batch_size": 32, "precision": "float32"}
TASK = {
    "data": "digits", "cases": 100, "held_out": 300, "net": {"hidden": [8], "training": TRAINING},
    "rates": [0.05, 0.1], "ensembles": 2, "students": 2,
}  # fmt: skip
CONFIG = Config.model_validate({"members": 3, "temperatures": [1, 2], "tasks": [TASK]})
ARMS = {arm.name: arm for arm in ensembles.arms(CONFIG)}


def context(work: Path, **inputs: Path) -> Context:
    work.mkdir(parents=True, exist_ok=True)
    return Context("digits", inputs, work, name="test")


def grid_folder(folder: Path) -> Path:
    folder.mkdir()
    tuned.leave(Context("digits", {}, folder), {"training": {"learning_rate": 0.05}}, 1)
    return folder


def test_members_of_one_ensemble_differ_in_initial_weights_alone(tmp_path: Path, monkeypatch: Any) -> None:
    begun: list[tuple[Tensor, list[Tensor], Tensor]] = []  # first weights, batches in order, labels
    train, distilling = nets.train, nets.distilling

    def watched(model, inputs, objective, cases, settings, **options):  # type: ignore[no-untyped-def]
        first, batches = next(model.parameters()).detach().clone(), []

        def seen(logits: Tensor, index: Tensor) -> Tensor:
            batches.append(index)
            return objective(logits, index)

        begun.append((first, batches, labels[-1]))
        return train(model, inputs, seen, cases, settings, **options)

    labels: list[Tensor] = []

    def noted(settings, of_cases, *rest):  # type: ignore[no-untyped-def]
        labels.append(of_cases)
        return distilling(settings, of_cases, *rest)

    monkeypatch.setattr(nets, "train", watched)
    monkeypatch.setattr(nets, "distilling", noted)
    rates = grid_folder(tmp_path / "rates")
    for member, seed in ((1, 0), (2, 0), (1, 1)):
        arm = ARMS[f"digits.net{member}"]
        RUNS[arm.settings["role"]](arm, seed, context(tmp_path / f"{member}.{seed}", rates=rates))
    (w1, order1, cases1), (w2, order2, cases2), (w3, order3, cases3) = begun
    assert not torch.equal(w1, w2)
    assert torch.equal(torch.cat(order1), torch.cat(order2))
    assert torch.equal(cases1, cases2)
    assert not torch.equal(w1, w3)
    assert not torch.equal(torch.cat(order1), torch.cat(order3))
    assert not torch.equal(cases1, cases3)


def left_by_members(tmp_path: Path, count: int) -> dict[str, Path]:
    data = load_once("digits")
    generator = torch.Generator().manual_seed(0)
    folders = {}
    for member in range(count):
        folder = tmp_path / f"m{member}"
        folder.mkdir()
        logits = {s: 2 * torch.randn(len(getattr(data, s)), 10, generator=generator) for s in ("train", "test")}
        logits["test"][torch.arange(500), data.test.labels] += 3
        write_tensors(folder / nets.LOGITS, logits)
        folders[f"m{member}"] = folder
    return folders


def test_both_means_are_judged_and_the_members_left_aligned(tmp_path: Path) -> None:
    data = load_once("digits")
    folders = left_by_members(tmp_path, 3)
    arm = ARMS["digits.ensemble"]
    found = RUNS[arm.settings["role"]](arm, 1, context(tmp_path / "work", **folders)).metrics
    left = [nets.left_logits(folder) for folder in folders.values()]
    p = np.stack([softmax(logits["test"].double().numpy(), axis=1) for logits in left])
    truth = data.test.labels.numpy()
    assert found["test_errors"] == int((p.mean(0).argmax(1) != truth).sum())
    assert found["geometric_test_errors"] == int((p.prod(0).argmax(1) != truth).sum())
    assert found["members_test_errors"] == pytest.approx(np.mean([(one.argmax(1) != truth).sum() for one in p]))
    index = few_labels(arm.settings, data, 1).index
    assert torch.equal(
        nets.load_file(tmp_path / "work" / MEMBERS)["train"], torch.stack([one["train"][index] for one in left])
    )


def test_a_student_learns_from_its_ensemble_case_by_case(tmp_path: Path, monkeypatch: Any) -> None:
    given: list[tuple[Tensor, Tensor]] = []
    distilling = nets.distilling

    def noted(settings, labels, teacher, device):  # type: ignore[no-untyped-def]
        given.append((labels, teacher))
        return distilling(settings, labels, teacher, device)

    monkeypatch.setattr(nets, "distilling", noted)
    folders, teacher = left_by_members(tmp_path, 3), ARMS["digits.ensemble"]
    RUNS["teacher"](teacher, 1, context(tmp_path / "ensemble", **folders))
    arm = ARMS["digits.from_ensemble.t2"]
    seed = 3  # of two ensembles: the second
    inputs = {"ensemble": tmp_path / "ensemble", "rates": grid_folder(tmp_path / "rates")}
    found = RUNS["student"](arm, seed, context(tmp_path / "student", **inputs))
    assert found.metrics["learning_rate"] == 0.05
    data = load_once("digits")
    index = few_labels(arm.settings, data, 1).index
    labels, logits = given[0]
    assert torch.equal(labels, data.train.labels[index])
    softened = [softmax(nets.left_logits(f)["train"][index].double().numpy() / 2, axis=1) for f in folders.values()]
    np.testing.assert_allclose(softmax(logits.double().numpy() / 2, axis=1), np.mean(softened, 0), atol=1e-6)


def results(tmp_path: Path, errors: dict[str, list[int]], validation: dict[str, int]) -> Results:
    """Test errors of 500 by arm and seed; ``ensemble`` beside the mean of its members, 50 errors each."""
    rows: list[dict[str, Any]] = []
    for arm, found in errors.items():
        for seed, count in enumerate(found):
            row = {"arm": f"digits.{arm}", "seed": seed, "test_errors": count, "test_cases": 500}
            row |= {"settings.ensembles": 2, "validation_errors": validation.get(arm, 0)}
            if arm == "ensemble":
                row |= {"members_test_errors": 50.0, "geometric_test_errors": count + 1}
            rows.append(row)
    meta = {"scale": "quick", "data": "digits", "config": CONFIG.model_dump(mode="json")}
    return Results(tmp_path, meta, rows)


def test_shares_are_by_ensemble_at_the_temperature_chosen_on_held_out_cases(tmp_path: Path) -> None:
    errors = {"ensemble": [40, 30], "from_ensemble.t1": [0] * 4, "from_ensemble.t2": [44, 34, 40, 30]}
    found = results(tmp_path, errors, {"from_ensemble.t1": 9, "from_ensemble.t2": 8})
    task = CONFIG.tasks[0]
    assert chosen_temperature(found, task, "ensemble", CONFIG) == 2  # though T = 1 has fewer test errors
    # Ensemble 0: 50 -> 40, its students (seeds 0 and 2) 44 and 40; ensemble 1: 50 -> 30, students 34 and 30.
    whole, alone = 100 * (8 + 18) / (10 + 20), {0: 80.0, 1: 90.0}
    expected = (2 * whole - alone[1], 2 * whole - alone[0])
    assert shares_kept(found, task, "ensemble", CONFIG) == pytest.approx(expected)
    assert chosen_temperature(found, task, "one", CONFIG) is None
    assert shares_kept(found, task, "one", CONFIG) == ()


def test_an_ensemble_that_gains_nothing_has_no_share(tmp_path: Path) -> None:
    found = results(tmp_path, {"ensemble": [50, 30], "from_ensemble.t1": [44, 34]}, {})
    assert all(map(math.isnan, shares_kept(found, CONFIG.tasks[0], "ensemble", CONFIG)))


def test_claims_pair_ensembles_and_take_the_printed_bound(tmp_path: Path) -> None:
    errors = {"ensemble": [40, 30], "from_ensemble.t2": [44, 34, 40, 30], "from_one.t1": [45, 45, 45, 45]}
    answers = {a.id: a for a in ensembles.claims(results(tmp_path, errors, {}))}
    most = answers["KD-S15.digits_most"]
    assert isinstance(most, Claim)
    assert (most.null, most.direction) == (0, "greater")
    points = 100 / 500  # a case
    assert most.differences == pytest.approx([(8 - 0.8 * 10) * points, (18 - 0.8 * 20) * points], abs=1e-9)
    gain = answers["KD-S08.digits_gain"]
    against_one = answers["KD-S10.digits_against_one"]
    assert isinstance(gain, Claim) and isinstance(against_one, Claim)  # noqa: PT018 (for the type checker)
    assert gain.differences == pytest.approx((2.0, 4.0))  # per cent of 500
    assert against_one.differences == pytest.approx((0.6, 2.6))
    single = answers["KD-S06.digits"]
    assert isinstance(single, Value)
    assert single.ours == pytest.approx((90.0, 90.0))


def test_the_figure_shows_differences_within_ensembles(tmp_path: Path) -> None:
    errors = {
        "ensemble": [40, 30], "from_ensemble.t1": [45, 35, 45, 35], "from_ensemble.t2": [44, 34, 40, 30],
        "from_one.t1": [45, 40, 45, 40],
    }  # fmt: skip
    found = results(tmp_path, errors, {"from_ensemble.t1": 9, "from_ensemble.t2": 8})
    drawing = ensembles.figure(found)
    points, single = 100 / 500, 50  # a case; errors of single nets
    shown = {(row["net"], row.get("of")): row for row in drawing.data}
    mean = shown["mean of p", "mean"]
    assert (mean["points"], mean["n"]) == (pytest.approx(points * (single - 35)), 2)
    at_two = shown["T = 2", "ensemble"]
    assert at_two["points"] == pytest.approx(points * (single - (42 + 32) / 2))
    assert (at_two["chosen"], shown["T = 1", "ensemble"]["chosen"]) == (True, False)
    claims = {a.id.partition("digits_")[2]: a for a in ensembles.claims(found) if isinstance(a, Claim)}
    for tick, name in (("… student of one net", "against_one"), ("… 80 % of the gain", "most")):
        assert shown[tick, "less"]["points"] == pytest.approx(np.mean(claims[name].differences))
    assert shown["single", None]["test_error_percent"] == pytest.approx(10)
    printed = (60.8 - 58.9) / (61.1 - 58.9)
    assert shown["printed share of the ensemble's gain", None]["points"] == pytest.approx(printed * mean["points"])
    assert ("T = 2", "one") not in shown
    assert "n = 2" in drawing.caption


def test_a_student_that_learned_nothing_does_not_set_the_axis(tmp_path: Path) -> None:
    errors = {"ensemble": [40, 30], "from_ensemble.t1": [450] * 4, "from_ensemble.t2": [44, 34, 40, 30]}
    drawing = ensembles.figure(results(tmp_path, errors, {"from_ensemble.t1": 9, "from_ensemble.t2": 8}))
    (panel,) = drawing.figure.axes
    low, high = panel.get_ylim()
    shown = {row["net"]: row for row in drawing.data}
    assert shown["T = 1"]["points"] < 2 * low < 0
    assert low < shown["T = 2"]["low"] < shown["T = 2"]["high"] < high
    assert "↓ −80.0" in [text.get_text() for text in panel.texts]
    assert "learned nothing" in drawing.caption


@pytest.mark.parametrize("done", [[], ["from_ensemble.t1"], ["ensemble"]])
def test_figures_of_a_study_half_done_can_be_drawn(tmp_path: Path, done: list[str]) -> None:
    drawing = ensembles.figure(results(tmp_path, {arm: [40] for arm in done}, {}))
    drawing.figure.draw_without_rendering()
    nets = {"mean of p", "mean of log p", "printed share of the ensemble's gain", "single"}
    assert {row["net"] for row in drawing.data} == (nets if done == ["ensemble"] else set())


def test_arms_are_tuned_alike_and_the_control_differs_in_its_teacher_alone() -> None:
    for name in ("digits.net1", "digits.from_ensemble.t1", "digits.from_ensemble.t2", "digits.from_one.t2"):
        grid = [need.arm for need in ARMS[name].needs if ".rate" in need.arm]
        assert {need.rpartition(".rate")[0] for need in grid} == {name.replace("net1", "net")}
        assert [rate.rpartition(".rate")[2] for rate in grid] == ["0.05", "0.1"]
        assert "learning_rate" not in ARMS[name].settings["training"]
    student, control = ARMS["digits.from_ensemble.t2"], ARMS["digits.from_one.t2"]
    assert student.settings == control.settings
    assert student.needs[0].arm == "digits.ensemble"
    assert control.needs[0].arm == "digits.one"
    assert [n.arm for n in ARMS["digits.one"].needs] == ["digits.net1"]
    assert len(ARMS["digits.ensemble"].needs) == 3
    assert {arm.data for arm in ARMS.values()} == {"digits"}
