"""``tagger.*``: the tagger of ``repro.papers.botha2017`` on disk in 8 bits, and what that costs.

The net of scale ``paper`` (1,000 buckets of 2-, 3- and 4-grams, 16 numbers an embedding, a window of 7, 128 hidden
units), trained for a few seconds on Python's own sources, which everybody has; size depends on the shapes alone. It is
written to a file, read back and judged against what it was in float32.
"""

import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from repro.bench import Measurement
from repro.experiment import Context
from repro.models.ngram_net import pack, unpack
from repro.papers.botha2017 import _study as study
from repro.training.checkpoint import write_tensors
from repro.training.settings import Training

DATA = "python-tokens"
NET = {"sizes": [2, 3, 4], "reach": 3, "buckets": 1000, "dimension": 16, "hidden": 128}


def measure() -> list[Measurement]:
    """All rows of ``tagger.*``."""
    torch.set_num_threads(1)
    training = Training(epochs=3, batch_size=128, learning_rate=0.3, precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        context = Context(DATA, {}, Path(folder), name="tagger")
        net, result = study.fit_net(NET | {"training": training.model_dump()}, seed=0, context=context)
        path = Path(folder) / "tagger.safetensors"
        write_tensors(path, pack(net))
        size = path.stat().st_size
        unpack(net, load_file(path))
    test = study.task(DATA, 3).parts["test"]
    start = time.process_time()
    coarse = study.accuracy(net, test)
    seconds = time.process_time() - start
    exact = float(result.metrics["test_accuracy"])
    return [
        Measurement("tagger.size", "8-bit net on disk", size / 1e6, "MB", "<= 1"),
        Measurement("tagger.loss", "accuracy in float32 less accuracy from 8 bits", exact - coarse, "points", "<= 0.2"),
        Measurement("tagger.operations", "multiply-adds a token", float(result.metrics["operations"]), ""),
        Measurement("tagger.tokens_per_s", "tagged, batches of 2000, one thread", len(test.labels) / seconds, "1/s"),
    ]
