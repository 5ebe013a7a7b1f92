"""What the experiments of section 5 share: the generalist's remains, specialists on top of it, and what they say.

Specialists keep the generalist's trunk as it is and train their own copy of its top and head. The trunk's maps of all
cases, as they are and mirrored, are computed once and left beside the generalist's weights.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from repro.data.sets import ImageSet
from repro.distill import clusters, specialists
from repro.distill.combine import combine, consulted
from repro.experiment import Context
from repro.models.convnet import ConvNet, NormsKept, top
from repro.training.checkpoint import write_tensors
from repro.training.curves import Point
from repro.training.inputs import Pictures
from repro.training.keys import generator_seed
from repro.training.loop import Evaluate, train
from repro.training.settings import Training

GENERALIST, MAPS, SPECIALIST = "generalist.safetensors", "maps.safetensors", "specialist-{}.safetensors"
TOP = "top.safetensors"
ASIDE = "aside"  # of specialists while others are in training
BATCH = 1000  # of evaluation


@dataclass(frozen=True)
class Generalist:
    """What a trained generalist leaves: its top and head, and its answers to all cases of either split.

    ``kept`` are the training cases that it, and all that is built on it, learned from; ``held_out`` the others.
    ``maps`` are opened from a file when asked for.
    """

    folder: Path
    tensors: Mapping[str, Tensor]

    @classmethod
    def left_in(cls, folder: Path) -> "Generalist":
        return cls(folder, load_file(folder / GENERALIST))

    @classmethod
    def needed_by(cls, context: Context) -> "Generalist":
        """The generalist that a run needs, whichever seed was asked for."""
        return cls.left_in(next(path for label, path in context.inputs.items() if label.split(".")[0] == "generalist"))

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def fingerprint(self) -> str:
        """Which generalist this is: the same digest, and no other net, for all that is built on the same one."""
        return "g" + hashlib.sha256(self["test_logits"].numpy().tobytes()).hexdigest()[:12]

    def part(self, name: str) -> dict[str, Tensor]:
        """State of the ``top`` or the ``head``."""
        return {key.removeprefix(f"{name}."): t for key, t in self.tensors.items() if key.startswith(f"{name}.")}

    def maps(self, split: str) -> Tensor:
        """Maps of the trunk (views, cases, channels, height, width) float16."""
        with safe_open(self.folder / MAPS, framework="pt") as file:
            found: Tensor = file.get_tensor(split)
        return found

    def class_sets(self, settings: Mapping[str, Any], seed: int) -> Tensor:
        """Masks (count, classes) as the arm wants them: by clusters of the covariance, or random ones as large.

        Raises:
            UserError: more clusters than classes, or sets that no specialist can be trained on.
        """
        found = clusters.online_kmeans(self["covariance"], settings["count"], seed=seed)
        sets = clusters.nearest_columns(self["covariance"], found.centroids, settings["size"])
        if settings["sets"] == "random":
            generator = torch.Generator().manual_seed(generator_seed(seed, "random sets"))
            sets = specialists.random_class_sets(sets, generator)
        specialists.check_class_sets(sets)
        return sets


def percent_right(scores: Tensor, labels: Tensor) -> float:
    """Percent of cases whose largest score is their label's."""
    return 100 * float((scores.argmax(1) == labels).double().mean())


@dataclass(frozen=True)
class Views:
    """Rows of several views (views, cases, ...) of the same cases, the view drawn anew at every call."""

    views: Tensor

    def __call__(self, index: Tensor) -> Tensor:
        chosen = torch.randint(len(self.views), index.shape) if len(self.views) > 1 else torch.zeros_like(index)
        return as_input(self.views[chosen, index])


def as_input(rows: Tensor) -> Tensor:
    """float16 maps or features as a net takes them."""
    rows = rows.float()
    return rows.contiguous(memory_format=torch.channels_last) if rows.dim() == 4 else rows


@torch.no_grad()
def leave_generalist(
    work: Path, net: ConvNet, data: ImageSet, scale: tuple[Tensor, Tensor], mirror: bool, split: Mapping[str, Tensor]
) -> None:
    """Write weights, logits, features and maps; ``scale`` is the channels' mean and deviation."""
    net.eval()
    found: dict[str, Tensor] = dict(split)
    maps: dict[str, Tensor] = {}
    for name in ("train", "test"):
        images = getattr(data, name).images
        plain = Pictures(images, *scale)
        features, logits = [], []
        for batch in torch.arange(len(images)).split(BATCH):
            x = plain(batch)
            views = (x, x.flip(-1)) if name == "train" and mirror else (x,)
            trunk = torch.stack([net.trunk(view).half() for view in views])
            if name not in maps:  # made whole at once: they are the largest thing of the run
                maps[name] = trunk.new_empty(len(views), len(images), *trunk.shape[2:])
            maps[name][:, batch] = trunk
            features.append(net.top(as_input(trunk[0])))
            logits.append(net.head(features[-1]))
        found |= {f"{name}_features": torch.cat(features), f"{name}_logits": torch.cat(logits)}
    for part in ("top", "head"):
        found |= {f"{part}.{key}": value for key, value in getattr(net, part).state_dict().items()}
    write_tensors(work / MAPS, maps)
    write_tensors(work / GENERALIST, found)


def body_of(generalist: Generalist) -> NormsKept:
    """A copy of the generalist's top and head, on maps, its batch norms' statistics kept."""
    weight = generalist["head.weight"]
    net = NormsKept(top(weight.shape[1]), nn.Linear(weight.shape[1], weight.shape[0]))
    net[0].load_state_dict(generalist.part("top"))
    net[1].load_state_dict(generalist.part("head"))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def specialist_of(body: nn.Sequential, kind: str, class_set: Tensor) -> nn.Sequential:
    """``body`` copied, with the outputs of the kind: those of the set and a dustbin, or all."""
    net = copy.deepcopy(body)
    if kind == "dustbin":
        head = net[-1]
        assert isinstance(head, nn.Linear)
        weight, bias = specialists.specialist_head(head.weight.detach(), head.bias.detach(), class_set)
        net[-1] = nn.Linear(weight.shape[1], len(bias))
        net[-1].load_state_dict({"weight": weight, "bias": bias})
    return net


def ready_head(
    net: nn.Sequential, settings: Mapping[str, Any], generalist: Generalist, labels: Tensor, class_set: Tensor,
    seed: int, name: str,
) -> None:  # fmt: skip
    """Make a specialist's head, in place, fit for training half and half.

    A dustbin's is trained alone, on the generalist's features: no row of the generalist's stands for "none of these",
    and a dustbin that is badly judged spoils every combination it is asked in, however well the special classes are
    told apart. A head of all outputs knows its classes by their natural frequencies: the others' biases are lowered to
    those of training, by what their logits are raised again afterwards (``probabilities``).
    """
    kept = generalist["kept"]
    if settings["kind"] == "dustbin":
        views = Views(generalist["train_features"].unsqueeze(0))
        only = {"kind": "dustbin", "training": settings["head"]}
        train_specialist(
            nn.Sequential(net[-1]), only, views, labels, generalist["train_logits"], kept, class_set,
            generator_seed(seed, "head"), name,
        )  # fmt: skip
    else:
        head = net[-1]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.bias[~class_set] -= specialists.dustbin_correction(share_of(labels[kept], class_set))


class Halves:
    """Gives a specialist's batches and then judges them: index holds positions of ``HalfAndHalf``, whose draws the
    objective must know."""

    def __init__(
        self, inputs: Callable[[Tensor], Tensor], labels: Tensor, halves: specialists.HalfAndHalf,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> None:  # fmt: skip
        self._inputs, self._labels, self._halves, self._loss = inputs, labels, halves, loss
        self._drawn = torch.empty(0, dtype=torch.long)

    def inputs(self, index: Tensor) -> Tensor:
        self._drawn = self._halves.draw(index)
        return self._inputs(self._drawn)

    def objective(self, logits: Tensor, _index: Tensor) -> Tensor:
        return self._loss(logits, self._drawn)


def train_specialist(
    net: nn.Sequential,
    settings: Mapping[str, Any],
    inputs: Callable[[Tensor], Tensor],
    labels: Tensor,
    teacher_logits: Tensor,
    kept: Tensor,
    class_set: Tensor,
    seed: int,
    name: str,
    evaluate: Evaluate | None = None,
) -> list[Point]:
    """Train ``net`` in place on the cases ``kept``; ``inputs``, ``labels`` and ``teacher_logits`` know all cases."""
    halves = specialists.HalfAndHalf.of(labels[kept], class_set)
    halves = specialists.HalfAndHalf(kept[halves.inside], kept[halves.outside])
    targets = specialists.specialist_labels(labels, class_set) if settings["kind"] == "dustbin" else labels

    def loss(logits: Tensor, cases: Tensor) -> Tensor:
        hard = F.cross_entropy(logits, targets[cases])
        if settings["kind"] != "full_soft":
            return hard
        soft = specialists.loss_on_other_classes(logits, teacher_logits[cases], class_set, settings["temperature"])
        return hard + float(settings["soft_weight"]) * soft

    judge = Halves(inputs, labels, halves, loss)
    training = Training(**settings["training"])
    return train(net, judge.inputs, judge.objective, len(halves), training, seed=seed, name=name, evaluate=evaluate)


@torch.no_grad()
def answers(net: nn.Module, rows: Tensor) -> Tensor:
    """Logits (cases, outputs) of a net on float16 maps or on features, in eval mode."""
    net.eval()
    return torch.cat([net(as_input(batch)) for batch in rows.split(BATCH)])


def probabilities(kind: str, logits: Tensor, class_set: Tensor, share: float) -> Tensor:
    """A specialist's probabilities (cases, set size + 1) at natural frequencies."""
    if kind == "dustbin":
        return specialists.dustbin_probabilities(logits, share)
    return specialists.probabilities_of_full(logits, class_set, share)


def special_logits(kind: str, logits: Tensor, class_set: Tensor) -> Tensor:
    """The logits of the set's own classes."""
    return logits[:, :-1] if kind == "dustbin" else logits[:, class_set]


def share_of(labels: Tensor, class_set: Tensor) -> float:
    """The special classes' share of the cases."""
    return float(class_set[labels].double().mean())


@dataclass(frozen=True)
class Trained:
    """Specialists of one run: their masks, and for each its test probabilities (cases, set size + 1)."""

    class_sets: Tensor
    test: Sequence[Tensor]


def train_all(
    settings: Mapping[str, Any], seed: int, context: Context, generalist: Generalist, data: ImageSet
) -> Trained:
    """All specialists of an arm, on maps. Each is put aside when done and found there by a run that goes on; the
    work folder has them once all are there."""
    class_sets = generalist.class_sets(settings, seed)
    body = body_of(generalist)
    views, test_maps = Views(generalist.maps("train")), generalist.maps("test")[0]
    labels, kept = data.train.labels, generalist["kept"]
    test = []
    for number, class_set in enumerate(class_sets):
        path = context.work / ASIDE / SPECIALIST.format(number)
        if not path.exists():
            net = specialist_of(body, settings["kind"], class_set)
            key, name = generator_seed(seed, "specialist", number), f"{context.name} specialist {number}"
            ready_head(net, settings, generalist, labels, class_set, key, name)
            train_specialist(net, settings, views, labels, generalist["train_logits"], kept, class_set, key, name)
            write_tensors(
                path, dict(net.state_dict()) | {"class_set": class_set, "test_logits": answers(net, test_maps)}
            )
        share = share_of(labels[kept], class_set)
        test.append(probabilities(settings["kind"], load_file(path)["test_logits"], class_set, share))
    for path in sorted((context.work / ASIDE).iterdir()):
        path.replace(context.work / path.name)
    return Trained(class_sets, test)


def leave_top(work: Path, test_logits: Tensor) -> None:
    """Write what the generalist's top, trained on, says of the test cases."""
    write_tensors(work / TOP, {"test_logits": test_logits})


def left_top(folder: Path) -> Tensor:
    """Test logits (cases, classes) that ``leave_top`` wrote in a folder."""
    return load_file(folder / TOP)["test_logits"]


def left_specialists(
    settings: Mapping[str, Any], folder: Path, generalist: Generalist
) -> list[tuple[Tensor, nn.Module]]:
    """Masks and nets that ``train_all`` left in a folder."""
    body = body_of(generalist)
    found: list[tuple[Tensor, nn.Module]] = []
    for number in range(settings["count"]):
        left = load_file(folder / SPECIALIST.format(number))
        class_set = left.pop("class_set")
        left.pop("test_logits")
        net = specialist_of(body, settings["kind"], class_set)
        net.load_state_dict(left)
        found.append((class_set, net))
    return found


def said_by(left: Sequence[tuple[Tensor, nn.Module]], kind: str, maps: Tensor, labels: Tensor) -> list[Tensor]:
    """Of each specialist that was left, its probabilities of all cases of ``maps`` (cases, set size + 1) float64;
    ``labels`` are those of the cases learned from."""
    return [
        probabilities(kind, answers(net, maps), class_set, share_of(labels, class_set)).double()
        for class_set, net in left
    ]


def judged(generalist_logits: Tensor, trained: Sequence[Tensor], class_sets: Tensor, labels: Tensor, n: int) -> Tensor:
    """Whether the combination of eq 5 is right on each case (cases,), with the ``n`` classes of section 5.4."""
    p = torch.softmax(generalist_logits.double(), 1)
    q = combine(p, trained, class_sets, consulted(p, class_sets, n))
    return q.argmax(1) == labels


def conditional(
    generalist_logits: Tensor, special: Sequence[Tensor], class_sets: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Percent right among special classes (Table 3's conditional accuracy), of the generalist and of specialists.

    Every specialist is asked about the cases of its own classes and answers among them, and so is the generalist;
    ``special`` are its logits (or probabilities) of its own classes, in ascending order.
    """
    asked, before, after = 0, 0, 0
    for own, class_set in zip(special, class_sets, strict=True):
        cases = class_set[labels]
        truth = specialists.specialist_labels(labels[cases], class_set)
        before += int((generalist_logits[cases][:, class_set].argmax(1) == truth).sum())
        after += int((own[cases].argmax(1) == truth).sum())
        asked += len(truth)
    return 100 * before / asked, 100 * after / asked
