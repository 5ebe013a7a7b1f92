"""Images at large batch: arms, pieces of a batch, readers, and claims."""

import pytest
import torch
import yaml

from repro.codistill.settings import Settings
from repro.compare import Claim, NotRun
from repro.data import folders
from repro.errors import UserError
from repro.experiment import Context
from repro.papers.anil2018 import (
    _batch,
    _learning,
    _tasks,
    image_batch,
    imagenet,
)
from tests.anil.judged import judged

BATCH = (
    "seeds: 2, net: {kind: mlp, hidden: [4]}, cases: 1297, epochs: 3, batch_sizes: [128, 256], "
    "base_rates: {128: 0.1, 256: 0.1, 512: 0.1}, "
    "interval_steps: 2, evaluations: 4, tuned_base_rates: [0.1], held_out: 100"
)


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
