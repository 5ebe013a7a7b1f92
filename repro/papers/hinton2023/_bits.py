"""What one soft target is worth in labels: the design that the ten- and the hundred-class experiment share.

A teacher learns from its own cases. Students learn from few to many others, with labels, with smoothed labels (the
control: softness without a teacher), or with the teacher's soft targets at several temperatures. The error over n is
interpolated for the number of cases at which it crosses a target declared in the config; labels over soft targets is
the worth of one soft target in labels. Students of one teacher share its mistakes and count once, by their mean. Where
labels do not reach the target with the whole pool, the pool's size stands
for the cases they would need, and where soft targets do with the fewest cases, that number: the worth is then a bound
from below.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, Model, t_interval
from repro.contrasts import one_per_teacher
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2023._arms import Learner
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from repro.papers.hinton2023._learning import Task

LABELS, SMOOTHED = "labels", "smoothed"
LOGITS = "logits.safetensors"
PRINTED_CLASSES = 1024  # of the lecture's example
DEAL_SEED = 0  # all runs deal the training cases alike: a teacher's pool is every student's


class Config(Options):
    seeds: int = Field(5, ge=2)
    teacher_seeds: int = Field(3, ge=1)
    teacher_cases: int = Field(gt=0)
    held_out: int = Field(gt=0, description="cases on which learning rates are chosen")
    sizes: tuple[PositiveInt, ...] = Field(min_length=2, description="cases a student sees, growing")
    target_error_percent: float = Field(gt=0, lt=100)
    temperatures: tuple[PositiveFloat, ...] = Field(min_length=1)
    smoothing: float = Field(0.1, gt=0, lt=1)
    teacher: Learner
    student: Learner


def soft(temperature: float) -> str:
    return f"soft.t{temperature:g}"


def kinds(config: Config) -> list[str]:
    return [LABELS, SMOOTHED, *map(soft, config.temperatures)]


def arms(config: Config, shared: Mapping[str, Any], needs: tuple[Need, ...] = ()) -> list[Arm]:
    """``shared`` and ``needs`` say what cases are learned from, beside the config."""
    dealt = dict(shared) | {
        "teacher_cases": config.teacher_cases, "held_out": config.held_out, "pool": max(config.sizes)
    }  # fmt: skip
    listed = [Arm("teacher", dealt | {"learner": config.teacher.settings()}, config.teacher_seeds, needs, device="cpu")]
    targets: dict[str, dict[str, Any]] = {LABELS: {}, SMOOTHED: {"smoothing": config.smoothing}}
    targets |= {soft(t): {"temperature": t} for t in config.temperatures}
    for kind, own in targets.items():
        for size in config.sizes:
            settings = dealt | {"learner": config.student.settings(), "size": size} | own
            taught = (*needs, Need("teacher")) if "temperature" in own else needs
            listed.append(
                Arm(f"{kind}.n{size}", settings, config.seeds, taught, seeds_per_job=config.seeds, device="cpu")
            )
    return listed


def run(arm: Arm, seed: int, context: Context, task: "Task") -> Result:
    from safetensors.torch import load_file

    from repro.distill.objective import soft_targets
    from repro.distill.transfer import balanced_subset
    from repro.papers.hinton2023 import _learning as learning
    from repro.training.checkpoint import write_tensors
    from repro.training.keys import generator_seed

    s = arm.settings
    sizes = {"teacher": s["teacher_cases"], "pool": s["pool"], "held_out": s["held_out"]}
    dealt = learning.deal(task.train, sizes, DEAL_SEED)
    own = seed if arm.name == "teacher" else generator_seed(seed, "student")
    if arm.name == "teacher":
        cases, objective = dealt["teacher"], learning.from_labels(dealt["teacher"].labels)
    else:
        index = balanced_subset(dealt["pool"].labels, s["size"], seed)
        cases = dealt["pool"][index]
        if "temperature" in s:
            logits = load_file(context.inputs["teacher"] / LOGITS)["pool"][index]
            objective = learning.from_targets(soft_targets(logits, s["temperature"]), s["temperature"])
        else:
            objective = learning.from_labels(cases.labels, s.get("smoothing", 0.0))
    model, rate = learning.fitted(
        lambda: learning.digital(task, s["learner"], own), s["learner"], cases.inputs, objective, dealt["held_out"],
        seed=own, name=context.name,
    )  # fmt: skip
    if arm.name == "teacher":
        write_tensors(context.work / LOGITS, {"pool": learning.logits_of(model, dealt["pool"].inputs)})
    wrong = learning.errors(model, task.test)
    return Result(
        {"test_errors": wrong, "test_error_percent": learning.percent(wrong, task.test), "learning_rate": rate}
    )


def cases_needed(sizes: Sequence[int], errors: Sequence[float], target: float) -> float:
    """Cases at which the error first falls to ``target``: linear in the error over the logarithm of the cases.

    Where it never does, the largest size; where it has from the start, the smallest.
    """
    if errors[0] <= target:
        return float(sizes[0])
    for (n, error), (more, after) in zip(
        zip(sizes, errors, strict=True), zip(sizes[1:], errors[1:], strict=True), strict=False
    ):
        if after <= target:
            share = (error - target) / (error - after)
            return math.exp(math.log(n) + share * math.log(more / n))
    return float(sizes[-1])


def needed_by_seed(results: Results, config: Config, kind: str) -> dict[int, float]:
    """Cases that each seed's students of a kind need to reach the target."""
    by_size = [results.values(f"{kind}.n{n}", "test_error_percent") for n in config.sizes]
    seeds = sorted(set.intersection(*(set(found) for found in by_size)))
    return {s: cases_needed(config.sizes, [f[s] for f in by_size], config.target_error_percent) for s in seeds}


def worth(results: Results, config: Config, kind: str, of: str = LABELS) -> list[float]:
    """Cases with labels (or with ``of``) over cases with targets of a kind to reach the target, one a teacher."""
    many, few = (needed_by_seed(results, config, which) for which in (of, kind))
    ratios = {seed: many[seed] / few[seed] for seed in many.keys() & few.keys()}
    return list(one_per_teacher(ratios, config.teacher_seeds).values())


def figure(results: Results, config: Config, classes: int, problem: str) -> Drawing:
    """Left: error over cases. Right: labels that a target is worth."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend, plain_ticks, with_intervals

    drawn, (left, right) = axes(2, width_in=11.5, height_in=4.6)
    data: list[dict[str, Any]] = []
    names = {LABELS: "labels", SMOOTHED: "smoothed labels"} | {soft(t): f"soft, T = {t:g}" for t in config.temperatures}
    for number, (kind, name) in enumerate(names.items()):
        marks = []
        for size in config.sizes:
            by_seed = results.values(f"{kind}.n{size}", "test_error_percent")
            taught = kind not in (LABELS, SMOOTHED)
            values = list((one_per_teacher(by_seed, config.teacher_seeds) if taught else by_seed).values())
            if values:
                marks.append((size, *t_interval(values)))
                data.append(
                    {"panel": "error", "targets": kind, "cases": size, "mean": marks[-1][1]}
                    | {"low": marks[-1][2], "high": marks[-1][3], "n": len(values)}
                )
        if marks:
            with_intervals(left, marks, number, name)
        found = worth(results, config, kind)
        if kind != LABELS and found:
            average, low, high = t_interval(found)
            half = 0.0 if high is None else high - average
            right.errorbar([number], [average], yerr=half, fmt=MARKERS[number], color=COLOURS[number], ms=8, capsize=4)
            bits = math.log2(classes) * average
            right.annotate(
                f"{average:.1f}", (number, average), (9, -4), textcoords="offset points", color=COLOURS[number]
            )
            data.append(
                {"panel": "worth", "targets": kind, "mean": average, "low": low, "high": high, "n": len(found)}
                | {"bits_per_target": bits}
            )
    left.axhline(config.target_error_percent, ls="--", color=PRINTED, lw=1.2, label="target")
    teachers = list(results.values("teacher", "test_error_percent").values())
    if teachers:
        left.axhline(t_interval(teachers)[0], ls=":", color=PRINTED, lw=1.6, label="teacher")
        data.append({"panel": "error", "targets": "teacher", "mean": t_interval(teachers)[0], "n": len(teachers)})
    left.set_xscale("log")
    left.set_yscale("log")
    plain_ticks(left.xaxis, config.sizes)
    plain_ticks(left.yaxis, (1, 2, 3, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90))
    left.set_xlabel("cases that the student sees")
    left.set_ylabel("test error, %")
    legend(left, fontsize=9)
    right.axhline(1, ls="--", color=PRINTED, lw=1.2)
    right.set_yscale("log")
    plain_ticks(right.yaxis, (0.5, 1, 2, 5, 10, 20, 50, 100))
    shown = list(names.values())[1:]
    right.set_xticks(range(1, len(names)), [name.replace(" ", "\n", 1).replace(", ", ",\n") for name in shown])
    right.set_xlim(0.5, len(names) - 0.2)
    right.grid(axis="x", visible=False)
    right.set_ylabel("labels that one is worth")
    caption = (
        f"{problem}: {classes} classes. Left: test error against the cases a student sees, by what it is told of each: "
        "the label, the label smoothed, or its teacher's probabilities. Right: labelled cases needed to reach "
        f"{config.target_error_percent:g} % over cases with that target; a label holds log2({classes}) = "
        f"{math.log2(classes):.1f} bits at most. 95 % t-intervals over n = {config.seeds} seeds, of soft "
        f"targets over {min(config.seeds, config.teacher_seeds)} teachers, their students averaged. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results, config: Config, classes: int, problem: str) -> list[Answer]:
    """One soft target is worth more than one label, and than one smoothed label, at every temperature."""
    answers: list[Answer] = []
    for t in config.temperatures:
        for other, name in ((LABELS, "labels"), (SMOOTHED, "smoothed labels")):
            answers.append(
                Claim(
                    f"PS268.constraint.{other}.classes{classes}.t{t:g}",
                    f"{name} over soft targets at T = {t:g} needed for {config.target_error_percent:g} % test error",
                    tuple(worth(results, config, soft(t), of=other)),
                    null=1.0,
                    setting=f"{classes} classes, {problem}",
                    unit="x",
                    shows_printed=other == LABELS,
                )
            )
    return answers


def arithmetic() -> list[Answer]:
    """The lecture's own numbers, for its 1024 classes."""
    return [
        Model("PS267", (math.log2(PRINTED_CLASSES),), departures="arithmetic", tolerance=1e-9),
        Model("PS268.reals", (float(PRINTED_CLASSES - 1),), departures="arithmetic", tolerance=1e-9),
    ]
