"""What an untrained generalist leaves, for all tests of section 5's experiments."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from repro.data.sets import load_once
from repro.distill.covariance import covariance
from repro.models.convnet import convnet
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.training.checkpoint import write_tensors
from repro.training.inputs import channel_statistics


@pytest.fixture(scope="session")
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
