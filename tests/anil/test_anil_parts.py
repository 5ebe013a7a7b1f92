"""What the experiments stand on: texts, hashed categories, folders of pictures, nets, controls, delays, steps."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from repro.codistill.controls import smoothed, taught_by
from repro.codistill.delayed import with_delay
from repro.codistill.replayed import learn, lock_step
from repro.codistill.settings import Settings
from repro.codistill.tasks import digits
from repro.data import folders, texts
from repro.data.hashed import bucket, hashed
from repro.data.tables import Columns, Table
from repro.errors import UserError
from repro.models.lstm_lm import LanguageModel
from repro.models.resnet import resnet
from repro.papers.anil2018._steps import NEVER, elapsed_s, steps_to
from simulation.protocols import Codistillation, SyncSGD
from simulation.schedule import Kind


def settings(interval=5, updates=40, **more):
    protocol = Codistillation(2, SyncSGD(1), interval)
    optimizer = {"kind": "sgd", "learning_rate": 0.1}
    return Settings.model_validate(
        {"protocol": protocol, "updates": updates, "batch_size": 8, "optimizer": optimizer, "device": "cpu"} | more
    )


# Texts


def test_targets_are_the_next_tokens():
    x, y = texts.sequences(torch.arange(11), 3)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert torch.equal(y, x + 1)
    with pytest.raises(UserError, match="no stretch of 11"):
        texts.sequences(torch.arange(11), 11)


def test_pythons_documentation_is_a_text_of_three_parts():
    text = texts.load("pydoc")
    assert len(text.words) == texts.PYDOC_WORDS
    assert len(text.train) > 50_000
    assert min(len(text.valid), len(text.test)) > 5_000
    assert max(int(part.max()) for part in (text.train, text.valid, text.test)) < len(text.words)
    counts = torch.bincount(text.train, minlength=len(text.words))[1:]  # the unknown stands first
    assert bool((counts[:-1] >= counts[1:]).all())


def test_words_left_out_are_unknown():
    text = texts.load("pydoc")
    small = texts.limited(text, 50)
    unknown = small.words.index(texts.UNKNOWN)
    kept = text.train < 50
    assert torch.equal(small.train[kept], text.train[kept])
    assert set(small.train[~kept].tolist()) == {unknown}
    with pytest.raises(UserError, match="take more"):
        texts.limited(text, 0)


def test_unigrams_are_a_distribution_and_no_word_has_none():
    p = texts.unigram(torch.tensor([0, 0, 2]), 4)
    assert torch.allclose(p, torch.tensor([3, 1, 2, 1]) / 7)


def test_a_text_that_is_not_there_or_empty_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no text is called"):
        texts.load("prose")
    with pytest.raises(UserError, match="cannot be read"):
        texts.read_words(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="is empty"):
        texts.read_words(tmp_path / "empty.txt")


# Hashed categories


def test_hashed_categories_count_each_attribute_once():
    columns = Columns(("age",), {"kind": ("a", "b"), "place": ("a", "b", "c")})
    table = Table(columns, np.array([[1.0], [2.0], [3.0]]), np.array([[0, 0], [1, 2], [0, 1]]))
    found = hashed(table, 16)
    assert found.shape == (3, 16)
    assert found.sum(1).tolist() == [2.0, 2.0, 2.0]
    naive = np.zeros((3, 16), np.float32)
    for row, codes in enumerate(table.nominal):
        for (name, categories), code in zip(columns.nominal.items(), codes, strict=True):
            naive[row, bucket(name, categories[code], 16)] += 1
    assert np.array_equal(found, naive)
    assert hashed(table, 1).ravel().tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(ValueError, match="at least 1"):
        hashed(table, 0)


def test_hashes_are_the_same_in_every_process_and_tell_attributes_apart():
    assert bucket("kind", "a", 1 << 30) == 54558957
    assert bucket("place", "a", 1 << 30) != bucket("kind", "a", 1 << 30)


# Nets


def test_the_language_model_is_keyed_by_its_seed_and_sees_no_future():
    net, same, other = (LanguageModel(20, embedding=6, hidden=8, layers=2, seed=s).eval() for s in (1, 1, 2))
    x = torch.randint(20, (3, 7), generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(x), same(x))
    assert not torch.equal(net(x), other(x))
    changed = x.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 20
    assert torch.equal(net(x)[:, :4], net(changed)[:, :4])
    assert not torch.allclose(net(x)[:, 4:], net(changed)[:, 4:])


def test_an_lstm_step_is_its_equations():
    net = LanguageModel(5, embedding=3, hidden=4, layers=1, seed=0)
    x = torch.tensor([[2, 4]])
    w, u = net.layers[0].weight_ih_l0, net.layers[0].weight_hh_l0
    b = net.layers[0].bias_ih_l0
    assert torch.equal(net.layers[0].bias_hh_l0, torch.zeros(16))
    h = c = torch.zeros(4)
    for token in x[0]:
        i, f, g, o = (w @ net.embedding.weight[token] + u @ h + b).view(4, 4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    normal = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt()
    assert torch.allclose(net(x)[0, -1], net.softmax(normal), atol=1e-6)


def test_resnet_50_has_its_published_number_of_parameters():
    net = resnet(1000, seed=0)
    assert sum(p.numel() for p in net.parameters()) == 25_557_032


def test_a_residual_block_begins_as_its_shortcut():
    net = resnet(3, seed=0, blocks=(1, 1), width=4).eval()
    block = net[4]
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), torch.relu(block.shortcut(x)))
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 3)


# Controls


def test_smoothed_labels_are_pytorchs_label_smoothing():
    task = digits((8,))
    logits, y = torch.randn(6, 10), torch.arange(6)
    own = smoothed(task, 0.1).loss(logits, (None, y))
    assert torch.allclose(own, F.cross_entropy(logits, y, label_smoothing=0.1))
    prior = torch.softmax(torch.randn(10), 0)
    expected = F.cross_entropy(logits, 0.7 * F.one_hot(y, 10).float() + 0.3 * prior)
    assert torch.allclose(smoothed(task, 0.3, prior).loss(logits, (None, y)), expected)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        smoothed(task, 1.5)


def test_finished_teachers_teach_by_their_mean():
    task = digits((8,))
    teachers = [task.model(seed) for seed in (1, 2)]
    taught = taught_by(task, teachers, weight=0.5)
    x, y, told = taught.batch(torch.arange(5), 0)
    expected = sum(torch.softmax(t(x), -1) for t in teachers) / 2
    assert torch.allclose(told, expected)
    assert not told.requires_grad
    logits = torch.randn(5, 10, requires_grad=True)
    taught.loss(logits, (x, y, told)).backward()
    q = torch.softmax(logits.detach(), -1)
    assert torch.allclose(logits.grad, (q - F.one_hot(y, 10) + 0.5 * (q - told)) / 5, atol=1e-6)


# Delays


def test_teachers_are_exactly_as_old_as_asked():
    run = settings()
    for delay in (0, 5, 20):
        adopts = with_delay(run, delay).events.of(Kind.ADOPT)
        assert set((adopts.version - adopts.peer_version).tolist()) == {delay}
        assert adopts.version.min() == max(5, delay)


def test_a_delay_of_one_interval_is_waiting():
    run = settings()
    a, b = (learn(digits((8,)), run, schedule).weights for schedule in (with_delay(run, 5), lock_step(run)))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    fresh = learn(digits((8,)), run, with_delay(run, 0)).weights
    assert not torch.equal(fresh[0], a[0])


def test_burn_in_waits_whatever_the_delay():
    run = settings(protocol=Codistillation(2, SyncSGD(1), 5, burn_in_steps=17))
    assert with_delay(run, 10).events.of(Kind.ADOPT).version.min() == 20


def test_delays_between_snapshots_are_refused():
    with pytest.raises(UserError, match="no multiple of interval_steps = 5"):
        with_delay(settings(), 7)
    alone = Settings.model_validate(
        {"protocol": SyncSGD(1), "updates": 3, "batch_size": 8, "optimizer": {"learning_rate": 0.1}}
    )
    with pytest.raises(UserError, match="only snapshots travel"):
        with_delay(alone, 0)


# Steps to a target


def test_steps_to_a_target_lie_on_the_line_between_evaluations():
    curve = [(10, 5.0), (20, 3.0), (30, 3.5), (40, 1.0)]
    assert steps_to(curve, 4.0) == 15.0
    assert steps_to(curve, 5.5) == 10.0
    assert steps_to(curve, 2.25) == 35.0
    assert steps_to(curve, 0.5) == NEVER
    assert steps_to([], 1.0) == NEVER


@given(st.lists(st.floats(0, 10), min_size=2, max_size=8), st.floats(0, 10))
def test_a_lower_target_never_comes_earlier(values, target):
    curve = list(enumerate(values))
    found = steps_to(curve, target)
    assert steps_to(curve, target - 0.5) >= found
    assert (found == NEVER) == (min(values) > target)
    assert math.isinf(found) or 0 <= found <= len(values) - 1


# Folders of pictures


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for part, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                colour = (200, 20 * number, 10) if label else (10, 20 * number, 200)
                picture = image.new("RGB", (40, 30), colour)
                (picture.convert("L") if number == 1 else picture).save(folder / f"{number}.JPEG")
    return tmp_path


def test_a_folder_is_a_set(pictures):
    found = folders.read(pictures, "own")
    assert found.classes == ("cat", "dog")
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(found.val) == 4
    x, y = folders.Pixels(found.train, 16, training=False)(torch.tensor([0, 3, 1]), 0)
    assert x.shape == (3, 3, 16, 16)
    assert y.tolist() == [0, 1, 0]
    assert x[0, 2].mean() > x[0, 0].mean()  # blue
    assert torch.allclose(x[0, 0], x[0, 0, 0, 0].expand(16, 16), atol=0.1)  # one colour in, one colour out
    (pictures / "train" / "cat" / "9.JPEG").write_bytes(b"x")
    assert folders.read(pictures, "own").sha256 != found.sha256


def test_what_is_random_in_a_picture_is_keyed(pictures):
    image = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image.fromarray(noise).save(pictures / "train" / "cat" / "0.JPEG")
    pixels = folders.Pixels(folders.read(pictures, "own").train, 16, training=True)
    rows = torch.tensor([0, 0])
    a, b, c = pixels(rows, 1)[0], pixels(rows, 1)[0], pixels(rows, 2)[0]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a[0], a[1])


@pytest.mark.parametrize("processes", [0, 2])
def test_batches_prepared_ahead_come_in_order(pictures, processes):
    pixels = folders.Pixels(folders.read(pictures, "own").train, 8, training=True)
    wanted = [(torch.tensor([i, (i + 1) % 6]), i) for i in range(6)]
    found = list(folders.ahead(pixels, processes)(wanted))
    for (rows, key), (x, y) in zip(wanted, found, strict=True):
        own_x, own_y = pixels(rows, key)
        assert torch.equal(x, own_x)
        assert torch.equal(y, own_y)


def test_bad_folders_are_one_line(pictures, monkeypatch):
    with pytest.raises(UserError, match="is no folder"):
        folders.read(pictures / "nowhere", "own")
    (pictures / "train" / "eel").mkdir()
    with pytest.raises(UserError, match="class eel is in train alone"):
        folders.read(pictures, "own")
    (pictures / "val" / "eel").mkdir()
    with pytest.raises(UserError, match="holds no JPEG"):
        folders.read(pictures, "own")
    bad = pictures / "val" / "dog" / "0.JPEG"
    bad.write_bytes(b"not a picture")
    part = folders.Part((bad,), torch.tensor([0]))
    with pytest.raises(UserError, match="cannot be read as an image"):
        folders.Pixels(part, 8, training=False)(torch.tensor([0]), 0)
    with pytest.raises(UserError, match="no folder of images is called"):
        folders.load("pictures")
    monkeypatch.delenv("REPRO_DATA", raising=False)
    with pytest.raises(UserError, match="set REPRO_DATA"):
        folders.load("imagenet")


def test_without_pillow_there_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(UserError, match="pip install pillow"):
        folders.load("imagenet")


def test_burn_in_steps_cost_what_a_group_alone_does():
    assert elapsed_s(40, 0.3, 0.2, 50) == pytest.approx(8.0)
    assert elapsed_s(60, 0.3, 0.2, 50) == pytest.approx(10 + 3)
    assert elapsed_s(60, 0.3, 0.2, 0) == pytest.approx(18)
