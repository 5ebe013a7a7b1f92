"""Rows ``codistill.pictures``: ResNet-50 in the runtime beside a bare loop, and whether a folder of JPEGs feeds it.

The step is the runtime's own (`Learner` and its update rule), against what a tutorial writes; both on pictures at hand,
in turns. On a GPU both run in bf16, channels-last and compiled. The folder's pictures are made here: seeded, as large
as ImageNet's, in a temporary folder. They are decoded, cropped and scaled as the experiments have it, by the training
process itself and by processes that work ahead; then the step is fed by the latter.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from repro.bench import Measurement
from repro.codistill.learner import Learner
from repro.codistill.rules import rule_for
from repro.codistill.settings import Settings
from repro.codistill.task import Batch, Task, Wanted
from repro.data import folders
from repro.models.counting import layer_counts, total
from repro.models.resnet import RESNET50, resnet
from repro.training.device import device_named
from simulation.processes import usable_cores

NAME = "codistill.pictures"
PICTURE_SIZE = (500, 375)  # pixels, of most pictures of ImageNet
QUALITY = 92  # gives about 100 kB each
MOST_PROCESSES = 8
BF16_PEAK_FLOP_PER_S = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense, as their maker prints them


@dataclass(frozen=True)
class Size:
    """What is timed: the net, pictures of `side` pixels, batches, and how many of each."""

    blocks: tuple[int, ...] = RESNET50
    width: int = 64
    side: int = 224
    classes: int = 8
    per_class: int = 32
    batch: int = 4
    steps: int = 1
    rounds: int = 3


ON_GPU = Size(batch=256, steps=20)


def make_folder(folder: Path, size: Size) -> None:
    """Seeded JPEGs in ``train/<class>`` and ``val/<class>``: coarse shapes under fine noise, as long to decode as
    photographs."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for part, count in (("train", size.per_class), ("val", 1)):
        for label in range(size.classes):
            own = folder / part / f"class{label}"
            own.mkdir(parents=True)
            for number in range(count):
                coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
                shapes = np.asarray(coarse.resize(PICTURE_SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
                pixels = np.clip(shapes + draw.normal(0, 12, shapes.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(own / f"{number}.JPEG", quality=QUALITY)


def wanted(examples: int, batch: int, batches: int) -> Iterator[Wanted]:
    """Rows and keys of so many batches."""
    for step in range(batches):
        yield torch.arange(step * batch, (step + 1) * batch) % examples, step


def images_per_s(pixels: folders.Pixels, batch: int, processes: int) -> float:
    """How many pictures a second come out, if somebody takes each batch as soon as it is there.

    Counted from the first batch on, so that the start of processes has no part in it.
    """
    batches = max(8, 8 * processes)
    arrived = []
    for _ in folders.ahead(pixels, processes)(wanted(len(pixels.part), batch, batches + 1)):
        arrived.append(time.perf_counter())
    return batch * batches / (arrived[-1] - arrived[0])


def our_steps(learner: Learner) -> Callable[[Batch], None]:
    """The runtime's step on a batch."""
    rule = rule_for(learner.settings, learner.net)
    net, state = learner.net, rule.state(learner.net.weights)

    def step(batch: Batch) -> None:
        learner.gradient(batch, 0, None)
        rule.apply(net.weights, net.gradient[: net.size], state, 0, 0, out=net.weights)

    return step


def bare_steps(model: nn.Module, device: torch.device) -> Callable[[Batch], None]:
    """What a tutorial writes."""
    model = model.to(device)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.compile()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(batch: Batch) -> None:
        x, y = batch
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(x)
        loss = nn.functional.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def settings_on(device: torch.device, batch: int) -> Settings:
    """One worker; on a GPU with all that makes it fast."""
    fast = {"precision": "bf16", "channels_last": True, "compile": True} if device.type == "cuda" else {}
    return Settings.model_validate(
        {"precision": "float32", "protocol": {"kind": "SyncSGD", "workers": 1}, "updates": 1, "batch_size": batch}
        | {"optimizer": {"learning_rate": 0.01, "momentum": 0.9}, "device": device.type}
        | fast
    )


def measure_pictures(size: Size | None = None) -> list[Measurement]:
    """All rows of ``codistill.pictures``."""
    device = device_named("auto")
    if size is None:
        size = ON_GPU if device.type == "cuda" else Size()
    processes = min(MOST_PROCESSES, max(1, int(usable_cores()) - 1))
    with tempfile.TemporaryDirectory() as temporary:
        make_folder(Path(temporary), size)
        part = folders.read(Path(temporary), "made").train
        pixels = folders.Pixels(part, size.side, training=True)

        def model(seed: int) -> nn.Module:
            return resnet(size.classes, seed=seed, blocks=size.blocks, width=size.width)

        alone = images_per_s(pixels, size.batch, 0)
        ahead = images_per_s(pixels, size.batch, processes)
        learner = Learner(Task(model, len(part), pixels), settings_on(device, size.batch), device)
        at_hand: Batch = learner.to_device(pixels(torch.arange(size.batch), 0))
        ours, bare = our_steps(learner), bare_steps(model(0), device)
        steps = size.steps

        def fed() -> float:
            loader = folders.ahead(pixels, processes)(wanted(len(part), size.batch, steps + 1))
            ours(learner.to_device(next(loader)))
            return _seconds(lambda: [ours(learner.to_device(batch)) for batch in loader], device) / steps

        kinds: dict[str, Callable[[], float]] = {
            "bare": lambda: _seconds(lambda: [bare(at_hand) for _ in range(steps)], device) / steps,
            "ours": lambda: _seconds(lambda: [ours(at_hand) for _ in range(steps)], device) / steps,
            "fed": fed,
        }
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(size.rounds + 1):
            for kind, timed in kinds.items():
                seconds = timed()
                if turn:  # the first compiles, and warms up
                    times[kind].append(seconds)
    step = {kind: statistics.median(found) for kind, found in times.items()}
    rate = size.batch / step["ours"]
    where = f"ResNet-50 on the {device.type}" if size.blocks == RESNET50 else "a ResNet"
    rows = [
        Measurement(NAME, f"{where}, pictures at hand", rate, "images/s"),
        Measurement(NAME, "its step over a bare loop's", step["ours"] / step["bare"], "x", "<= 1.1"),
        Measurement(NAME, "JPEGs decoded by the training process", alone, "images/s"),
        Measurement(NAME, f"JPEGs decoded ahead by {processes} processes", ahead, "images/s"),
        Measurement(NAME, "JPEGs decoded ahead, over what the step takes", ahead / rate, "x", ">= 1"),
        Measurement(NAME, "step fed with JPEGs over pictures at hand", step["fed"] / step["ours"], "x", "<= 1.1"),
    ]
    peak = _peak(device)
    if peak:
        flop = 6.0 * total(layer_counts(model(0), (3, size.side, size.side))).multiply_adds
        rows.append(Measurement(NAME, "share of the bf16 peak", rate * flop / peak, "share"))
    return rows


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _peak(device: torch.device) -> float:
    """The printed peak of this GPU; 0 where none is known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for known, peak in BF16_PEAK_FLOP_PER_S.items() if known in name), 0.0)
