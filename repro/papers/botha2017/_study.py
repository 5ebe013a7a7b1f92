"""How nets, linear classifiers and the most frequent label learn from labelled texts.

The leading underscore says that it is no experiment.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from repro.data import labelled_text
from repro.data.labelled_text import Sequences
from repro.data.ngrams import Bags, hashed_ngrams, windows
from repro.experiment import Arm, Context, Result
from repro.models.ngram_net import NgramNet, cost, pack, unpack
from repro.papers.botha2017._arms import MOST_FREQUENT
from repro.runner import CHECKPOINT
from repro.training.loop import train
from repro.training.settings import Training

PARTS = ("train", "valid", "test")
EVALUATION_BATCH = 2000


@dataclass(frozen=True)
class Cases:
    """Windows of text numbers (n, window) and labels (n,), both int64, in reading order."""

    windows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Task:
    """The three parts as cases; ``texts[number]`` is a text, the last one the empty text beyond a sequence's ends."""

    texts: tuple[str, ...]
    parts: Mapping[str, Cases]
    classes: int


@cache
def task(name: str, reach: int) -> Task:
    """The data set as cases, read once per process."""
    data = labelled_text.load(name)
    sequences: dict[str, Sequences] = {part: getattr(data, part) for part in PARTS}
    texts = labelled_text.tokens_of(sequences.values())
    place = {text: number for number, text in enumerate(texts)}
    parts = {}
    for part, found in sequences.items():
        tokens = np.array([place[token] for row, _ in found for token in row], dtype=np.int64)
        labels = torch.tensor([label for _, row in found for label in row])
        made = windows([len(row) for row, _ in found], tokens, reach, padding=len(texts))
        parts[part] = Cases(torch.from_numpy(made), labels)
    return Task((*texts, ""), parts, len(data.labels))


@cache
def bags(name: str, reach: int, sizes: tuple[int, ...], buckets: int) -> tuple[Bags, ...]:
    """n-grams of all texts of the task, by size."""
    return tuple(hashed_ngrams(task(name, reach).texts, size, buckets) for size in sizes)


def ngrams_per_token(found: tuple[Bags, ...], cases: Cases) -> float:
    """Mean number of n-grams of a running token, all sizes together."""
    tokens = cases.windows[:, cases.windows.shape[1] // 2].numpy()
    return float(sum(np.diff(bag.starts)[tokens].mean() for bag in found))


@torch.no_grad()
def accuracy(model: nn.Module, cases: Cases) -> float:
    """Right answers in %."""
    model.eval()
    batches = zip(cases.windows.split(EVALUATION_BATCH), cases.labels.split(EVALUATION_BATCH), strict=True)
    right = sum(int((model(rows).argmax(1) == labels).sum()) for rows, labels in batches)
    return 100 * right / len(cases.labels)


def fit_net(settings: Mapping[str, Any], seed: int, context: Context) -> tuple[NgramNet, Result]:
    """Train a net; its result is measured in float32 and again from its 8-bit form."""
    work = task(context.data, settings["reach"])
    found = bags(context.data, settings["reach"], tuple(settings["sizes"]), settings["buckets"])
    net = NgramNet(
        found,
        buckets=settings["buckets"],
        dimension=settings["dimension"],
        window=2 * settings["reach"] + 1,
        hidden=settings["hidden"],
        classes=work.classes,
        seed=seed,
    )
    cases = work.parts["train"]

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, cases.labels[index])

    points = train(
        net,
        lambda index: cases.windows[index],
        objective,
        len(cases.labels),
        Training(**settings["training"]),
        seed=seed,
        name=context.name,
        checkpoint=context.work / CHECKPOINT,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    metrics = {f"{part}_accuracy": accuracy(net, work.parts[part]) for part in ("valid", "test")}
    counted = cost(net, ngrams_per_token(found, work.parts["test"]))
    metrics |= {"weights": counted.weights, "operations": round(counted.operations)}
    metrics["float_bytes"] = len(save({name: value.contiguous() for name, value in net.state_dict().items()}))
    packed = pack(net)
    metrics["bytes"] = len(save(packed))
    unpack(net, packed)
    metrics |= {f"{part}_accuracy_8bit": accuracy(net, work.parts[part]) for part in ("valid", "test")}
    metrics["train_loss"] = points[-1].value
    return net, Result(metrics, points)


def _frequencies(found: tuple[Bags, ...], buckets: int) -> Any:
    """Sparse (texts, sizes x buckets): the share of each bucket among a text's n-grams of each size."""
    from scipy.sparse import csr_matrix, hstack

    parts = []
    for bag in found:
        counts = np.diff(bag.starts)
        share = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
        parts.append(csr_matrix((share, bag.buckets, bag.starts), shape=(len(bag), buckets)))
    return hstack(parts, format="csr")


def fit_linear(settings: Mapping[str, Any], seed: int, context: Context) -> Result:
    """scikit-learn's logistic regression by SGD on the same n-grams of the same window, alpha chosen on validation."""
    import warnings

    from scipy.sparse import hstack
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import SGDClassifier

    work = task(context.data, settings["reach"])
    found = bags(context.data, settings["reach"], tuple(settings["sizes"]), settings["buckets"])
    texts = _frequencies(found, settings["buckets"])
    inputs = {
        part: hstack([texts[column] for column in cases.windows.numpy().T], format="csr")
        for part, cases in work.parts.items()
    }
    right: dict[float, dict[str, float]] = {}
    for penalty in settings["penalties"]:
        classifier = SGDClassifier(
            loss="log_loss", alpha=penalty, max_iter=settings["epochs"], tol=None, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is ours
            classifier.fit(inputs["train"], work.parts["train"].labels.numpy())
        right[penalty] = {
            part: 100 * float(classifier.score(inputs[part], work.parts[part].labels.numpy()))
            for part in ("valid", "test")
        }
    best = max(right, key=lambda penalty: right[penalty]["valid"])
    weights = work.classes * (inputs["train"].shape[1] + 1)
    window = 2 * settings["reach"] + 1
    return Result(
        {
            "valid_accuracy": right[best]["valid"],
            "test_accuracy": right[best]["test"],
            "penalty": best,
            "weights": weights,
            "float_bytes": 4 * weights,
            "operations": round(window * work.classes * ngrams_per_token(found, work.parts["test"])),
        }
    )


def most_frequent(data: str) -> Result:
    """Every token bears the label that it has most often in the training part, an unknown one the commonest of all."""
    work = task(data, 0)
    seen: dict[int, Counter[int]] = {}
    tokens, labels = work.parts["train"].windows[:, 0].tolist(), work.parts["train"].labels.tolist()
    for token, label in zip(tokens, labels, strict=True):
        seen.setdefault(token, Counter())[label] += 1
    commonest = Counter(labels).most_common(1)[0][0]
    own = {token: counter.most_common(1)[0][0] for token, counter in seen.items()}

    def right(cases: Cases) -> float:
        guess: NDArray[np.int64] = np.array([own.get(token, commonest) for token in cases.windows[:, 0].tolist()])
        return 100 * float((guess == cases.labels.numpy()).mean())

    return Result({f"{part}_accuracy": right(work.parts[part]) for part in ("valid", "test")})


def run(arm: Arm, seed: int, context: Context) -> Result:
    """One run of any arm, on the processor: the nets are too small for another device."""
    if arm.name == MOST_FREQUENT:
        return most_frequent(context.data)
    fit: Callable[[Mapping[str, Any], int, Context], Result] = (
        fit_linear if "penalties" in arm.settings else lambda *given: fit_net(*given)[1]
    )
    return fit(arm.settings, seed, context)
