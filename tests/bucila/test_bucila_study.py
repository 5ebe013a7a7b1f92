"""The study itself: splits, what is claimed, and figures, on scikit-learn's tables."""

import numpy as np
import pytest
from pydantic import ValidationError

from repro import config
from repro.compare import judge
from repro.errors import UserError
from repro.machine import ROOT
from repro.papers.bucila2006 import _figures, _fitting, _printed, _problems, _study, adult, adult_mimics, letters
from repro.papers.bucila2006._arms import Cases, Mimic, MimicTraining, Sweep, Training
from repro.published import load as load_published
from repro.results import Results

CASES = {"train": 100, "validation": 50, "test": 200, "pool": 1}


def test_splits_part_the_cases_and_are_scaled_by_the_training_cases():
    one, other = (_problems.problem("breast-cancer", "adult", CASES, seed) for seed in (0, 1))
    rows = {split: {tuple(row) for row in getattr(one, split).continuous} for split in ("train", "validation", "test")}
    assert [len(rows[split]) for split in rows] == [100, 50, 200]
    assert not rows["train"] & rows["validation"]
    assert not rows["train"] & rows["test"]
    assert not rows["validation"] & rows["test"]
    assert one.train.continuous.min() == 0
    assert one.train.continuous.max() == 1
    assert not np.array_equal(one.labels["train"], other.labels["train"])
    inputs = one.coded["train"]
    assert np.allclose(inputs.mean(0), 0, atol=1e-5)
    assert np.allclose(inputs.std(0), 1, atol=1e-5)


def test_more_cases_than_there_are_is_refused():
    with pytest.raises(UserError, match="1150 cases asked for, 569 are there"):
        _problems.problem("breast-cancer", "adult", CASES | {"test": 1000}, 0)


def test_tasks_and_pooled_pixels():
    split = _problems.problem("digits", "p1", CASES | {"pool": 2}, 0)
    assert split.train.continuous.shape == (100, 16)
    table, labels = _problems._whole("digits", 2)
    assert len(table) == 1797
    assert _problems.TASKS["p1"](labels).sum() == (labels == 0).sum()
    assert _problems.TASKS["p2"](labels).sum() == (labels < 5).sum()
    whole, _ = _problems._whole("digits", 1)
    assert np.isclose(table.continuous[7, 0], whole.continuous[7].reshape(8, 8)[:2, :2].mean())
    with pytest.raises(UserError, match="do not part into squares of 3"):
        _problems.problem("digits", "p1", CASES | {"pool": 3}, 0)


def test_every_mimic_takes_the_same_number_of_steps_whatever_its_cases():
    training = Training(steps=1000, batch_size=50, rates=(0.1,))
    for cases in (500, 5000, 50_000):
        settings = training.settings(cases, 0.1)
        assert abs(settings["epochs"] * cases / 50 - 1000) < 0.5 * cases / 50 + 1


def test_a_mimic_has_no_rates_of_its_own():
    with pytest.raises(ValidationError, match="mimics take the rate that choice found"):
        Mimic.model_validate({"training": {"steps": 10, "rates": [0.3]}})
    own = Mimic.model_validate({"training": {"steps": 10}})
    assert own.training.model_dump(mode="json")["rates"] == [0.1], "in the digests of rows on record"
    assert Mimic.model_validate(own.model_dump(mode="json")) == own


def test_rivals_end_where_their_cases_do():
    config = Sweep(
        cases=Cases(train=100, validation=1, test=1), multiplier=50, sizes=(100, 1000, 5000), rivals_multiplier=10,
        units=(1, 2), units_size=100, training=MimicTraining(steps=1),
    )  # fmt: skip
    assert config.sizes_of("munge") == (100, 1000, 5000)
    assert config.sizes_of("random") == (100, 1000)


def test_an_ensemble_fitted_again_labels_alike(tmp_path):
    from repro.experiment import Arm, Context

    settings = {"task": "adult", "cases": CASES, "members": ["neighbours.5", "tree.leaf5", "svm.0.05.3", "logistic.1"]}
    settings |= {"rounds": 10, "start": 2, "bags": 1, "share": 1.0}
    result = _study.run_ensemble(Arm("adult.ensemble", settings, 1), 0, Context("breast-cancer", {}, tmp_path))
    split = _problems.problem("breast-cancer", "adult", CASES, 0)
    again = _study._left_ensemble(split, tmp_path, 0)
    judged = _fitting.judged(again.probability(split.coded["test"]), split, "test")
    assert judged["test_rmse"] == result.metrics["test_rmse"]
    assert result.metrics["validation_rmse"] <= result.metrics["single_validation_rmse"] + 1e-9
    sizes = {row["model"]: row["bytes"] for row in result.tables["costs"]}
    assert sizes["ensemble"] >= sizes["single"] > 0


def test_best_is_by_validation_not_by_test():
    from repro.training.curves import Point

    points = [
        Point(1, 5, "train", "loss", 1.0),
        Point(1, 5, "validation", "rmse", 0.3),
        Point(1, 5, "test", "rmse", 0.5),
        Point(2, 10, "train", "loss", 0.5),
        Point(2, 10, "validation", "rmse", 0.4),
        Point(2, 10, "test", "rmse", 0.2),
    ]
    found = _fitting.best(points)
    assert (found["best_epoch"], found["validation_rmse"], found["test_rmse"]) == (1, 0.3, 0.5)


@pytest.fixture(scope="module")
def adult_results(quick_results):
    return quick_results("adult")


def test_claims_name_every_printed_problem(adult_results):
    rows = [judge(answer, load_published(), same_data=False) for answer in adult.claims(adult_results)]
    names = [row.id for row in rows]
    assert len(set(names)) == len(names)
    for problem in ("adult", "covtype", "hs", "medis", "mg", "slac", "average"):
        assert any(name.startswith(f"MC-T2-{problem}.mimic") for name in names)
    absent = [row for row in rows if "MC-T2-slac" in row.id]
    assert {row.verdict for row in absent} == {"not_run"}
    assert all("never published" in row.departures for row in absent)
    ours = {row.id: row for row in rows}
    assert ours["MC-T2-adult.mimic"].verdict == "not_judged"  # another data set than the paper's
    assert ours["MC-T2-adult.mimic"].ours_n == 2
    assert ours["MC-T2-adult.mimic.against_net"].kind == "claim"
    assert ours["MC-T4-adult.ensemble"].ours > ours["MC-T4-adult.mimic"].ours > 0


def test_the_share_kept_is_of_the_gain_of_the_same_split(adult_results):
    net, mimic, ensemble = (_printed.test_rmse(adult_results, "adult", m) for m in ("net", "mimic", "ensemble"))
    expected = [(net[s] - mimic[s]) - 0.5 * (net[s] - ensemble[s]) for s in (0, 1)]
    assert _printed.kept_beyond(adult_results, "adult", 0.5) == pytest.approx(expected)


def test_figures_of_a_study_half_done_can_be_drawn(adult_results):
    drawing = adult.figure(adult_results)
    assert {row["model"] for row in drawing.data} == {"net", "single", "ensemble", "mimic"}
    assert "n = 2" in drawing.caption
    half = type(adult_results)(adult_results.folder, adult_results.meta, adult_results.rows[:1])
    assert adult.figure(half).data == [] or len(adult.figure(half).data) < 4


def test_mimics_and_their_claims(quick_results, adult_results):
    found = quick_results("adult_mimics")
    drawing = adult_mimics.figure(found)
    assert {row["method"] for row in drawing.data} == {"munge", "nbe", "random", "net"}
    answers = {answer.id: answer for answer in adult_mimics.claims(found)}
    assert set(answers) == {
        "MC-H3.munge.adult", "MC-H3.nbe.munge.adult", "MC-H3.random.munge.adult", "MC-H3.random.adult",
        "MC-H4.gain.adult",
    }  # fmt: skip
    small, large = (found.values(f"adult.munge.n{n}", "test_rmse") for n in (150, 6000))
    assert answers["MC-H3.munge.adult"].differences == tuple(large[s] - small[s] for s in sorted(small))
    assert _figures.TITLES.keys() >= {*adult.TASKS, *letters.TASKS}


def test_figures_2_and_3_are_claimed_where_the_paper_says_so(tmp_path):
    """NBE no better beyond 20,000 cases, MUNGE good from 100,000, and units that gain less and less."""
    settings = config.load(ROOT / "config" / "paper.yaml").section("bucila2006.adult_mimics").config
    rmse = {
        "nbe.n4000": 0.40, "nbe.n20000": 0.35, "nbe.n100000": 0.36, "munge.n4000": 0.40, "munge.n100000": 0.31,
        "munge.n400000": 0.30, "random.n100000": 0.45,
        "units2": 0.50, "units8": 0.40, "units32": 0.33, "units128": 0.31,
    }  # fmt: skip
    rows = [
        {"arm": f"adult.{arm}", "seed": seed, "test_rmse": value + 0.001 * seed}
        for arm, value in rmse.items()
        for seed in (0, 1)
    ]
    rows += [{"arm": "adult.reference", "seed": seed, "net_test_rmse": 0.33 + 0.001 * seed} for seed in (0, 1)]
    found = Results(tmp_path, {"config": settings.model_dump(mode="json")}, rows)
    answers = {answer.id: answer for answer in adult_mimics.claims(found)}
    expected = {
        "MC-H3.nbe.up_to": (-0.05, "less"), "MC-H3.nbe.beyond": (0.01, "greater"),
        "MC-H3.munge.good": (-0.02, "less"), "MC-H3.munge.beyond": (-0.01, "less"),
        "MC-H4.gain": (0.02, "greater"), "MC-H4.levelling": (-0.05, "less"),
    }  # fmt: skip
    for name, (difference, direction) in expected.items():
        answer = answers[f"{name}.adult"]
        assert answer.differences == pytest.approx((difference, difference)), name
        assert (answer.direction, answer.null) == (direction, 0), name
