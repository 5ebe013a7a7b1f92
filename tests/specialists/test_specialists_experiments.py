"""Section 5's experiments: what they ask for, how they count, and that a killed run goes on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.metrics import adjusted_rand_score

from repro import config
from repro.bench import specialists as bench
from repro.bench.specialists import by_scipy, problem
from repro.compare import judge
from repro.data.sets import load_once
from repro.distill import clusters
from repro.distill.combine import combine, consulted
from repro.distill.covariance import covariance
from repro.distill.specialists import deferring, in_dustbin
from repro.errors import UserError
from repro.experiment import Arm, Context
from repro.models.convnet import convnet
from repro.papers.hinton2015 import _specialist_clusters as agreements
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015 import _specialist_runs as runs
from repro.papers.hinton2015 import specialist_dustbin, specialist_generalist, specialist_overfitting, specialists
from repro.papers.hinton2015._specialist_arms import Specialists, coverage_slopes
from repro.published import load
from repro.results import Results
from repro.training.checkpoint import write_tensors
from repro.training.inputs import channel_statistics
from repro.training.settings import Training

ROOT = Path(__file__).parents[2]
TRAINING = Training(epochs=1, batch_size=256, learning_rate=0.05, precision="float32")
SPECIALISTS = Specialists(count=3, size=6, training=TRAINING, head=TRAINING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What an untrained generalist leaves."""
    place = tmp_path_factory.mktemp("generalist")
    data = load_once("hierarchy")
    net = convnet(3, (4, 8), len(data.classes), seed=0)
    split = {"kept": torch.arange(0, 1400), "held_out": torch.arange(1400, 1600)}
    nets.leave_generalist(place, net, data, channel_statistics(data.train.images), True, split)
    left = load_file(place / nets.GENERALIST)
    left["covariance"] = covariance([torch.softmax(left["train_logits"], 1)], len(data.classes))
    write_tensors(place / nets.GENERALIST, left)
    return place


def context(folder: Path, work: Path) -> Context:
    work.mkdir(exist_ok=True)
    return Context("hierarchy", {"generalist": folder}, work)


def test_what_is_left_is_the_generalist(folder):
    left = nets.Generalist.left_in(folder)
    assert left.maps("train").shape == (2, 1600, 8, 3, 3)
    assert left.maps("test").shape == (1, 1000, 8, 3, 3)
    again = nets.answers(nets.body_of(left), left.maps("test")[0])
    torch.testing.assert_close(again, left["test_logits"], atol=1e-3, rtol=1e-3)


def test_specialists_begin_with_the_generalist_s_order_of_their_classes(folder):
    left = nets.Generalist.left_in(folder)
    class_set = torch.zeros(20, dtype=torch.bool)
    class_set[[1, 5, 7]] = True
    body = nets.body_of(left)
    maps = left.maps("test")[0][:50]
    own = nets.answers(nets.specialist_of(body, "dustbin", class_set), maps)
    full = nets.answers(nets.specialist_of(body, "full_soft", class_set), maps)
    assert own.shape == (50, 4)
    torch.testing.assert_close(own[:, :3], full[:, class_set])
    torch.testing.assert_close(nets.special_logits("dustbin", own, class_set), own[:, :3])
    torch.testing.assert_close(nets.special_logits("full", full, class_set), own[:, :3])


@pytest.mark.parametrize("kind", ["full", "full_soft"])
def test_all_outputs_are_the_generalist_s_until_they_are_trained(folder, kind):
    """Their heads are made ready for half-and-half training, and the correction for it takes that back."""
    left, data = nets.Generalist.left_in(folder), load_once("hierarchy")
    class_set = torch.zeros(20, dtype=torch.bool)
    class_set[[1, 5, 7]] = True
    net = nets.specialist_of(nets.body_of(left), kind, class_set)
    labels, maps = data.train.labels, left.maps("test")[0]
    before = nets.answers(net, maps)
    nets.ready_head(net, SPECIALISTS.settings(kind=kind), left, labels, class_set, 0, "some")
    logits, share = nets.answers(net, maps), nets.share_of(labels[left["kept"]], class_set)
    odds = torch.softmax(logits, 1)[:, class_set].sum(1), torch.softmax(before, 1)[:, class_set].sum(1)
    ratio = (odds[0] / (1 - odds[0])) / (odds[1] / (1 - odds[1]))
    torch.testing.assert_close(ratio, torch.full_like(ratio, (1 - share) / share), rtol=1e-3, atol=0)
    found = nets.probabilities(kind, logits, class_set, share)
    expected = in_dustbin(torch.softmax(left["test_logits"], 1), class_set)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_a_run_that_was_killed_goes_on_to_the_same_answers(folder, tmp_path, monkeypatch):
    settings, data, left = SPECIALISTS.settings(), load_once("hierarchy"), nets.Generalist.left_in(folder)
    whole = nets.train_all(settings, 1, context(folder, tmp_path / "whole"), left, data)
    trained = nets.train_specialist
    calls = []

    def counted(*words, **more):
        calls.append(words)
        if len(calls) == 4:  # each specialist's head and body: killed in the second one's body
            raise KeyboardInterrupt
        return trained(*words, **more)

    monkeypatch.setattr(nets, "train_specialist", counted)
    killed = context(folder, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        nets.train_all(settings, 1, killed, left, data)
    assert not (killed.work / nets.SPECIALIST.format(0)).exists()  # nobody who needs the run finds half of it
    resumed = nets.train_all(settings, 1, killed, left, data)
    assert len(calls) == 4 + 4  # the first specialist was not trained again
    assert all(torch.equal(a, b) for a, b in zip(whole.test, resumed.test, strict=True))
    again = nets.left_specialists(settings, killed.work, left)
    for (class_set, net), p in zip(again, resumed.test, strict=True):
        logits = nets.answers(net, left.maps("test")[0])
        share = nets.share_of(data.train.labels[left["kept"]], class_set)
        torch.testing.assert_close(nets.probabilities("dustbin", logits, class_set, share), p)


def test_conditional_accuracy_by_a_loop():
    generator = torch.Generator().manual_seed(0)
    sets = torch.rand(3, 6, generator=generator).argsort(1) < 3
    z, labels = torch.randn(60, 6, generator=generator), torch.randint(6, (60,), generator=generator)
    own = [torch.randn(60, 3, generator=generator) for _ in range(3)]
    asked = before = after = 0
    for m in range(3):
        members = [c for c in range(6) if sets[m, c]]
        for case, label in enumerate(labels.tolist()):
            if label in members:
                asked += 1
                before += max(members, key=lambda c, case=case: float(z[case, c])) == label
                after += members[int(own[m][case].argmax())] == label
    assert nets.conditional(z, own, sets, labels) == (100 * before / asked, 100 * after / asked)


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
    test = {"dustbin": (50, 60, 62), "full": (40, 68, 69), "full_soft": (45, 70, 69)}  # from 70, by seed
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


def test_the_generalist_is_claimed_above_sixty_per_cent(tmp_path, monkeypatch):
    rows = [
        {"arm": "generalist", "seed": s, "accuracy": right, "multiply_adds": 21_604_416, "precision": "float32"}
        for s, right in enumerate((59.0, 58.9))
    ]
    monkeypatch.setattr(Results, "table", lambda self, name: [])
    meta = {"config": generalist_config().model_dump(mode="json")}
    claim = specialist_generalist.claims(Results(tmp_path, meta, rows))[0]
    assert (claim.id, claim.null, claim.direction, claim.differences) == ("KD-J05.above60", 60, "greater", (59.0, 58.9))
    assert claim.setting == "21.6 M multiply-adds, float32"
    assert judge(claim, load()).verdict == "fails"


def test_clusters_are_claimed_against_chance_at_both_temperatures_and_against_labels(tmp_path, monkeypatch):
    ari = {"covariance": (0.5, 0.4), "covariance_t1": (0.1, 0.0), "random": (0.1, -0.1), "errors": (0.5, 0.6)}
    table = [
        {"seed": seed, "count": count, "clusters_of": of, "ari": value + (count == 3)}
        for of, values in ari.items()
        for seed, value in enumerate(values)
        for count in (3, 5)
    ]
    monkeypatch.setattr(Results, "table", lambda self, name: table if name == "agreement" else [])
    settings = generalist_config().model_copy(update={"counts": (3, 5)})
    meta = {"config": settings.model_dump(mode="json")}
    found = {claim.id: claim for claim in specialist_generalist.claims(Results(tmp_path, meta, []))}
    assert found["KD-J26.k5_random"].differences == pytest.approx((0.4, 0.5))
    assert found["KD-J26.k5_t1_random"].differences == pytest.approx((0.0, 0.1))
    assert found["KD-J26.k5_errors"].differences == pytest.approx((0.1, -0.08))  # of 0.5 and 0.6, four fifths
    assert found["KD-J26.k3_errors"].differences == pytest.approx((0.3, 0.12))
    assert {claim.null for claim in found.values()} == {0, 60}


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
        ("specialist_tuning", {"trained": 6}, "trained: there are 5 specialists; train as many or fewer"),
        ("specialist_overfitting", {"trained": 6}, "trained: there are 5 specialists; train as many or fewer"),
    ],
)
def test_what_would_be_dropped_or_never_recorded_is_refused(experiment, changes, message):
    section = config.load(ROOT / "config" / "quick.yaml").section(f"hinton2015.{experiment}").config
    content = section.model_dump(mode="json")
    assert config.validated(type(section), content, Path("some.yaml"), experiment) == section
    with pytest.raises(UserError, match=f"^some.yaml: {experiment}.{message}"):
        config.validated(type(section), content | changes, Path("some.yaml"), experiment)


@pytest.mark.parametrize(("every", "judged"), [(None, [0, 3]), (1, [0, 1, 2, 3]), (2, [0, 2, 3]), (5, [0, 3])])
def test_specialists_are_judged_before_the_first_pass_every_so_often_and_after_the_last(
    folder, tmp_path, every, judged
):
    training = TRAINING.model_copy(update={"epochs": 3, "evaluate_every_epochs": every})
    settings = SPECIALISTS.model_copy(update={"training": training}).settings(kind="full")
    arm = Arm("full", settings | {"trained": 2}, 1)
    found = runs.overfitting(arm, 0, context(folder, tmp_path / "full"))
    curves = {(split, metric): [] for _, _, split, metric, _ in found.curves}
    for epoch, _, split, metric, value in found.curves:
        curves[split, metric].append((epoch, value))
    assert set(curves) == {(s, "conditional") for s in ("train", "validation", "test")} | {("test", "others")}
    assert all([epoch for epoch, _ in curve] == judged for curve in curves.values())
    assert found.metrics["conditional"] == curves["test", "conditional"][-1][1]
    assert found.metrics["generalist_conditional"] == curves["test", "conditional"][0][1]


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
        assert judged.specialists == taught.specialists
        assert judged.full_soft_rate == taught.full_soft_rate
        assert loaded.section("hinton2015.specialist_dustbin").config.count == judged.specialists.count


def test_a_dustbin_is_judged_by_its_log_loss_and_moved_by_held_out_cases(folder, tmp_path):
    left, data = nets.Generalist.left_in(folder), load_once("hierarchy")
    made = context(folder, tmp_path / "specialists")
    trained = nets.train_all(SPECIALISTS.settings(), 0, made, left, data)
    (arm, *_) = specialist_dustbin.arms(specialist_dustbin.Config(count=3, shifts=(-1, 1)))
    inputs = {"generalist": folder, arm.name: made.work}
    found = runs.dustbin(arm, 0, Context("hierarchy", inputs, tmp_path))
    labels = data.test.labels
    losses = [
        -torch.log(own[case, -1] if not class_set[labels[case]] else 1 - own[case, -1]).item()
        for own, class_set in zip(trained.test, trained.class_sets, strict=True)
        for case in range(len(labels))
    ]
    assert found.metrics["own_log_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    at = {(row["split"], row["shift"]): row["gain"] for row in found.tables["shifts"]}
    assert {shift for _, shift in at} == {-1, 0, 1}
    best = max(at["validation", shift] for shift in (-1, 0, 1))
    assert at["validation", found.metrics["shift"]] == best
    gain = found.metrics["accuracy"] - found.metrics["generalist_accuracy"]
    assert gain == pytest.approx(at["test", found.metrics["shift"]])
    p = torch.softmax(left["test_logits"].double(), 1)
    asked = consulted(p, trained.class_sets)
    right = 100 * (combine(p, trained.test, trained.class_sets, asked).argmax(1) == labels).double().mean().item()
    assert found.metrics["accuracy_unmoved"] == pytest.approx(right, abs=0.11)
    own = [deferring(q.double(), p, s) for q, s in zip(trained.test, trained.class_sets, strict=True)]
    told = combine(p, own, trained.class_sets, asked).argmax(1) == labels
    assert found.metrics["accuracy_deferring"] == pytest.approx(100 * told.double().mean().item(), abs=0.11)
    gained = sum(row["gained"] for row in found.tables["coverage"])
    before = (p.argmax(1) == labels).sum().item()
    assert found.metrics["accuracy_deferring"] == pytest.approx(100 * (before + gained) / len(labels))


def test_the_bench_s_yardstick_solves_the_same_problem():
    generalist, answers, sets = problem()
    few = slice(0, 3)
    sample = generalist[few], [a[few] for a in answers], sets, consulted(generalist, sets)[few]
    theirs, ours = torch.from_numpy(by_scipy(*sample)), combine(*sample)
    assert float((ours * (ours / theirs).log()).sum(1).max()) < 1e-5


def test_both_cases_of_the_bench_have_the_target(monkeypatch):
    monkeypatch.setattr(bench, "CASES", 20)
    monkeypatch.setattr(bench, "YARDSTICK_CASES", 2)
    usual, everyone = bench.eq5()[:2]
    assert everyone.quantity == "the same, every specialist asked in every case"
    assert usual.target == everyone.target == "<= 1.5"


def test_errors_between_classes_count_both_ways_and_right_answers_do_not():
    labels = torch.tensor([0] * 8 + [1] * 3 + [2] * 4)
    answers = torch.tensor([0] * 5 + [1, 1, 2] + [0, 1, 1] + [2, 2, 2, 1])
    # Between classes: 0 and 1 three errors, 0 and 2 one, 1 and 2 one.
    expected = torch.tensor([[0.75, 0.75, 0.25], [0.75, 0.75, 0.25], [0.5, 0.5, 0.5]]).double()
    torch.testing.assert_close(agreements.error_affinity(labels, answers, 3), expected)
    more_right = agreements.error_affinity(torch.cat([labels, labels[:5]]), torch.cat([answers, answers[:5]]), 3)
    torch.testing.assert_close(more_right, expected)


def test_a_class_without_errors_is_near_to_none():
    affinity = agreements.error_affinity(torch.tensor([0, 1, 2]), torch.tensor([1, 0, 2]), 3)
    assert affinity[2].tolist() == [0, 0, 0]


def test_classes_that_are_taken_for_one_of_their_group_are_clustered_with_it():
    """And never the reverse: the profiles of the five agree, while each falls alike on the profile of the one."""
    group = torch.arange(18) // 6
    labels = torch.arange(18).repeat(10)
    answers = torch.where(torch.arange(len(labels)) < 4 * 18, 6 * group[labels], labels)
    affinity = agreements.error_affinity(labels, answers, 18)
    assert adjusted_rand_score(group, clusters.online_kmeans(affinity, 3, seed=0).assignment) == 1.0
    assert adjusted_rand_score(group, clusters.online_kmeans(affinity.T, 3, seed=0).assignment) < 0.5


def test_clusters_of_errors_are_held_against_the_superclasses(folder, tmp_path):
    """A generalist that takes every third case for the first class of its superclass, of which there are five."""
    data = load_once("hierarchy")
    labels, superclass = data.test.labels, torch.tensor(data.superclasses)
    first = torch.tensor([data.superclasses.index(group) for group in range(5)])
    answers = torch.where(torch.arange(len(labels)) % 3 == 0, first[superclass[labels]], labels)
    left = load_file(folder / nets.GENERALIST) | {"test_logits": F.one_hot(answers, 20).float()}
    write_tensors(tmp_path / nets.GENERALIST, left)
    arm = next(a for a in specialist_generalist.arms(generalist_config()) if a.needs)
    found = agreements.clusters_of_errors(arm, 0, context(tmp_path, tmp_path / "errors"))
    three, five = found.tables["agreement"]
    assert five == {"count": 5, "clusters_of": "errors", "ari": 1.0, "nmi": pytest.approx(1.0)}
    assert (three["count"], three["clusters_of"]) == (3, "errors")
    assert 0 < three["ari"] < 1
    assert 0 < three["nmi"] < 1
    assert found.metrics["test_errors"] == int((labels != answers).sum()) > 0


def generalist_config() -> specialist_generalist.Config:
    scale = config.load(ROOT / "config" / "quick.yaml")
    return next(s.config for s in scale.sections() if s.name == "hinton2015.specialist_generalist")
