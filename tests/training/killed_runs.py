"""Trains in fresh processes that are killed, and goes on from what they leave. Started by the tests alone.

Each start is a fork made before torch has computed anything: a process of its own without the seconds
that importing torch takes. Prints one JSON line per scenario: how often a process was killed, and
the digest of the weights and the curves that the last one ended with, and the steps that it took.
"""

import hashlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.distill.objective import distillation_loss, soft_targets
from repro.models.mlp import mlp
from repro.training.inputs import inputs_for
from repro.training.loop import train
from repro.training.settings import Training

CASES, BATCH, EPOCHS = 50, 16, 5
STEPS_AN_EPOCH = 4


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def countdown(calls: int | None, then: Callable[[], None] = die) -> Callable[[], None]:
    """Something to call, which acts at call ``calls`` (from 1); never for None."""
    left = iter(range(calls - 1, -1, -1)) if calls else iter(())

    def tick() -> None:
        if next(left, None) == 0:
            then()

    return tick


def one_life(folder: Path, moment: str, at: int | None) -> None:
    """A run from wherever the checkpoint stands; killed at the ``at``-th ``moment`` of this process."""
    ticks = {name: countdown(at if name == moment else None) for name in ("step", "evaluation", "write", "rename")}
    fsync, replace = os.fsync, Path.replace

    def dying_fsync(file: int) -> None:
        ticks["write"]()  # the content may be on its way; the name is not given yet
        fsync(file)

    def dying_replace(path: Path, target: Path) -> Path:
        ticks["rename"]()
        return replace(path, target)

    os.fsync, Path.replace = dying_fsync, dying_replace  # type: ignore[method-assign]

    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (CASES, 6, 6), dtype=torch.uint8, generator=draws)
    labels = torch.randint(5, (CASES,), generator=draws)
    targets = soft_targets(4 * torch.randn(CASES, 5, generator=draws), 4.0)
    model = mlp((36, 15, 11, 5), seed=1, dropout_input=0.2, dropout_hidden=0.5)

    steps = 0

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        ticks["step"]()
        return distillation_loss(logits, targets[index], labels[index], temperature=4.0, hard_weight=0.1)

    def evaluate(net: nn.Module) -> dict[str, dict[str, float]]:
        ticks["evaluation"]()
        logits = net(images.flatten(1).float() / 255)
        return {"train": {"errors": int((logits.argmax(1) != labels).sum()), "mean": float(logits.mean())}}

    settings = Training(
        epochs=EPOCHS,
        batch_size=BATCH,
        momentum_start=0.5,
        momentum_ramp_fraction=0.7,
        max_norm_squared=1.0,
        weight_decay=1e-4,
        jitter_pixels=1,
        evaluate_every_epochs=2,
        precision="float32",
    )
    points = train(
        model,
        inputs_for(images, settings.jitter_pixels),
        objective,
        CASES,
        settings,
        seed=1,
        name="run",
        evaluate=evaluate,
        checkpoint=folder / "checkpoint",
        checkpoint_interval_s=0.0,
    )
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        weights.update(name.encode() + tensor.numpy().tobytes())
    curves = [[p.epoch, p.step, p.split, p.metric, p.value.hex()] for p in points]
    (folder / "ended").write_text(json.dumps({"weights": weights.hexdigest(), "curves": curves, "steps": steps}))


def live(folder: Path, moment: str, at: int | None) -> bool:
    """One process; True if it was killed, False if it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            one_life(folder, moment, at)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.WEXITSTATUS(status):
        raise SystemExit("a run failed")
    return False


def spoil(folder: Path, how: str) -> None:
    path = folder / "checkpoint"
    whole = path.read_bytes()
    path.write_bytes({"torn": whole[: len(whole) // 2], "empty": b"", "garbage": b"\0garbage" * 40}[how])


def scenarios() -> Iterator[tuple[str, list[tuple[str, int | None]], str | None]]:
    """Name, the deaths in turn, and how the checkpoint is spoilt before the last life."""
    yield "unkilled", [], None
    for at in (1, 3, 4, 5, 11, 20):
        yield f"step {at}", [("step", at)], None
    yield "each epoch twice", [("step", 2), *[("step", STEPS_AN_EPOCH + 1)] * 4], None
    yield "evaluation 1", [("evaluation", 1)], None
    yield "evaluation 3", [("evaluation", 3)], None
    for at in (1, 3):
        yield f"write {at}", [("write", at)], None
        yield f"rename {at}", [("rename", at)], None
    yield "everything", [("step", 7), ("rename", 1), ("evaluation", 1), ("write", 2), ("step", 3)], None
    for how in ("torn", "empty", "garbage"):
        yield how, [("step", 10)], how


def main() -> None:
    # The first optimiser imports for more than a second: once here, not in every life.
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    for name, deaths, spoilt in scenarios():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            killed, visible = 0, set()
            for moment, at in deaths:
                killed += live(folder, moment, at)
                visible |= {path.name for path in folder.iterdir() if not path.name.startswith(".")}
            if spoilt:
                spoil(folder, spoilt)
            live(folder, "never", None)
            ended = json.loads((folder / "ended").read_text())
            told = {"scenario": name, "deaths": len(deaths), "killed": killed, "visible": sorted(visible)}
            print(json.dumps(told | ended), flush=True)


if __name__ == "__main__":
    main()
