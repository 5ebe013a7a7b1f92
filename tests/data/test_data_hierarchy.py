"""The made-up pictures with classes in groups, and superclasses of the public set that has them."""

import pytest
import torch

from repro.data import cifar, hierarchy, sets
from repro.errors import UserError


def test_same_pictures_at_every_call_and_as_many_of_each_class():
    one, two = sets.load("hierarchy"), sets.load("hierarchy")
    assert torch.equal(one.train.images, two.train.images)
    assert one.sha256 == two.sha256
    assert set(torch.bincount(one.test.labels).tolist()) == {hierarchy.TEST_OF_CLASS}
    assert one.superclasses == tuple(i // 4 for i in range(20))
    assert one.superclass_names[one.superclasses[19]] == "E"


def test_classes_of_a_group_are_nearer_than_others():
    data = sets.load("hierarchy")
    means = torch.stack([data.train.images[data.train.labels == c].float().mean(0).flatten() for c in range(20)])
    distances = torch.cdist(means, means)
    same = torch.tensor(data.superclasses)[:, None] == torch.tensor(data.superclasses)
    inside = distances[same & ~torch.eye(20, dtype=torch.bool)]
    assert float(inside.mean()) < 0.6 * float(distances[~same].mean())
    assert float(inside.min()) > 0


def test_superclasses_are_read_off_the_records():
    fine = torch.arange(100).repeat(2)
    records = cifar.Records(torch.zeros(200, 3, 32, 32, dtype=torch.uint8), fine, fine // 5)
    assert cifar.superclasses(records) == tuple(i // 5 for i in range(100))
    two = cifar.Records(records.images, fine, torch.cat([fine[:100] // 5, (fine[:100] + 1) % 100 // 5]))
    for wrong in (two, cifar.Records(records.images[:50], fine[:50], fine[:50] // 5)):
        with pytest.raises(UserError, match="absent or has two coarse ones"):
            cifar.superclasses(wrong)
