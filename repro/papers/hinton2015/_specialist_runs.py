"""The runs of section 5's experiments."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from repro.data.sets import hold_out, load_once
from repro.distill.clusters import check_count
from repro.distill.combine import check_top, combine, combine_reversed, consulted
from repro.distill.covariance import covariance
from repro.distill.objective import soft_targets
from repro.distill.specialists import deferring, moved_dustbin
from repro.experiment import Arm, Context, Result
from repro.models.convnet import convnet
from repro.models.counting import layer_counts, total
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015._nets import precision
from repro.papers.hinton2015._specialist_arms import MOST_COVERING
from repro.papers.hinton2015._specialist_clusters import agreement
from repro.papers.hinton2015._specialist_nets import BATCH, Generalist, percent_right
from repro.runner import CHECKPOINT
from repro.training.checkpoint import write_tensors
from repro.training.inputs import Pictures, channel_statistics, with_channels
from repro.training.keys import generator_seed
from repro.training.loop import train
from repro.training.settings import Training


def generalist(arm: Arm, seed: int, context: Context) -> Result:
    """Train a generalist, leave what specialists need of it, and cluster its classes."""
    data, settings = load_once(context.data), arm.settings
    for count in settings["counts"]:
        check_count(count, len(data.classes))
    training = Training(**settings["training"])
    device = torch.device(context.device)
    kept, held_out = hold_out(len(data.train), settings["held_out"], 0)
    channels, height, width = with_channels(data.train.images).shape[1:]
    net = convnet(channels, settings["widths"], len(data.classes), seed=seed).to(device)
    mean, deviation = channel_statistics(data.train.images[kept])
    pictures = Pictures(
        data.train.images[kept].to(device), mean.to(device), deviation.to(device), training.jitter_pixels,
        settings["mirror"],
    )  # fmt: skip
    labels = data.train.labels[kept].to(device)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels[index])

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        images = Pictures(data.train.images[held_out].to(device), pictures.mean, pictures.deviation)
        batches = torch.arange(len(held_out), device=device).split(BATCH)
        logits = torch.cat([model(images(batch)).float().cpu() for batch in batches])
        return {"validation": {"accuracy": percent_right(logits, data.train.labels[held_out])}}

    points = train(
        net, pictures, objective, len(kept), training, seed=seed, name=context.name, evaluate=evaluate,
        checkpoint=context.work / CHECKPOINT, checkpoint_interval_s=context.checkpoint_interval_s,
    )  # fmt: skip
    split = {"kept": kept, "held_out": held_out}
    nets.leave_generalist(context.work, net.cpu(), data, (mean, deviation), settings["mirror"], split)
    left = load_file(context.work / nets.GENERALIST)
    for name, temperature in (("covariance", settings["temperature"]), ("covariance_t1", 1.0)):
        batches = (soft_targets(left["train_logits"][batch], temperature) for batch in kept.split(BATCH))
        left[name] = covariance(batches, len(data.classes))
    write_tensors(context.work / nets.GENERALIST, left)
    metrics: dict[str, Any] = {
        "accuracy": percent_right(left["test_logits"], data.test.labels),
        "validation_accuracy": percent_right(left["train_logits"][held_out], data.train.labels[held_out]),
        "train_accuracy": percent_right(left["train_logits"][kept], data.train.labels[kept]),
        "multiply_adds": total(layer_counts(net, (channels, height, width))).multiply_adds,
        "parameters": sum(p.numel() for p in net.parameters()),
        "test_cases": len(data.test),
    }
    tables = {"agreement": agreement(left, data, settings, seed)}
    return Result(metrics | precision(settings, context), points, tables)


def specialists(arm: Arm, seed: int, context: Context) -> Result:
    """Train an arm's specialists and judge them, alone and together."""
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    settings = arm.settings
    for n in settings["tops"]:
        check_top(n, len(data.classes))
    trained = nets.train_all(settings, seed, context, teacher, data)
    logits, labels, sets = teacher["test_logits"], data.test.labels, trained.class_sets
    before, after = nets.conditional(logits, [p[:, :-1] for p in trained.test], sets, labels)
    metrics: dict[str, Any] = {
        "generalist": teacher.fingerprint,
        "generalist_accuracy": percent_right(logits, labels),
        "generalist_conditional": before,
        "conditional": after,
        "classes_covered": int(sets.any(0).sum()),
        "mean_covering": float(sets.sum(0).double().mean()),
    }
    p = torch.softmax(logits.double(), 1)
    for n in settings["tops"]:
        asked = consulted(p, sets, n)
        right = combine(p, trained.test, sets, asked).argmax(1) == labels
        name = "accuracy" if n == 1 else f"accuracy_n{n}"
        metrics[name] = 100 * float(right.double().mean())
        metrics[f"asked_n{n}"] = float(asked.sum(1).double().mean())
    asked = consulted(p, sets)
    metrics["accuracy_reversed"] = percent_right(combine_reversed(p, trained.test, sets, asked), labels)
    right = nets.judged(logits, trained.test, sets, labels, 1)
    table = coverage(logits.argmax(1) == labels, right, sets.sum(0)[labels].clamp_max(MOST_COVERING))
    return Result(metrics, [], {"coverage": table})


def coverage(before: Tensor, after: Tensor, covering: Tensor) -> list[dict[str, Any]]:
    """Table 4: cases, cases right before, and the change in cases right, by number of covering specialists."""
    rows = []
    for number in range(MOST_COVERING + 1):
        cases = covering == number
        right = int(before[cases].sum())
        gained = int(after[cases].sum()) - right
        rows.append({"covering": number, "cases": int(cases.sum()), "generalist_right": right, "gained": gained})
    return rows


def held_out_alone(arm: Arm, seed: int, context: Context) -> Result:
    """Train an arm's specialists and judge them, alone and together, on held-out cases and on no test case: for what
    is chosen by it."""
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    settings, cases = arm.settings, teacher["held_out"]
    sets = nets.train_all(settings, seed, context, teacher, data).class_sets
    left = nets.left_specialists(settings, context.work, teacher)
    maps, kept_labels = teacher.maps("train")[0][cases], data.train.labels[teacher["kept"]]
    said = nets.said_by(left, settings["kind"], maps, kept_labels)
    logits, labels = teacher["train_logits"][cases], data.train.labels[cases]
    before, after = nets.conditional(logits, [own[:, :-1] for own in said], sets, labels)
    right = nets.judged(logits, said, sets, labels, 1)
    return Result(
        {
            "generalist": teacher.fingerprint,
            "generalist_validation_accuracy": percent_right(logits, labels),
            "generalist_validation_conditional": before,
            "validation_accuracy": 100 * float(right.double().mean()),
            "validation_conditional": after,
        }
    )


def dustbin(arm: Arm, seed: int, context: Context) -> Result:
    """How well specialists tell their classes from all others, and what less weight on that is worth to eq 5."""
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    settings, kept, held_out = arm.settings, teacher["kept"], teacher["held_out"]
    left = nets.left_specialists(settings, _of_arm(context, arm.name), teacher)
    sets = torch.stack([class_set for class_set, _ in left])
    splits = {
        "validation": (
            teacher.maps("train")[0][held_out],
            teacher["train_logits"][held_out],
            data.train.labels[held_out],
        ),
        "test": (teacher.maps("test")[0], teacher["test_logits"], data.test.labels),
    }
    rows, right = [], {}
    for split, (maps, logits, labels) in splits.items():  # the test cases last: they are looked at further
        p = torch.softmax(logits.double(), 1)
        asked = consulted(p, sets)
        before = percent_right(p, labels)
        said = nets.said_by(left, settings["kind"], maps, data.train.labels[kept])
        for shift in settings["shifts"]:
            q = combine(p, [moved_dustbin(own, shift) for own in said], sets, asked)
            right[split, shift] = percent_right(q, labels)
            rows.append({"split": split, "shift": shift, "gain": right[split, shift] - before})
    shift = max(settings["shifts"], key=lambda s: (right["validation", s], -abs(s)))
    inside, none = sets[:, labels], torch.stack([own[:, -1] for own in said])
    deferring_to_it = [deferring(own, p, class_set) for own, class_set in zip(said, sets, strict=True)]
    told = combine(p, deferring_to_it, sets, asked).argmax(1) == labels
    metrics: dict[str, Any] = {
        "generalist": teacher.fingerprint,
        "generalist_accuracy": before,
        "longer_accuracy": percent_right(nets.left_top(_of_arm(context, "longer")), labels),
        "own_log_loss": _log_loss(1 - none, inside),
        "generalist_own_log_loss": _log_loss(sets.double() @ p.T, inside),
        "dustbin_mean": float(none.mean()),
        "others_share": float((~inside).double().mean()),
        "accuracy": right["test", shift],
        "accuracy_unmoved": right["test", 0.0],
        "accuracy_deferring": 100 * float(told.double().mean()),
        "shift": shift,
    }
    covered = coverage(p.argmax(1) == labels, told, sets.sum(0)[labels].clamp_max(MOST_COVERING))
    return Result(metrics, [], {"shifts": rows, "coverage": covered})


def _of_arm(context: Context, arm: str) -> Path:
    """Where the run of a needed arm left its files."""
    return next(path for label, path in context.inputs.items() if label.split(".")[0] == arm)


def _log_loss(inside: Tensor, truth: Tensor) -> float:
    """Mean of -log of the probability of what is so; ``inside`` are probabilities of ``truth`` (same shape)."""
    return float(-torch.where(truth, inside, 1 - inside).clamp_min(1e-12).log().mean())


def overfitting(arm: Arm, seed: int, context: Context) -> Result:
    """Train the first of an arm's specialists and judge them before and after passes, in percent over all of them.

    ``conditional`` on each split (``train``: the special cases learned from; ``validation``: the held-out ones), and
    ``others`` on test cases of other classes, answers among these, for kinds with all outputs.
    """
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    settings, labels, kept = arm.settings, data.train.labels, teacher["kept"]
    training = Training(**settings["training"])
    body, maps, test_maps = nets.body_of(teacher), teacher.maps("train"), teacher.maps("test")[0]
    splits = {
        "train": (maps[0], labels, kept),
        "validation": (maps[0], labels, teacher["held_out"]),
        "test": (test_maps, data.test.labels, torch.arange(len(data.test))),
    }
    right: dict[tuple[int, str, str], list[float]] = {}  # epoch, split, metric -> of each case asked, 0 or 1
    for number, class_set in enumerate(teacher.class_sets(settings, seed)[: settings["trained"]]):
        net = nets.specialist_of(body, settings["kind"], class_set)
        every = training.evaluate_every_epochs or training.epochs
        epochs = iter([*range(0, training.epochs, every), training.epochs])

        def evaluate(
            model: nn.Module, class_set: Tensor = class_set, epochs: Iterator[int] = epochs
        ) -> dict[str, dict[str, float]]:
            epoch = next(epochs)
            for split, (rows, truth, cases) in splits.items():
                mine = cases[class_set[truth[cases]]]
                logits = nets.special_logits(settings["kind"], nets.answers(model, rows[mine]), class_set)
                told = class_set.nonzero().squeeze(1)[logits.argmax(1)]
                right.setdefault((epoch, split, "conditional"), []).extend((told == truth[mine]).tolist())
            if settings["kind"] != "dustbin":
                rest = (~class_set[data.test.labels]).nonzero().squeeze(1)
                told = nets.answers(model, test_maps[rest]).masked_fill(class_set, -torch.inf).argmax(1)
                right.setdefault((epoch, "test", "others"), []).extend((told == data.test.labels[rest]).tolist())
            return {}

        key, name = generator_seed(seed, "specialist", number), f"{context.name} specialist {number}"
        evaluate(net)
        nets.ready_head(net, settings, teacher, labels, class_set, key, name)
        nets.train_specialist(
            net, settings, nets.Views(maps), labels, teacher["train_logits"], kept, class_set, key, name, evaluate
        )
    percent = {key: 100 * sum(cases) / len(cases) for key, cases in right.items()}
    metrics = {
        (metric if split == "test" else f"{split}_{metric}"): value
        for (epoch, split, metric), value in percent.items()
        if epoch == training.epochs
    }
    points = sorted((epoch, epoch, split, metric, value) for (epoch, split, metric), value in percent.items())
    found: dict[str, Any] = {"generalist": teacher.fingerprint}
    found["generalist_conditional"] = percent[0, "test", "conditional"]
    return Result(found | metrics, points)


def on_features(arm: Arm, seed: int, context: Context) -> Result:
    """Specialists of one linear layer on the generalist's features, their combination judged for each n."""
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    settings = arm.settings
    for n in settings["tops"]:
        check_top(n, len(data.classes))
    sets = teacher.class_sets(settings, seed)
    weight = teacher["head.weight"]
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.load_state_dict(teacher.part("head"))
    body = nn.Sequential(nn.Identity(), head)
    views = nets.Views(teacher["train_features"].unsqueeze(0))
    labels, kept = data.train.labels, teacher["kept"]
    splits = {
        "validation": (teacher["train_features"], teacher["train_logits"], labels, teacher["held_out"]),
        "test": (
            teacher["test_features"],
            teacher["test_logits"],
            data.test.labels,
            torch.arange(len(data.test)),
        ),
    }
    answers: dict[str, list[Tensor]] = {split: [] for split in splits}
    for number, class_set in enumerate(sets):
        net = nets.specialist_of(body, settings["kind"], class_set)
        nets.train_specialist(
            net, settings, views, labels, teacher["train_logits"], kept, class_set,
            generator_seed(seed, "specialist", number), f"{context.name} specialist {number}",
        )  # fmt: skip
        share = nets.share_of(labels[kept], class_set)
        for split, (features, _, _, cases) in splits.items():
            logits = nets.answers(net, features[cases])
            answers[split].append(nets.probabilities(settings["kind"], logits, class_set, share))
    logits, truth = teacher["test_logits"], data.test.labels
    before, after = nets.conditional(logits, [p[:, :-1] for p in answers["test"]], sets, truth)
    metrics: dict[str, Any] = {
        "generalist": teacher.fingerprint,
        "generalist_accuracy": percent_right(logits, truth),
        "generalist_conditional": before,
        "conditional": after,
    }
    for split, (_, of_generalist, truth, cases) in splits.items():
        for n in settings["tops"] if split == "test" else (1,):
            right = nets.judged(of_generalist[cases], answers[split], sets, truth[cases], n)
            name = f"accuracy_n{n}" if split == "test" else "validation_accuracy"
            metrics[name] = 100 * float(right.double().mean())
    return Result(metrics)
