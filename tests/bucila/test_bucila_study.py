"""The study itself: splits, what is claimed, and figures, on scikit-learn's tables."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from repro import config
from repro.compare import judge
from repro.errors import UserError
from repro.experiment import Arm, Context
from repro.machine import ROOT
from repro.papers.bucila2006 import _figures, _fitting, _printed, _problems, _study, adult, adult_mimics, letters
from repro.papers.bucila2006._arms import METHODS, Cases, Mimic, MimicTraining, Sweep, Training
from repro.published import load as load_published
from repro.results import Results
from repro.training.checkpoint import write_tensors
from repro.training.loop import DivergedError

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
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Mimic.model_validate({"training": {"steps": 10, "rates": [0.3]}})
    with pytest.raises(ValidationError, match="each is tried once"):
        Mimic.model_validate({"training": {"steps": 10, "rate_factors": [1, 0.5, 1]}})


def test_rivals_end_where_their_cases_do():
    config = Sweep(
        cases=Cases(train=100, validation=1, test=1), multiplier=50, sizes=(100, 1000, 5000), rivals_multiplier=10,
        units=(1, 2), units_size=100, training=MimicTraining(steps=1),
    )  # fmt: skip
    assert config.sizes_of("munge") == (100, 1000, 5000)
    assert config.sizes_of("random") == (100, 1000)


def test_an_ensemble_fitted_again_labels_alike(tmp_path):
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
    assert [row.get("model") for row in drawing.data] == ["net", "single", "ensemble", "mimic", None]
    assert "n = 2" in drawing.caption
    for done, models, munge in (
        ((), [], False),
        (("choice",), [], False),
        (("adult.munge",), [], False),  # without the ensemble there is no share of positives to hold it against
        (("adult.ensemble",), ["single", "ensemble"], False),
        (("adult.ensemble", "adult.munge"), ["single", "ensemble"], True),
        (("adult.net", "adult.mimic"), ["net", "mimic"], False),
    ):
        rows = [row for row in adult_results.rows if row["arm"] in done and row["seed"] == 0]
        assert {row["arm"] for row in rows} == {*done}
        half = adult.figure(Results(adult_results.folder, adult_results.meta, rows))
        half.figure.draw_without_rendering()
        shown = [{"model": model, "n": 1} for model in models] + [{"cases": "munge", "n": 1}] * munge
        assert [{key: row[key] for key in ("model", "cases", "n") if key in row} for row in half.data] == shown, done
        assert all("low" not in row or row["low"] is None for row in half.data), "one split has no interval"
        assert ("Cases that MUNGE made" in half.caption) == munge


@pytest.fixture
def letters_results(tmp_path, monkeypatch):
    """Of LETTER.p1 at scale paper, two splits whose sizes and seconds differ by a factor of four; nothing of p2."""
    rows, table = [], []
    for seed in (0, 1):
        own = {"test_rmse": 0.1 + 0.01 * seed, "test_accuracy": 0.98 + 0.01 * seed}
        rows += [{"arm": f"p1.{arm}", "seed": seed} | own for arm in ("net", "mimic")]
        single = {"single_test_rmse": 0.2, "single_test_accuracy": 0.9}
        rows.append({"arm": "p1.ensemble", "seed": seed, "positives": 0.1 + 0.2 * seed} | own | single)
        likeness = {"distance_to_real": 0.5 + seed, "real_distance_to_real": 0.25 + seed, "mean_target": 0.125}
        rows.append({"arm": "p1.munge", "seed": seed} | likeness)
        for arm, model in (("net", "net"), ("ensemble", "single"), ("ensemble", "ensemble"), ("mimic", "mimic")):
            cost = {"bytes": 10**6 * 4**seed, "seconds_per_10k_cases": 0.01 * 4**seed}
            table.append({"arm": f"p1.{arm}", "seed": seed, "model": model} | cost)
    monkeypatch.setattr(Results, "table", lambda self, name: table if name == "costs" else [])
    return Results(tmp_path, {"scale": "paper", "data": "mnist", "config": {}}, rows)


def test_accuracy_and_costs_are_drawn_beside_rmse(letters_results):
    drawing = letters.figure(letters_results)
    drawing.figure.draw_without_rendering()
    *models, munge = drawing.data
    shown = {row["model"]: row for row in models}
    assert shown["net"]["accuracy_percent"] == pytest.approx(98.5)
    assert shown["single"]["accuracy_percent"] == pytest.approx(90)
    for name, mean, printed in (("megabytes", 2, 0.08), ("seconds_per_10k_cases", 0.02, 2.59)):
        low, high = (shown["mimic"][f"{name}_{end}"] for end in ("low", "high"))
        assert shown["mimic"][name] == pytest.approx(mean), "geometric"
        assert low * high == pytest.approx(mean**2)
        assert shown["mimic"][f"printed_{name}"] == printed
    assert shown["mimic"]["printed"] == 0.075
    likeness = {"distance_to_real": 1.0, "real_distance_to_real": 0.75, "mean_target": 0.125, "positives": 0.2}
    assert munge == {"task": "p1", "cases": "munge", "n": 2} | {k: pytest.approx(v) for k, v in likeness.items()}
    assert (
        "p1, median distance to the nearest test case 1.000, that of validation cases 0.750, mean target 0.125, share "
        "of positives among test cases 0.200. "
    ) in drawing.caption


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
        "units2": 0.50, "units8": 0.40, "units32": 0.33, "units128": 0.31, "units512": 0.305,
    }  # fmt: skip
    rows = [
        {"arm": f"adult.{arm}", "seed": seed, "test_rmse": value + 0.001 * seed}
        for arm, value in rmse.items()
        for seed in (0, 1)
    ]
    reference = {"net_test_rmse": 0.33, "ensemble_test_rmse": 0.30}
    rows += [
        {"arm": "adult.reference", "seed": seed} | {name: rmse + 0.001 * seed for name, rmse in reference.items()}
        for seed in (0, 1)
    ]
    found = Results(tmp_path, {"config": settings.model_dump(mode="json")}, rows)
    answers = {answer.id: answer for answer in adult_mimics.claims(found)}
    expected = {
        "MC-H3.nbe.up_to": (-0.05, "less"), "MC-H3.nbe.beyond": (0.013, "greater"),
        "MC-H3.munge.good": (-0.02, "less"), "MC-H3.munge.beyond": (-0.01, "less"),
        "MC-H4.gain": (0.02, "greater"), "MC-H4.levelling": (-0.015, "less"), "MC-H4.beyond": (-0.002, "greater"),
    }  # fmt: skip
    for name, (difference, direction) in expected.items():
        answer = answers[f"{name}.adult"]
        assert answer.differences == pytest.approx((difference, difference)), name
        assert (answer.direction, answer.null) == (direction, 0), name
    assert all(answer.departures == _printed.ONE_PROBLEM for answer in answers.values())
    ends = Results(tmp_path, {"config": settings.model_copy(update={"units": (2, 8, 32, 128)}).model_dump()}, rows)
    short = {answer.id: answer for answer in adult_mimics.claims(ends)}
    assert short["MC-H4.levelling.adult"].differences == pytest.approx((-0.05, -0.05))
    assert "does not go beyond 128" in short["MC-H4.gain.adult"].departures
    assert "MC-H4.beyond.adult" not in short


def test_much_smaller_and_faster_is_claimed_where_the_paper_prints_it(letters_results):
    answers = {answer.id: answer for answer in _printed.tables_2_to_4(letters_results, "p1", "letter.p1")}
    assert "MC-H2.size.letter.p1" not in answers  # 1.23 MB and 0.08 MB
    speed = answers["MC-H2.speed.letter.p1"]  # 1630.21 s and 2.59 s
    assert (speed.null, speed.setting) == (100, "629 x printed for this problem")
    assert speed.departures.startswith("one problem instead of the average of eight; ")
    assert "MC-H2.size.letter.p2" in {a.id for a in _printed.tables_2_to_4(letters_results, "p2", "letter.p2")}
    assert answers["MC-T2-letter.p1.mimic.against_net"].departures == _printed.LIBRARY


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [150, 60000]}, "20000 pseudo-cases are made; ask for no more, or raise multiplier"),
        ({"units_size": 20001}, "20000 pseudo-cases are made"),
        ({"sizes": [6001, 7000]}, "the rivals make 6000 pseudo-cases; ask for one size of no more"),
    ],
)
def test_sizes_that_nobody_makes_are_refused(changes, message):
    whole = {
        "cases": CASES | {"train": 200}, "multiplier": 100, "sizes": [150, 6000], "rivals_multiplier": 30,
        "units": [2, 4], "units_size": 6000, "training": {"steps": 1},
    }  # fmt: skip
    assert Sweep.model_validate(whole).sizes_of("random") == (150, 6000)
    with pytest.raises(ValidationError, match=message):
        Sweep.model_validate(whole | changes)


@pytest.fixture
def diverging(monkeypatch):
    """Fits that are the better the higher their rate, and of whose loss nothing is left above 0.5."""

    def fit(split, inputs, targets, hidden, training, rate, *rest, **options):
        if rate > 0.5:
            raise DivergedError("the loss is inf")
        return _fitting.Fitted(torch.nn.Linear(inputs.shape[1], 2), {"validation_rmse": 1 - rate, "test_rmse": 0.5}, [])

    monkeypatch.setattr(_study, "fit", fit)
    halves = SimpleNamespace(probability=lambda inputs: np.full(len(inputs), 0.5))
    monkeypatch.setattr(_study, "_left_ensemble", lambda *_: halves)


def test_what_diverges_was_tried_and_is_never_chosen(diverging, tmp_path):
    def context(name):
        (tmp_path / name).mkdir()
        return Context("breast-cancer", {"adult.ensemble": tmp_path}, tmp_path / name, name=name)

    def training(*rates):
        return {"training": {"steps": 1, "rates": rates}}

    net = {"task": "adult", "cases": CASES, "hidden": [4]}
    found = _study.run_net(Arm("adult.net", net | training(0.1, 0.2, 0.9), 1), 0, context("net"))
    assert found.metrics["rate"] == 0.2
    with pytest.raises(UserError, match="none: the loss diverges at every rate"):
        _study.run_net(Arm("adult.net", net | training(0.9), 1), 0, context("none"))

    choice = {"tasks": ["adult"], "cases": CASES, "probabilities": [0.5], "local_variances": [1], "multiplier": 1}
    choice |= {"hidden": 4, "most_components": 1, "rounds": 1}
    found = _study.run_choice(Arm("choice", choice | training(0.1, 0.2, 0.9), 1), 0, context("choice"))
    assert {found.metrics[f"rate_{method}"] for method in METHODS} == {0.2}
    scores = {row["rate"]: row["validation_rmse"] for row in found.tables["tried"] if row["method"] == "nbe"}
    assert scores == {0.1: 0.9, 0.2: 0.8, 0.9: None}
    with pytest.raises(UserError, match="diverges for every p and s"):
        _study.run_choice(Arm("choice", choice | training(0.9), 1), 0, context("worst"))


@pytest.fixture
def mimicked(tmp_path):
    """Trains a mimic of eight MUNGE cases: given the rate that was chosen and the factors, its result."""
    left = {"continuous": torch.rand(8, 30), "nominal": torch.zeros(8, 0), "targets": torch.rand(8)}
    write_tensors(tmp_path / _study.PSEUDO, left)
    settings = {"task": "adult", "cases": CASES, "method": "munge", "size": 8, "hidden": 4}
    work = tmp_path / "work"
    work.mkdir()
    context = Context("breast-cancer", {"adult.munge": tmp_path, "choice": tmp_path}, work, name="mimic")

    def trained(rate, *factors):
        (tmp_path / _study.CHOICE).write_text(json.dumps({"rates": {"munge": rate}}))
        training = {"training": {"steps": 1, "rate_factors": factors}}
        found = _study.run_mimic(Arm("adult.mimic", settings | training, 1), 0, context)
        assert not list(work.iterdir())
        return found

    return trained


def test_a_mimic_takes_the_best_of_the_rates_around_the_chosen_one(diverging, mimicked):
    tried = ((0.4, 1, 0.5), (0.6, 1, 0.5), (0.2, 0.5, 2))
    assert [mimicked(*one).metrics["rate"] for one in tried] == [0.4, 0.3, 0.4]
    with pytest.raises(UserError, match="mimic: the loss diverges at every rate; add a lower one"):
        mimicked(1.2, 1, 0.5)


def test_every_rate_of_a_mimic_has_a_checkpoint_of_its_own(monkeypatch, mimicked):
    """Else a run that was killed at the second rate would go on from the first one's weights."""
    seen, fit = [], _study.fit

    def noted(*arguments, checkpoint):
        seen.append(checkpoint)
        return fit(*arguments, checkpoint=checkpoint)

    monkeypatch.setattr(_study, "fit", noted)
    mimicked(0.1, 1, 0.5, 0.25)
    assert len(set(seen)) == 3
