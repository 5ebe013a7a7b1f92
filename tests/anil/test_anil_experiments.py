"""The experiments: their arms, what they measure, and what they claim."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn import metrics as sklearn_metrics

from repro import config, results
from repro.codistill.settings import Settings
from repro.compare import Claim, NotRun, judge
from repro.data import folders
from repro.errors import UserError
from repro.experiment import Context
from repro.machine import ROOT
from repro.papers.anil2018 import (
    _batch,
    _language_answers,
    _learning,
    _steps,
    _tasks,
    churn,
    exchange_interval,
    image_batch,
    imagenet,
    language_model,
)
from repro.published import load

SGD = "optimizer: {kind: sgd, learning_rate: 0.1}"
CHURN = (
    "seeds: 2, validation: 69, test: 200, hidden: [4], interval_steps: 5, tuned_rates: [0.1], tuning_seeds: 1, "
    f"training: {{updates: 20, batch_size: 10, {SGD}}}"
)
EXCHANGE = (
    f"seeds: 2, cases: 50, hidden: [4], training: {{updates: 120, batch_size: 8, {SGD}}}, "
    "rates: {single: 0.1, codistilled: 0.1}, interval_steps: 10, intervals: [10, 40], delays: [50], burn_ins: [30], "
    "copies: [2, 3], tuned_rates: [0.1], held_out: 100, momentum: 0.75"
)
LANGUAGE = (
    "seeds: 2, net: {words: 30, embedding: 4, hidden: 4, layers: 1}, length: 8, optimizer: {kind: adam, "
    "learning_rate: 0.01}, sync: [{workers: 2, updates: 12, learning_rate: 0.01}, {workers: 4, updates: 12, "
    "learning_rate: 0.01}], group_workers: 4, interval_steps: 3, evaluate_updates: 4, judged_tokens: 200, "
    "tuned_rates: [0.01], smaller_groups: {group_workers: 2, burn_in_steps: 3}"
)
BATCH = (
    "seeds: 2, net: {kind: mlp, hidden: [4]}, cases: 1297, epochs: 3, batch_sizes: [128, 256], "
    "base_rates: {128: 0.1, 256: 0.1, 512: 0.1}, "
    "interval_steps: 2, evaluations: 4, tuned_base_rates: [0.1], held_out: 100"
)


def judged(answers):
    published = load()
    return {answer.id: judge(answer, published, same_data=False) for answer in answers}


# Churn


def test_churn_runs_draws_and_answers(record):
    found = record("anil2018.churn", CHURN)
    assert {row["arm"] for row in found.rows} == {*churn.LABELS, *(churn.tuning_name(n, 0.1) for n in churn.TUNED)}
    assert all(0 < row["churn"] < 1 for row in found.rows)
    # The tuning looks at validation cases, the others at test cases.
    assert {row["cases"] for row in found.rows if str(row["arm"]).startswith("tuning")} == {69}
    assert {row["cases"] for row in found.rows if row["arm"] in churn.LABELS} == {200}
    assert len(churn.figure(found).data) == 2 * len(churn.LABELS) + len(churn.TUNED)
    by_rate = churn.churn_by_rate(found)
    assert by_rate["codistilled"] == {0.1: tuple(found.values("tuning.codistilled.rate0.1", "churn").values())}
    rows = judged(churn.claims(found))
    assert rows["CO-22"].published == 35
    single, codistilled = found.values("single", "churn"), found.values("codistilled", "churn")
    mean = np.mean([100 * (1 - codistilled[seed] / single[seed]) for seed in (0, 1)])
    assert rows["CO-22"].ours == pytest.approx(mean)
    assert rows["CO-23"].verdict == rows["CO-24"].verdict == "not_judged"


def test_log_loss_is_scikit_learns():
    p, y = torch.rand(50, dtype=torch.float64), torch.randint(2, (50,))
    assert churn.log_loss(p, y) == pytest.approx(sklearn_metrics.log_loss(y, p))


def test_a_table_is_split_once_and_standardised_by_its_training_cases():
    cases = _tasks.table_cases("breast-cancer", 69, 200, 8)
    sizes = [len(part) for part in (cases.train_y, cases.validation_y, cases.test_y)]
    assert sizes == [300, 69, 200]
    continuous = cases.train_x[:, :30]
    assert torch.allclose(continuous.mean(0), torch.zeros(30), atol=1e-5)
    assert torch.allclose(continuous.std(0, correction=0), torch.ones(30), atol=1e-4)
    everything = torch.cat([cases.train_x, cases.validation_x, cases.test_x])
    assert len(torch.unique(everything, dim=0)) == 569


def test_a_pairs_nets_are_the_groups_of_one_run():
    task, cases = _tasks.table("breast-cancer", (4,), validation=69, test=200, buckets=0)
    config = churn.Config.model_validate(yaml.safe_load(f"{{{CHURN}}}"))
    run = config.training.together(2, 5, learning_rate=0.1)
    learned = _learning.train(task, run, 0, Context("breast-cancer", {}, Path(".")))
    nets = [_learning.net_of(task, learned, group) for group in (0, 1)]
    for net, row in zip(nets, learned.weights, strict=True):
        assert torch.equal(torch.cat([p.detach().flatten() for p in net.parameters()]), row)
    both = _learning.MeanOf(nets)(cases.test_x)
    mean = sum(_learning.probabilities(net, cases.test_x) for net in nets) / 2
    assert torch.allclose(both.exp(), mean, atol=1e-6)


# Exchange interval


def test_every_point_of_a_sweep_is_run_once():
    config = exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}"))
    names = [arm.name for arm in exchange_interval.arms(config)]
    assert len(names) == len(set(names))
    middle = exchange_interval.arm_name(10)
    assert names.count(middle) == 1
    assert {"single", middle, exchange_interval.arm_name(10, 50), exchange_interval.arm_name(10, 0, 30)} < set(names)


def test_the_second_sweep_has_momentum_at_a_rate_as_much_lower():
    config = exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}"))
    runs = {arm.name: arm.settings["run"] for arm in exchange_interval.arms(config)}
    for name in ("single", *map(exchange_interval.arm_name, config.intervals)):
        quicker, slower = runs[name], runs[exchange_interval.with_momentum(name)]
        assert {k: v for k, v in quicker.items() if k != "optimizer"} == {
            k: v for k, v in slower.items() if k != "optimizer"
        }
        assert slower["optimizer"]["momentum"] == 0.75
        assert slower["optimizer"]["learning_rate"] == 0.25 * quicker["optimizer"]["learning_rate"]
    plain = config.model_copy(update={"momentum": 0})
    assert len(exchange_interval.arms(plain)) == len(runs) - 1 - len(config.intervals)


def test_exchange_interval_runs_draws_and_answers(record):
    found = record("anil2018.exchange_interval", EXCHANGE)
    drawn = exchange_interval.figure(found)
    assert {row["sweep"] for row in drawn.data} >= {"exchange interval", "single"}
    rows = judged(exchange_interval.claims(found))
    assert set(rows) == {"CO-19", "SD-03", "CO-21.steps", "CO-32", "CO-20", "CO-21.examples"}
    assert "60 steps of 8 examples old, 480 examples" in rows["CO-21.examples"].departures
    assert "a whole run of 120" in rows["CO-20"].departures
    assert rows["CO-19"].ours == pytest.approx(
        np.mean(found.paired(exchange_interval.arm_name(40), exchange_interval.arm_name(10), "loss"))
    )
    late, fresh = (found.values(exchange_interval.arm_name(10, d), "loss") for d in (50, 0))
    assert late[0] != fresh[0]


def test_rates_of_both_recipes_are_asked_for():
    with pytest.raises(ValueError, match="give single and codistilled"):
        exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}") | {"rates": {"single": 1}})


# Language model


def test_language_model_runs_draws_and_answers(record):
    found = record("anil2018.language_model", LANGUAGE)
    assert len(found.rows) == 2 * 8 + 3
    two_phase = found.values("two_phase", "updates")
    assert set(two_phase.values()) == {24}
    steps = {row["step"] for row in found.curves if row["arm"] == "two_phase"}
    assert min(steps) == 16  # the second phase begins where the first ends
    assert max(found.values("sync2", "loss").values()) < np.log(30) + 0.2
    drawn = language_model.figure(found)
    assert {row["arm"] for row in drawn.data} == {"sync2", "sync4", language_model.SMALLER, *language_model.CONTROLS}
    rows = judged(language_model.claims(found))
    assert {
        "CO-06.disjoint",
        "CO-06.same",
        "CO-09",
        "CO-10.uniform",
        "CO-10.unigram",
        "CO-08",
        "CO-03.2to4",
        "CO-06.smaller",
    } <= set(rows)
    assert rows["CO-06.disjoint"].published == 2
    assert rows["CO-04"].verdict == rows["CO-05"].verdict == "not_run"
    assert "4 workers of 16 tokens" in rows["CO-04"].departures
    ensemble, student = found.values("two_phase", "ensemble_loss"), found.values("two_phase", "loss")
    both = found.values("codistilled.disjoint", "loss")
    assert rows["CO-08.ensemble"].ours == pytest.approx(np.mean([both[s] - ensemble[s] for s in (0, 1)]))
    assert rows["CO-08.two_phase_ensemble"].ours == pytest.approx(np.mean([student[s] - ensemble[s] for s in (0, 1)]))
    second = [_steps.steps_to(_steps.curve_of(found, "two_phase", s, "test", "loss"), both[s]) for s in (0, 1)]
    assert rows["CO-07"].verdict == "not_run"
    if min(second) < np.inf:
        reached = [n for n in second if n < np.inf]
        assert f"after {np.mean(reached):.0f} steps of both phases, that group after 12" in rows["CO-07"].departures
    more = [_steps.curve_of(found, "sync4", seed, "test", "loss") for seed in (0, 1)]
    ends = found.values("sync2", "loss")
    needed = [_steps.steps_to(more[seed], ends[seed]) for seed in (0, 1)]
    assert rows["CO-03.2to4.steps"].ours == pytest.approx(np.mean([12 / n if n < np.inf else 0 for n in needed]))


def test_what_two_phases_took_is_told_for_the_seeds_that_got_there():
    said = _language_answers._two_phase_steps([30.0, np.inf, 34.0], 20).reason
    assert "after 32 steps of both phases, that group after 20 (mean of the 2 of 3 seeds that reach it)" in said
    assert "on record" not in _language_answers._two_phase_steps([np.inf], 20).reason


def test_a_baseline_that_learns_longer_is_met_where_the_shorter_run_ends(monkeypatch):
    curves = {"long": [(0, 8.0), (10, 6.0), (20, 4.0)], "short": [(0, 8.0), (5, 5.0), (15, 3.0)]}

    class Recorded:
        def values(self, arm, metric):
            return {0: curves[arm][-1][1]}

    monkeypatch.setattr(_steps, "curve_of", lambda results, arm, seed, split, metric: curves[arm])
    assert [_steps.value_at(curves["long"], step) for step in (0, 15, 20, 30)] == [8.0, 5.0, 4.0, 4.0]
    assert _steps.times_fewer(Recorded(), "short", "long", "test", "loss", 15) == (3.0,)
    assert _steps.times_fewer(Recorded(), "short", "long", "test", "loss", 20) == (2.0,)
    assert _steps.times_fewer(Recorded(), "long", "short", "test", "loss", 15) == (0.0,)


def test_twice_the_workers_for_other_steps_are_refused():
    text = LANGUAGE.replace("group_workers: 4, ", "group_workers: 2, ").replace(
        "{workers: 4, updates: 12", "{workers: 4, updates: 6"
    )
    with pytest.raises(ValueError, match="held against two groups of 2 after equal steps; give both 12 updates, not 6"):
        language_model.Config.model_validate(yaml.safe_load(f"{{{text}}}"))


@pytest.mark.parametrize("scale", ["paper", "cluster"])
def test_no_group_sees_a_token_of_the_treebank_twice(scale):
    section = config.load(ROOT / "config" / f"{scale}.yaml").section("anil2018.language_model").config
    tokens = 929_589  # to train on
    pairs = [section.base, section.group(section.smaller_groups.group_workers)]
    for group in pairs:
        assert group.workers * section.sequences_per_worker * section.length * group.updates <= tokens / 2
    assert section.group(2 * section.group_workers).updates == section.base.updates
    for group in section.sync:
        seen = group.workers * section.sequences_per_worker * section.length * group.updates
        assert seen <= (tokens if group.workers <= 64 else 2 * tokens)


def test_groups_on_disjoint_halves_see_every_stretch_once():
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    arm = next(arm for arm in language_model.arms(config) if arm.name == "codistilled.disjoint")
    assert arm.settings["run"]["split"] == "disjoint"
    options = {"words": 30, "embedding": 4, "hidden": 4, "layers": 1, "length": 8}
    whole = _tasks.language("pydoc", **options)
    halves = [_tasks.language("pydoc", **options, half=half) for half in (0, 1)]
    assert sum(half.examples for half in halves) == whole.examples
    assert torch.equal(halves[1].batch(torch.tensor([2]), 0)[0], whole.batch(torch.tensor([5]), 0)[0])


def test_one_groups_loss_is_the_mean_over_its_workers():
    """Why a group can be one worker: two workers' mean gradient is that of their examples together."""
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    task = _tasks.language("pydoc", words=30, embedding=4, hidden=4, layers=1, length=8)
    net = task.model(0)
    rows = torch.arange(8)
    gradients = []
    for parts in ([rows], rows.split(4)):
        net.zero_grad()
        for part in parts:
            batch = task.batch(part, 0)
            (task.loss(task.forward(net, batch), batch) / len(parts)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.allclose(*gradients, atol=1e-7)
    assert config.base.workers == 4


def test_groups_of_a_size_that_is_not_trained_alone_are_refused():
    for known, unknown in (("group_workers: 4", "group_workers: 3"), ("{group_workers: 2", "{group_workers: 3")):
        content = yaml.safe_load(f"{{{LANGUAGE.replace(known, unknown)}}}")
        with pytest.raises(ValueError, match="group_workers: 3 is none of sync's workers"):
            language_model.Config.model_validate(content)


def test_more_workers_take_longer_simulated_steps():
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    by_name = {arm.name: language_model.simulated_step_s(arm.settings) for arm in language_model.arms(config)}
    assert by_name["sync2"] <= by_name["sync4"]
    assert by_name["codistilled.disjoint"] > by_name["sync4"]  # the teacher's forward pass


# Large batches


def test_image_batch_runs_draws_and_answers(record):
    found = record("anil2018.image_batch", BATCH)
    arms = {_batch.arm_name(kind, size) for kind in _batch.KINDS for size in (128, 256)}
    assert {row["arm"] for row in found.rows} == {*arms, *(_batch.tuning_name(n, 0.1) for n in (128, 256, 512))}
    drawn = image_batch.figure(found)
    assert {row["panel"] for row in drawn.data} == {"curve", "end"}
    answers = image_batch.claims(found)
    rows = judged(answers)
    assert rows["CO-13"].verdict == "not_run"
    assert "GPU-hours" in rows["CO-13"].departures
    assert {answer.id for answer in answers if isinstance(answer, NotRun)} == set(image_batch.NOT_RUN)
    assert all(isinstance(answer, Claim | NotRun) for answer in answers)


def test_the_recipe_is_goyals_compressed():
    config = image_batch.Config.model_validate(yaml.safe_load(f"{{{BATCH}}}") | {"epochs": 90, "cases": 25600})
    arms = {arm.name: arm.settings["run"] for arm in image_batch.arms(config)}
    run = arms["plain.batch256"]
    assert run["updates"] == 9000
    assert run["optimizer"]["milestones"] == [3000, 6000, 8000]
    assert run["optimizer"]["warmup_steps"] == 500
    assert run["optimizer"]["learning_rate"] == pytest.approx(0.1)
    assert arms["twice.batch256"]["optimizer"]["learning_rate"] == pytest.approx(0.2)
    assert arms["twice.batch256"]["updates"] == 9000
    assert arms["codistilled.batch256"]["protocol"]["burn_in_steps"] == 3600
    falling = arms["codistilled_decay.batch256"]["optimizer"]["weight_decay_steps"]
    assert falling == [[3000, pytest.approx(1e-5)], [6000, 0.0]]
    without = image_batch.arms(config.model_copy(update={"weight_decay": 0.0, "kinds": ("plain",)}))
    assert all("decay_norms" not in arm.settings["run"]["optimizer"] for arm in without), "nothing decays"
    for run in arms.values():
        Settings.model_validate({**run, "device": "cpu"})


def test_fewer_steps_are_counted_to_one_fixed_error(monkeypatch):
    curves = {
        ("codistilled.batch8", 0): [(0, 50.0), (10, 10.0), (20, 8.0)],
        ("codistilled.batch8", 1): [(0, 50.0), (10, 20.0), (20, 15.0)],
    }
    ends = {"plain.batch8": {0: 9.0, 1: 11.0}, "codistilled.batch8": {0: 8.0, 1: 15.0}}

    class Recorded:
        def values(self, arm, metric):
            return ends[arm]

    monkeypatch.setattr(_batch, "curve_of", lambda results, arm, seed, split, metric: curves[arm, seed])
    assert _batch.fewer_steps_percent(Recorded(), 8, 20) == (50.0, -100.0)


def _folder_of_pictures(place, monkeypatch):
    """Two classes of four pictures, as a set that has a name."""
    image = pytest.importorskip("PIL.Image")
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = place / "tiny-imagenet-25" / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                image.new("RGB", (32, 32), (60 * number, 0, 0)).save(folder / f"{number}.JPEG")
    monkeypatch.setenv("REPRO_DATA", str(place))


def test_a_convolutional_net_and_a_folder_are_learned_from(tmp_path, monkeypatch):
    task = _tasks.pictures("digits", {"kind": "convnet", "widths": [4, 8]})
    x, _ = task.batch(torch.arange(6), 0)
    assert task.model(0)(x).shape == (6, 10)
    assert torch.equal(task.model(0)(x), task.model(0)(x))
    _folder_of_pictures(tmp_path, monkeypatch)
    net = {"kind": "resnet", "blocks": [1], "width": 4, "size": 16}
    task = _tasks.pictures("tiny-imagenet-25", net, held_out=2, loaders=0)
    assert task.examples == 6
    run = {
        "protocol": {"kind": "SyncSGD", "workers": 1},
        "updates": 2,
        "batch_size": 4,
        "optimizer": {"learning_rate": 0.1},
    }
    learned = _learning.train(task, run, 0, Context("tiny-imagenet-25", {}, tmp_path))
    assert 0 <= _learning.last(learned, "validation", "error_percent") <= 100


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_large_batch_is_put_together_from_pieces(tmp_path, monkeypatch, loaders):
    _folder_of_pictures(tmp_path, monkeypatch)
    whole = _tasks.InPieces(folders.Pixels(folders.load("tiny-imagenet-25").train, 16, training=True), loaders)
    wanted = [(torch.tensor([5, 1, 7, 0, 2]), 3), (torch.tensor([4, 6]), 8)]
    as_one = [whole(*pair) for pair in wanted]
    assert torch.equal(as_one[0][0], whole.pixels(*wanted[0])[0]), "up to one piece nothing is parted"
    monkeypatch.setattr(_tasks, "PICTURES_A_PIECE", 2)
    parted = [whole(*pair) for pair in wanted]
    assert torch.equal(parted[0][0][:2], as_one[0][0][:2])
    assert torch.equal(parted[0][1], as_one[0][1])
    assert torch.equal(parted[1][0], as_one[1][0])
    for (x, y), (ahead_x, ahead_y) in zip(parted, whole.ahead(iter(wanted)), strict=True):
        assert torch.equal(x, ahead_x)
        assert torch.equal(y, ahead_y)


def test_processes_with_readers_learn_what_one_process_does(tmp_path, monkeypatch):
    _folder_of_pictures(tmp_path, monkeypatch)
    text = (
        "seeds: 1, net: {kind: resnet, blocks: [1], width: 4, size: 16}, cases: 8, epochs: 3, batch_sizes: [4], "
        "base_rates: {4: 0.1}, interval_steps: 2, evaluations: 3, kinds: [codistilled], hardware: {examples_at_once: 2}"
    )
    found = []
    for job in ("", ", job: {loaders: 1, memory_mb: 4000, minutes: 5}"):
        (arm,) = imagenet.arms(imagenet.Config.model_validate(yaml.safe_load(f"{{{text}{job}}}")))
        work = tmp_path / f"work{len(found)}"
        work.mkdir()
        context = Context("tiny-imagenet-25", {}, work)
        if job:
            assert (arm.helpers, arm.memory_mb, arm.minutes) == (3, 4000, 5)
            torn = tmp_path / "tiny-imagenet-25" / "val" / "b" / "3.JPEG"
            picture = torn.read_bytes()
            torn.write_bytes(b"torn")
            with pytest.raises(UserError, match=r"group \d failed"):
                imagenet.run(arm, 0, context)
            torn.write_bytes(picture)
        found.append(imagenet.run(arm, 0, context))
    alone, processes = found
    assert processes.metrics == pytest.approx(alone.metrics)
    ours = [point for point in processes.curves if point[2] == "test"]
    assert ours == [(*point[:4], pytest.approx(point[4])) for point in alone.curves]
    assert {point[3] for point in ours} >= {"loss", "loss.group1"}


@pytest.mark.parametrize(
    ("hardware", "told"),
    [("{examples_at_once: 100}", "128 examples a step are no multiple"),
     ("{examples_at_once: 64, accumulation: 2}", "leave accumulation out")],
)  # fmt: skip
def test_parts_that_a_batch_does_not_have_are_refused(hardware, told):
    with pytest.raises(ValueError, match=told):
        image_batch.Config.model_validate(yaml.safe_load(f"{{{BATCH}, hardware: {hardware}}}"))


# What is on record


def _best_rate(rows, metric, *prefixes):
    """The rate of the lowest mean over runs of the arms ``<prefix>.rate<rate>``, which have equally many seeds."""
    tried = {}
    for row in rows:
        name, _, rate = str(row["arm"]).rpartition(".rate")
        if name in prefixes:
            tried.setdefault(float(rate), []).append(row[metric])
    return min(tried, key=lambda rate: np.mean(tried[rate]))


PAPER = config.load(ROOT / "config" / "paper.yaml")
CHOSEN = {
    "churn": (
        "log_loss",
        lambda c: {tuple(f"tuning.{name}" for name in churn.TUNED): c.training.optimizer.learning_rate},
    ),
    "exchange_interval": ("loss", lambda c: {(f"tuning.{name}",): rate for name, rate in c.rates.items()}),
    "language_model": (
        "loss",
        lambda c: {
            **{(f"tuning.sync{g.workers}",): g.learning_rate for g in c.sync},
            ("tuning.codistilled",): c.codistilled_rate or c.base.learning_rate,
        },
    ),
    **dict.fromkeys(
        ("image_batch", "cifar_batch"),
        ("error_percent", lambda c: {(f"tuning.examples{n}",): r for n, r in c.base_rates.items()}),
    ),
}


@pytest.mark.parametrize("experiment", CHOSEN)
def test_chosen_rates_are_the_best_on_validation(experiment):
    section = PAPER.section(f"anil2018.{experiment}")
    found = results.load(ROOT / "results" / section.folder("paper"))
    asked = {run.arm.name for run in PAPER.runs(section) if run.arm.name.startswith("tuning")}
    if found is None or not asked <= {row["arm"] for row in found.rows}:
        pytest.skip("the tuning is not wholly on record")
    metric, chosen = CHOSEN[experiment]
    for prefixes, rate in chosen(section.config).items():
        assert rate == _best_rate(found.rows, metric, *prefixes), prefixes


def test_every_config_of_the_paper_plans():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        scale = config.load(path)
        for section in scale.papers["anil2018"].values():
            for run in scale.runs(section):
                if "run" in run.arm.settings:
                    Settings.model_validate({"precision": "float32", **run.arm.settings["run"], "device": "cpu"})


def test_cifar_at_scale_cluster_is_the_comparison_at_larger_size():
    scales = {name: config.load(ROOT / "config" / f"{name}.yaml") for name in ("paper", "cluster")}
    small, large = (scale.section("anil2018.cifar_batch").config for scale in scales.values())
    assert min(large.net.widths) > min(small.net.widths)
    assert large.epochs > small.epochs
    assert set(small.batch_sizes) < set(large.batch_sizes)
    assert set(small.kinds) < set(large.kinds)
    assert scales["cluster"].device == "cuda"
    runs = scales["cluster"].runs(scales["cluster"].section("anil2018.cifar_batch"))
    names = {run.arm.name for run in runs}
    assert {_batch.arm_name(kind, 2048) for kind in _batch.KINDS} < names
    assert len(runs) == 3 * 2 * len(_batch.KINDS) + len(large.base_rates) * len(large.tuned_base_rates)
    assert all(run.arm.minutes == large.job.minutes and not run.arm.helpers for run in runs)
    assert {run.data for run in runs} == {"cifar-100"}
