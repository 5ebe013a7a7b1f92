"""Experiments of Ren et al. 2022: arms, how rates are chosen, and what results are held against."""

import json
from pathlib import Path

import pytest
import torch

from repro import config
from repro.compare import NotRun, judge
from repro.data.sets import load_once
from repro.errors import UserError
from repro.experiment import Arm, Context
from repro.papers.ren2022 import (
    _contrastive,
    _nets,
    _variance,
    contrastive,
    cost,
    mnist,
    steps_to_target,
    update_cosine,
    variance,
)
from repro.perturb.cost import multiply_adds
from repro.perturb.nets import local_mixer, mlp, patches_of
from repro.perturb.noise import Counter
from repro.perturb.signals import Batch
from repro.published import load
from repro.results import Results

ROOT = Path(__file__).parents[2]
NET = "name: M-1-16, channels: 8, groups: 2, methods: [bp, fg_a, lg_fg_a, frozen], rates: [0.1, 1e-9]"
STUDY = f"held_out: 100, train_cases: 300, nets: [{{{NET}, course: {{epochs: 2, tuning_epochs: 1}}, seeds: 2}}]"


def test_every_method_learns_at_the_rate_that_its_own_tuning_runs_chose(record):
    found = record("ren2022.mnist", STUDY)
    for method in ("bp", "fg_a", "lg_fg_a", "frozen"):
        tried = {r["learning_rate"]: r["validation_errors"] for r in found.rows if f"{method}.rate" in r["arm"] and
                 r["arm"].startswith(f"M-1-16.{method}.")}  # fmt: skip
        assert set(tried) == {0.1, 1e-9}
        chosen = set(found.values(f"M-1-16.{method}", "learning_rate").values())
        assert chosen == {min(tried, key=lambda rate: (tried[rate], rate))}
    assert all(r.get("test_errors") is None for r in found.rows if ".rate" in r["arm"]), (
        "tuning never sees the test set"
    )
    drawn = mnist.figure(found)
    assert {row["method"] for row in drawn.data} == {"bp", "fg_a", "lg_fg_a", "frozen"}
    rows = {a.id: judge(a, load(), same_data=False, data="digits") for a in mnist.claims(found)}
    assert "PS083" in rows
    assert rows["PS083"].verdict == "not_judged"  # other data than the paper's
    assert {"PS083.against_fg_a", "PS083.against_frozen"} <= set(rows)


def test_train_errors_and_nets_of_one_group_are_answered_from_the_same_runs(tmp_path):
    nets = [
        {"name": "S-1-1", "channels": 8, "methods": ["bp", "fg_a", "wp8"], "rates": [0.1]},
        {"name": "M-1-16", "channels": 8, "groups": 2, "methods": ["bp", "lg_fg_a"], "rates": [0.1]},
    ]
    course = {"epochs": 1, "tuning_epochs": 1}
    settings = {"held_out": 10, "nets": [net | {"course": course} for net in nets]}
    row = {"seed": 0, "test_cases": 200, "train_cases": 1000}
    rows = [
        {"arm": arm, "test_errors": errors, "train_errors": 10 * errors, **row}
        for arm, errors in (
            ("S-1-1.bp", 2),
            ("S-1-1.fg_a", 8),
            ("S-1-1.wp8", 9),
            ("M-1-16.bp", 4),
            ("M-1-16.lg_fg_a", 6),
        )
    ]
    answers = {answer.id: answer for answer in mnist.claims(Results(tmp_path, {"config": settings}, rows))}
    ours = {name: answer.ours for name, answer in answers.items() if "." not in name}
    assert ours == {
        "PS001": (1.0,), "PS002": (2.0,), "PS017": (1.0,), "PS018": (2.0,),  # BP, and LG-BP with one group
        "PS065": (4.0,), "PS066": (8.0,), "PS081": (4.0,), "PS082": (8.0,),  # FG-A and LG-FG-A
        "PS003": (2.0,), "PS004": (4.0,), "PS083": (3.0,), "PS084": (6.0,),
    }  # fmt: skip
    assert answers["PS018"].setting == "LG-BP, S-1-1, which is BP with one block, patch and group"
    printed = load()
    for test_row in mnist.PRINTED.values():
        train_row = printed[f"PS{int(test_row[2:]) + 1:03d}"]
        assert (printed[test_row].quantity, train_row.quantity) == ("test error", "train error")
        assert train_row.setting == printed[test_row].setting


def test_a_rate_that_diverges_loses_the_search_and_does_not_end_it(tmp_path):
    settings = {
        "net": {"blocks": 1, "patches": 1, "channels": 8, "groups": 1}, "method": "bp", "train_cases": 200,
        "held_out": 50, "tuning": True, "learning": {"epochs": 1, "learning_rate": 1e38, "momentum": 0.0},
    }  # fmt: skip
    context = Context("digits", {}, tmp_path)
    metrics = _nets.run_study(Arm("x", settings, 1), 0, context).metrics
    assert metrics["validation_errors"] == metrics["validation_cases"] == 50
    assert json.loads((tmp_path / _nets.VALIDATION).read_text())["errors"] == 50


def test_more_cases_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match="only 1297 training cases"):
        _nets.part(load_once("digits").train, 5000)


def test_every_paper_config_names_the_printed_nets():
    for name, count in (("S-1-1", 271_892), ("M-1-16", 429_076)):
        nets = {net.name: net for net in config.load(ROOT / "config/paper.yaml").section("ren2022.mnist").config.nets}
        assert local_mixer(**nets[name].shape, side=28, colours=1, classes=10).parameter_count() == count
    (net,) = config.load(ROOT / "config/paper.yaml").section("ren2022.cifar100_coarse").config.nets
    assert local_mixer(**net.shape, side=32, colours=3, classes=10).parameter_count() == 918_770


def test_variance_formulas_are_those_of_table_1():
    moments = _variance.Moments(variance=6.0, squared_mean=0.5)
    assert _variance.gaussian(10, 3, moments, shared=True) == pytest.approx(12 / 3 * 6 + 11 * 0.5)
    assert _variance.gaussian(10, 3, moments, shared=False) == pytest.approx(12 / 3 * 6 + 11 / 3 * 0.5)
    assert _variance.signs(10, 3, moments, shared=True) == pytest.approx(10 / 3 * 6 + 9 * 0.5)


def test_measured_variance_is_near_the_predicted_one(record):
    found = record(
        "ren2022.variance",
        "seeds: 2, widths: [4], depths: [1], batch_sizes: [2], draws: 80, pool: 40, warm_up_steps: 5",
    )
    for key in (*variance.FORMULAS, "units_own_signs"):
        for value in found.values("width4.depth1.batch2", f"{key}_ratio").values():
            assert 0.5 < value < 2, key
    row = found.rows[0]
    assert row["weights_own_noise"] > 5 * row["units_own_noise"]
    assert variance.figure(found).data
    assert {a.id for a in variance.claims(found)} >= {"PS155.above", "PS158.below"}


def test_the_slower_the_steps_the_nearer_to_backprop(record):
    found = record("ren2022.update_cosine", "seeds: 2, hidden: [8], rates: [0.3, 0.01], way: 1")
    assert min(found.paired("rate0.01", "rate0.3", "cosine")) > 0
    assert len(update_cosine.figure(found).data) > 4
    assert update_cosine.claims(found)[0].differences == tuple(found.paired("rate0.01", "rate0.3", "cosine"))


def test_steps_to_the_target_are_counted_at_the_best_rate(record):
    found = record(
        "ren2022.steps_to_target",
        "seeds: 1, widths: [4, 16], rates: [0.3, 1e-9], target_loss: 1.5, max_steps: 60, methods: [bp, fg_a, frozen]",
    )
    settings = steps_to_target.Config.model_validate(found.config)
    slow = found.values(steps_to_target.arm_name(16, "bp", 1e-9), "steps")
    assert slow == {0: 60}
    assert steps_to_target.best(found, settings, 16, "bp")[0] < 60
    assert steps_to_target.figure(found).data


def recorded_steps(tmp_path, steps: dict[str, dict[int, list[int]]]) -> Results:
    """Steps to the target by method, width and seed, at one rate."""
    settings = steps_to_target.Config(
        widths=(4, 16, 64), methods=tuple(steps), rates=(0.1,), target_loss=1, max_steps=100, seeds=2
    )
    rows = [
        {"arm": steps_to_target.arm_name(width, method, 0.1), "seed": seed, "steps": count}
        for method, by_width in steps.items()
        for width, counts in by_width.items()
        for seed, count in enumerate(counts)
    ]
    return Results(tmp_path, {"config": settings.model_dump(mode="json")}, rows)


def test_growth_with_width_is_claimed_where_the_target_is_reached(tmp_path):
    steps = {
        "bp": {4: [40, 50], 16: [20, 10], 64: [10, 10]},
        "fg_a": {4: [100, 90], 16: [40, 40], 64: [50, 60]},  # a seed that ran out of steps at width 4
        "fg_w": {4: [100, 100], 16: [100, 100], 64: [99, 80]},
        "frozen": {4: [100, 100], 16: [100, 100], 64: [30, 70]},
    }
    answers = {answer.id: answer for answer in steps_to_target.claims(recorded_steps(tmp_path, steps))}
    assert answers["PS263.growth"].differences == pytest.approx((5 / 2, 6 / 4))
    assert "width 64 over width 16" in answers["PS263.growth"].quantity
    assert isinstance(answers["PS262.growth"], NotRun)
    assert answers["PS263.width64_against_frozen"].differences == (20, -10)
    assert answers["PS262.width4_against_frozen"].differences == (0, 0)
    assert answers["PS262.width64"].differences == pytest.approx((99 / 50, 80 / 60))


def test_contrastive_features_are_read_out_and_random_ones_are_the_control(record):
    settings = (
        "seeds: 1, patches: 2, channels: 8, groups: 2, rates: [0.1], ways: [activities, random], held_out: 50, "
        "train_cases: 200, course: {epochs: 1, tuning_epochs: 1, batch_size: 50}, "
        "readout: {epochs: 3, tuning_epochs: 3, batch_size: 50}"
    )
    found = record("ren2022.contrastive", settings)
    assert found.values("activities", "contrastive_loss")
    assert not found.values("random", "contrastive_loss")
    (claim,) = contrastive.claims(found)
    assert claim.differences == tuple(found.paired("activities", "random", "test_errors"))
    assert {row["way"] for row in contrastive.figure(found).data} == {"activities", "random"}


def test_costs_are_shown_beside_the_printed_ratios_and_not_judged(record):
    found = record("ren2022.cost", "sizes: [20, 16, 16, 4], batch_size: 8, rounds: 2")
    assert found.rows[0]["bp_time"] == 1
    assert {judge(a, load()).verdict for a in cost.claims(found)} == {"undecided"}
    assert len(cost.figure(found).data) == 3 * 7


def test_multiply_adds_are_those_of_the_linear_maps():
    net = mlp((7, 5, 3, 2))
    maps, above, head = 7 * 5 + 5 * 3, 5 * 3, 3 * 2
    assert multiply_adds(net, "bp") == 2 * maps + above + 3 * head
    assert multiply_adds(net, "frozen") == maps + 2 * head
    mixer = local_mixer(blocks=2, patches=2, channels=8, groups=2, side=4, colours=1, classes=3)
    blocks = [4 * (4 * 8) + 4 * (8 * 4), 4 * 4 * 8 + 4 * (8 * 8) + 4 * (8 * 4)]
    assert multiply_adds(mixer, "frozen") == sum(blocks) + 2 * 8 * 3
    within = 4 * (8 * 4) + 4 * (8 * 8) + 4 * (8 * 4)
    assert multiply_adds(mixer, "lg_fg_a") == 2 * sum(blocks) + within + 3 * (8 * 3) * 3


def test_the_same_run_gives_the_same_numbers(tmp_path):
    arm = variance.arms(
        variance.Config(widths=(4,), depths=(1,), batch_sizes=(2,), draws=10, pool=10, warm_up_steps=2)
    )[0]
    first, second = (_variance.measure(arm, 0, Context("digits", {}, tmp_path)).metrics for _ in range(2))
    assert first == second
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("experiment", ["mnist", "cifar100_coarse", "contrastive"])
def test_groups_that_do_not_divide_the_channels_are_told_by_file_and_key(tmp_path, experiment):
    text = (ROOT / "config" / "quick.yaml").read_text()
    own = text.index(f"  {experiment}:", text.index("\nren2022:"))
    at = text.index("groups: ", own)
    bad = tmp_path / "bad.yaml"
    bad.write_text(text[:at] + "groups: 7" + text[text.index("\n", at) :])
    with pytest.raises(UserError, match=rf"bad\.yaml: ren2022\.{experiment}.*: 7 groups do not divide \d+ channels"):
        config.load(bad)


def test_a_blank_patch_does_not_blow_up_the_step_after_the_first():
    images = torch.zeros(12, 8, 8, dtype=torch.uint8)
    images[:, :4, :4] = torch.randint(0, 256, (12, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    net = local_mixer(blocks=2, patches=2, channels=8, groups=2, side=8, colours=1, classes=3)
    batch = Batch(patches_of(images, 2), torch.zeros(12, dtype=torch.long))
    estimator = _contrastive.estimators(0.2)["backprop"]

    def second_gradient(bias_deviation: float) -> float:
        parameters = _contrastive.with_random_biases(_nets.start(net, 0, "cpu"), bias_deviation, 0)
        for step in (1, 2):
            gradient = estimator(net, parameters, batch, Counter(0, step)).gradient
            for name, value in gradient.items():
                parameters[name].sub_(value, alpha=1e-4)
        return float(sum((value**2).sum() for value in gradient.values()) ** 0.5)

    assert second_gradient(0.0) > 10 * second_gradient(0.1)
