"""What `load` gives: on scikit-learn's digits always, on the published files where REPRO_DATA has them."""

import gzip
import os
import struct
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from repro.data import cifar, digits, fetch, sets, sources
from repro.errors import UserError

GIVEN_DATA = os.environ.get("REPRO_DATA")  # as the tests were started, before any fixture hides it


@pytest.fixture
def published(request, monkeypatch) -> str:
    name: str = request.param
    if not GIVEN_DATA or not (Path(GIVEN_DATA) / name).is_dir():
        pytest.skip(f"{name} is not in REPRO_DATA")
    monkeypatch.setenv("REPRO_DATA", GIVEN_DATA)
    return name


@pytest.mark.parametrize("published", list(sources.PUBLIC_SETS), indirect=True)
def test_the_published_files_have_the_sums_of_the_table(published):
    assert fetch.verify(published) == Path(GIVEN_DATA or "") / published


@pytest.mark.parametrize("published", ["mnist"], indirect=True)
def test_mnist(published):
    mnist = sets.load(published)
    assert mnist.train.images.shape == (60_000, 28, 28)
    assert mnist.test.images.shape == (10_000, 28, 28)
    # class counts and moments as they are widely printed
    assert mnist.train.labels.bincount().tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert mnist.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = mnist.train.images.to(torch.float32) / 255
    assert abs(float(pixels.mean()) - 0.1307) < 5e-5
    assert abs(float(pixels.std()) - 0.3081) < 5e-5
    assert mnist.classes == tuple("0123456789")
    assert set(mnist.sha256) == {path.name for path in fetch.locate(published).glob("*.gz")}


@pytest.mark.parametrize("published", ["fashion-mnist"], indirect=True)
def test_fashion_mnist(published):
    fashion = sets.load(published)
    assert fashion.train.images.shape == (60_000, 28, 28)
    assert fashion.train.labels.bincount().tolist() == [6_000] * 10
    assert fashion.test.labels.bincount().tolist() == [1_000] * 10
    assert fashion.classes[int(fashion.train.labels[0])] == "ankle boot"  # the well-known first image


@pytest.mark.parametrize("published", ["cifar-100"], indirect=True)
def test_cifar_100(published):
    photographs = sets.load(published)
    assert photographs.train.images.shape == (50_000, 3, 32, 32)
    assert photographs.train.labels.bincount().tolist() == [500] * 100
    assert photographs.test.labels.bincount().tolist() == [100] * 100
    # channel means as they are widely printed: red, green, blue, in this order
    means = photographs.train.images.to(torch.float32).mean(dim=(0, 2, 3)) / 255
    assert torch.allclose(means, torch.tensor([0.5071, 0.4865, 0.4409]), atol=5e-5)
    folder = fetch.locate(published) / "cifar-100-binary"
    if (folder / "fine_label_names.txt").exists():
        assert (folder / "fine_label_names.txt").read_text().split() == list(cifar.FINE_NAMES)
        assert (folder / "coarse_label_names.txt").read_text().split() == list(cifar.COARSE_NAMES)


@pytest.mark.parametrize("published", ["cifar-100"], indirect=True)
def test_cifar_100_has_coarse_labels_too(published):
    fine, coarse = sets.load(published), sets.load("cifar-100-coarse")
    assert torch.equal(fine.train.images, coarse.train.images)
    assert coarse.train.labels.bincount().tolist() == [2_500] * 20
    apple = fine.train.labels == fine.classes.index("apple")
    assert coarse.train.labels[apple].unique().tolist() == [coarse.classes.index("fruit_and_vegetables")]
    assert coarse.sha256 == fine.sha256


def test_digits_are_those_of_scikit_learn_split_by_class():
    found = sets.load("digits")
    assert (len(found.train), len(found.test)) == (1297, 500)
    assert found.train.images.shape == (1297, 8, 8)
    assert int(found.train.images.max()) == 255
    assert int(found.train.images.min()) == 0

    bunch = load_digits()
    original = Counter((tuple(row), label) for row, label in zip(bunch.data, bunch.target, strict=True))
    ours = Counter(
        (tuple((image.flatten().double() / 255 * 16).round().tolist()), label)
        for part in (found.train, found.test)
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    )
    assert ours == original  # nothing lost, nothing twice, labels still beside their images
    share = torch.tensor(bunch.target).bincount() * 500 / 1797
    assert bool(((found.test.labels.bincount() - share).abs() < 1).all())


def test_digits_split_never_moves():
    found = sets.load("digits")
    assert found.test.labels[:20].tolist() == [2, 8, 2, 3, 4, 5, 7, 4, 6, 9, 0, 9, 5, 8, 4, 7, 5, 7, 8, 0]
    assert int(found.test.images[:5].long().sum()) == 25914


def test_digits_of_another_scikit_learn_are_refused(monkeypatch):
    monkeypatch.setattr(digits, "_SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"digits: scikit-learn's arrays have sha256 \w{64}, expected 0{64}"):
        sets.load("digits")


def test_digits_that_are_not_there_are_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(digits, "_FILE", "sklearn/datasets/data/ciphers.csv.gz")
    with pytest.raises(UserError, match=r"digits: .*ciphers\.csv\.gz not found.*: install the version of scikit-learn"):
        sets.load("digits")


def test_an_unknown_set_lists_the_names():
    with pytest.raises(
        UserError, match=r"'minst': choose one of mnist, fashion-mnist, cifar-100, cifar-100-coarse, digits"
    ):
        sets.load("minst")


def test_files_of_images_and_labels_swapped(tmp_path, monkeypatch):
    # Past the sums, which catch it first: the reader too says what is wrong.
    labels = gzip.compress(struct.pack(">BBBBI3B", 0, 0, 8, 1, 3, 7, 8, 9))
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte.gz").write_bytes(labels)
    monkeypatch.setattr(fetch, "locate", lambda name: tmp_path)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: .* are the files of images and labels"):
        sets.load("mnist")


@pytest.mark.parametrize(
    ("images", "labels", "error"),
    [
        (torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), ValueError),
        (torch.zeros(3, 2, 2), torch.zeros(3, dtype=torch.int64), TypeError),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8), TypeError),
    ],
)
def test_images_and_labels_must_agree(images, labels, error):
    with pytest.raises(error):
        sets.LabelledImages(images, labels)


@given(st.integers(1, 200), st.data(), st.integers(0, 2**40))
def test_hold_out_parts_the_indices(n, data, seed):
    size = data.draw(st.integers(0, n - 1))
    kept, held_out = sets.hold_out(n, size, seed)
    assert len(held_out) == size
    assert sorted(kept.tolist() + held_out.tolist()) == list(range(n))
    assert kept.dtype == held_out.dtype == torch.int64
    assert kept.tolist() == sorted(kept.tolist())
    assert held_out.tolist() == sorted(held_out.tolist())
    assert torch.equal(sets.hold_out(n, size, seed)[1], held_out)


def test_hold_out_never_moves_and_depends_on_the_seed():
    assert sets.hold_out(20, 5, 0)[1].tolist() == [3, 5, 7, 12, 15]
    assert sets.hold_out(20, 5, 1)[1].tolist() != [3, 5, 7, 12, 15]


def test_hold_out_is_uniform():
    draws = Counter(index for seed in range(2_000) for index in sets.hold_out(8, 2, seed)[1].tolist())
    # each index is held out in a quarter of the draws: 500, standard deviation 19
    assert all(abs(draws[index] - 500) < 5 * 19.4 for index in range(8))


@pytest.mark.parametrize(("size", "seed"), [(-1, 0), (10, 0), (11, 0), (3, -1)])
def test_hold_out_refuses(size, seed):
    with pytest.raises(UserError):
        sets.hold_out(10, size, seed)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data(), st.integers(0, 99))
def test_stratified_gives_each_class_its_share(labels, data, seed):
    size = data.draw(st.integers(0, len(labels)))
    chosen = sets.stratified(labels, size, seed)
    assert len(set(chosen)) == len(chosen) == size
    taken, there = Counter(labels[index] for index in chosen), Counter(labels)
    assert all(abs(taken[label] - size * there[label] / len(labels)) < 1 for label in there)
