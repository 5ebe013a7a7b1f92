"""``training.*``: the training loop against the usual loop, against the machine's peak, and its memory.

The usual loop is what a tutorial writes: a Dataset that turns each uint8 image into a PIL image and that into a
normalised float tensor, a DataLoader that collates them, a step with float32 weights, and, for distillation, the
teacher run on every batch. It is written out below, line by line. Seconds are CPU seconds of this process, with one
thread; data are seeded noise of MNIST's shape, since only shapes matter to speed.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from repro.bench import Measurement
from repro.distill.objective import distillation_loss, soft_targets
from repro.models.mlp import mlp
from repro.training.device import bf16_is_fast
from repro.training.inputs import flat_float, inputs_for
from repro.training.loop import train
from repro.training.settings import Training

CASES = 60_000
SAMPLE = 12_800  # cases timed of the usual loop and of ours alike; an epoch is scaled up from them
BATCH = 128
TEACHER, STUDENT = (784, 1200, 1200, 10), (784, 800, 800, 10)
EPOCHS_OF_STUDENT = 60
TEMPERATURE = 20.0


class UsualDataset(Dataset[tuple[Tensor, Tensor]]):
    """One PIL image at a time, to tensor, normalised: as in most examples."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.numpy(), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        import numpy as np
        from PIL import Image

        image = Image.fromarray(self.images[index])
        tensor = torch.from_numpy(np.array(image)).unsqueeze(0).float().div(255)
        return (tensor - 0.1307) / 0.3081, self.labels[index]


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process, user and system."""
    start = time.process_time()
    work()
    return time.process_time() - start


def usual_epoch(dataset: UsualDataset, sizes: tuple[int, ...], teacher: nn.Module | None) -> None:
    """A pass over the sample in the usual way; with a teacher, its forward pass is in every step."""
    model = mlp(sizes, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    for images, labels in DataLoader(dataset, batch_size=BATCH, shuffle=True):
        x = images.view(len(images), -1)
        logits = model(x)
        if teacher is None:
            loss = F.cross_entropy(logits, labels)
        else:
            with torch.no_grad():
                targets = F.softmax(teacher(x) / TEMPERATURE, dim=1)
            divergence = F.kl_div(F.log_softmax(logits / TEMPERATURE, dim=1), targets, reduction="batchmean")
            loss = divergence * TEMPERATURE**2 + F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def our_epoch(images: Tensor, labels: Tensor, sizes: tuple[int, ...], precision: str, targets: Tensor | None) -> None:
    """The same pass by ``repro.training.loop``."""
    settings = Training.model_validate(
        {"epochs": 1, "learning_rate": 0.01, "batch_size": BATCH, "precision": precision}
    )

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        if targets is None:
            return F.cross_entropy(logits, labels[index])
        return distillation_loss(logits, targets[index], labels[index], temperature=TEMPERATURE, hard_weight=1.0)

    train(mlp(sizes, seed=0), inputs_for(images, 0), objective, len(images), settings, seed=0, name="bench")


def best_of_three(
    images: Tensor, labels: Tensor, sizes: tuple[int, ...], precision: str, targets: Tensor | None
) -> float:
    """CPU seconds of the fastest of three of our passes."""
    return min(cpu_seconds(lambda: our_epoch(images, labels, sizes, precision, targets)) for _ in range(3))


def gemm_peak(dtype: torch.dtype) -> float:
    """FLOP/s of the best of several 2048^3 products."""
    a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    a @ b
    best = min(cpu_seconds(lambda: a @ b) for _ in range(8))
    return 2 * 2048**3 / best


def nominal_flop(sizes: tuple[int, ...]) -> float:
    """6 x weights x cases of the sample: a product forward, two backward, two FLOP a multiply-add."""
    return 6.0 * sum(a * b for a, b in itertools.pairwise(sizes)) * SAMPLE


def peak_memory_gb() -> float:
    """Resident peak of a paper-scale teacher: the whole data set, dropout, jitter, checkpoints."""
    code = (
        "import resource, torch\n"
        "from repro.models.mlp import mlp\n"
        "from repro.training.inputs import inputs_for\n"
        "from repro.training.loop import train\n"
        "from repro.training.settings import Training\n"
        "images = torch.randint(256, (60000, 28, 28), dtype=torch.uint8)\n"
        "labels = torch.randint(10, (60000,))\n"
        "s = Training(epochs=1, batch_size=128, dropout_input=.2, dropout_hidden=.5, max_norm_squared=15,"
        " jitter_pixels=2)\n"
        "m = mlp((784, 1200, 1200, 10), seed=0, dropout_input=.2, dropout_hidden=.5)\n"
        "f = lambda z, i: torch.nn.functional.cross_entropy(z, labels[i])\n"
        "train(m, inputs_for(images, 2), f, 60000, s, seed=0, name='memory')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e9


def measure() -> list[Measurement]:
    """All rows of ``training.*``."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (SAMPLE, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (SAMPLE,), generator=generator)
    dataset = UsualDataset(images, labels)
    teacher = mlp(TEACHER, seed=1).eval()
    scale = CASES / SAMPLE
    rows = []
    with torch.no_grad():
        targeting = cpu_seconds(lambda: soft_targets(teacher(flat_float(images)), TEMPERATURE))
        targets = soft_targets(teacher(flat_float(images)), TEMPERATURE)
    our_epoch(images, labels, TEACHER, "float32", None)  # touch the memory once before anything is timed
    usual_teacher = cpu_seconds(lambda: usual_epoch(dataset, TEACHER, None))
    usual_student = cpu_seconds(lambda: usual_epoch(dataset, STUDENT, teacher))
    rows.append(Measurement("training.usual_teacher_epoch", "CPU seconds an epoch", usual_teacher * scale, "s"))
    rows.append(Measurement("training.usual_student_epoch", "CPU seconds an epoch", usual_student * scale, "s"))
    goals = {"bf16": (">= 2.2", ">= 3.5", ">= 0.6"), "float32": (">= 1.4", ">= 2.2", ">= 0.85")}
    for precision, (teacher_goal, student_goal, peak_goal) in goals.items():
        if precision == "bf16" and not bf16_is_fast(torch.device("cpu")):
            continue
        ours_teacher = best_of_three(images, labels, TEACHER, precision, None)
        ours_student = best_of_three(images, labels, STUDENT, precision, targets)
        ours_student += targeting / EPOCHS_OF_STUDENT
        peak = gemm_peak(torch.bfloat16 if precision == "bf16" else torch.float32)
        share = nominal_flop(TEACHER) / ours_teacher / peak
        name = f"training.{precision}"
        rows += [
            Measurement(f"{name}.teacher_epoch", "CPU seconds an epoch", ours_teacher * scale, "s"),
            Measurement(f"{name}.teacher_speedup", "usual over ours", usual_teacher / ours_teacher, "x", teacher_goal),
            Measurement(f"{name}.student_epoch", "CPU seconds an epoch", ours_student * scale, "s"),
            Measurement(f"{name}.student_speedup", "usual over ours", usual_student / ours_student, "x", student_goal),
            Measurement(f"{name}.gemm_peak", "2048^3 product", peak / 1e9, "GFLOP/s"),
            Measurement(f"{name}.share_of_peak", "teacher step, 6 x weights x batch", share, "", peak_goal),
        ]
    rows.append(Measurement("training.memory", "peak of a paper-scale teacher", peak_memory_gb(), "GB", "<= 1.5"))
    return rows
