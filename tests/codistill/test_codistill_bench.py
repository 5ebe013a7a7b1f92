"""The bench of pictures: what it times is what it says; how fast that is is no matter of tests."""

import pytest
import torch
from PIL import Image

from repro.bench import _pictures as bench
from repro.codistill.learner import Learner
from repro.codistill.task import Task
from repro.data import folders
from repro.models.resnet import resnet

SMALL = bench.Size(blocks=(1,), width=4, side=32, classes=2, per_class=3, batch=2, steps=1, rounds=1)


def test_the_folder_is_read_as_any_other(tmp_path):
    bench.make_folder(tmp_path, SMALL)
    found = folders.read(tmp_path, "made")
    assert len(found.train) == 6
    with Image.open(found.train.files[0]) as picture:
        assert picture.size == bench.PICTURE_SIZE
    sizes = [file.stat().st_size for file in found.train.files]
    assert 50_000 < min(sizes) < max(sizes) < 200_000


def test_every_batch_is_asked_for_once_and_rows_begin_anew():
    asked = list(bench.wanted(5, 2, 4))
    assert [rows.tolist() for rows, _ in asked] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert [key for _, key in asked] == [0, 1, 2, 3]


def test_both_loops_take_the_same_step():
    device = torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 3, 32, 32, generator=generator), torch.tensor([0, 1, 1, 0])

    def model(seed):
        return resnet(2, seed=seed, blocks=(1,), width=4)

    learner = Learner(Task(model, 4, lambda rows, key: batch), bench.settings_on(device, 4), device)
    plain = model(0)
    ours, bare = bench.our_steps(learner), bench.bare_steps(plain, device)
    for _ in range(3):
        ours(batch)
        bare(batch)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(learner.net.model.get_parameter(name), parameter, rtol=1e-5, atol=1e-6)


def test_the_rows_say_what_was_measured():
    rows = bench.measure_pictures(SMALL)
    assert {row.benchmark for row in rows} == {bench.NAME}
    assert all(row.value > 0 for row in rows)
    by_name = {row.quantity: row.value for row in rows}
    ahead = next(value for name, value in by_name.items() if name.startswith("JPEGs decoded ahead by"))
    supply = by_name["JPEGs decoded ahead, over what the step takes"]
    assert supply * by_name["a ResNet, pictures at hand"] == pytest.approx(ahead)
