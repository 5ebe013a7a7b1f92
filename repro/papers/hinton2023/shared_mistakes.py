"""A student learns its teacher's mistakes too.

The lecture: from a teacher's probabilities a student learns how the teacher generalises, not only what is true.

Here a teacher learns from few cases, so that it often errs on the test set. Students see other cases: with the
teacher's soft targets; with the teacher's decisions (its likeliest class); with true labels; and with smoothed true
labels, the control for softness. Of the test cases that the teacher gets wrong, in how many does a student give the
very answer the teacher gives? A student that errs less has fewer occasions to agree: so the same share is taken, too,
among the cases in which both are wrong. The baseline for both is an independent second teacher, trained as the first
on the same few cases from another start, which errs as often.

Departures: the lecture prints no numbers. Cost at scale ``paper``: 5 to 20 seconds of one core a run.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import NO_DATA, Arm, Context, Need, Result
from repro.papers.hinton2023._arms import Learner
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = NO_DATA
ARMS = {
    "soft": "soft targets",
    "decisions": "teacher's\ndecisions",
    "second_teacher": "second\nteacher",
    "labels": "labels",
    "smoothed": "smoothed\nlabels",
}
LOGITS = "logits.safetensors"
MEASURES = {"agreement_percent": "of the teacher's mistakes", "agreement_when_wrong_percent": "of mistakes of both"}


class Config(Options):
    seeds: int = Field(5, ge=2)
    teacher_cases: int = Field(gt=0)
    student_cases: int = Field(gt=0)
    held_out: int = Field(gt=0, description="cases on which learning rates are chosen")
    temperature: float = Field(4.0, gt=0)
    smoothing: float = Field(0.1, gt=0, lt=1)
    learner: Learner


def arms(config: Config) -> list[Arm]:
    shared = {
        "teacher_cases": config.teacher_cases, "student_cases": config.student_cases, "held_out": config.held_out,
        "learner": config.learner.settings(),
    }  # fmt: skip
    own = {"soft": {"temperature": config.temperature}, "smoothed": {"smoothing": config.smoothing}}
    learned: list[tuple[str, dict[str, Any], tuple[Need, ...]]] = [("teacher", {}, ())]
    learned += [(arm, own.get(arm, {}), (Need("teacher"),)) for arm in ARMS]
    return [
        Arm(name, shared | {"from": name} | extra, config.seeds, needs, seeds_per_job=config.seeds, device="cpu")
        for name, extra, needs in learned
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from safetensors.torch import load_file

    from repro.distill.objective import soft_targets
    from repro.papers.hinton2023 import _learning as learning
    from repro.training.checkpoint import write_tensors
    from repro.training.keys import generator_seed

    s = arm.settings
    task = learning.image_task(context.data)
    sizes = {"teacher": s["teacher_cases"], "student": s["student_cases"], "held_out": s["held_out"]}
    dealt = learning.deal(task.train, sizes, seed)
    teaching = s["from"] in ("teacher", "second_teacher")
    cases = dealt["teacher" if teaching else "student"]
    taught = None if s["from"] == "teacher" else load_file(context.inputs["teacher"] / LOGITS)
    objective = learning.from_labels(cases.labels, s.get("smoothing", 0.0))
    if taught is not None and s["from"] == "soft":
        objective = learning.from_targets(soft_targets(taught["student"], s["temperature"]), s["temperature"])
    elif taught is not None and s["from"] == "decisions":
        objective = learning.from_labels(taught["student"].argmax(1))
    own = generator_seed(seed, s["from"] if teaching else "student")
    model, rate = learning.fitted(
        lambda: learning.digital(task, s["learner"], own), s["learner"], cases.inputs, objective, dealt["held_out"],
        seed=own, name=context.name,
    )  # fmt: skip
    logits = learning.logits_of(model, task.test.inputs)
    wrong = int((logits.argmax(1) != task.test.labels).sum())
    metrics: dict[str, float] = {"test_error_percent": learning.percent(wrong, task.test), "learning_rate": rate}
    if taught is None:
        write_tensors(
            context.work / LOGITS, {"student": learning.logits_of(model, dealt["student"].inputs), "test": logits}
        )
    else:
        metrics |= agreement(taught["test"].argmax(1), logits.argmax(1), task.test.labels)
    return Result(metrics)


def agreement(teacher: Any, student: Any, labels: Any) -> dict[str, float]:
    """How often a student's answers (n,) are the teacher's where those are wrong.

    Raises:
        ValueError: the teacher makes no mistakes, or the student none of the same cases.
    """
    wrong = teacher != labels
    both = wrong & (student != labels)
    if not both.any():
        raise ValueError("no case is wrong for teacher and student: there is no agreement on mistakes to measure")
    same = (wrong & (student == teacher)).sum()
    return {
        "agreement_percent": float(100 * same / wrong.sum()),
        "agreement_when_wrong_percent": float(100 * same / both.sum()),
    }


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, axes

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=8.4)
    data: list[dict[str, Any]] = []
    for position, arm in enumerate(ARMS):
        for number, (measure, name) in enumerate(MEASURES.items()):
            values = list(results.values(arm, measure).values())
            if not values:
                continue
            mean, low, high = t_interval(values)
            x = position + 0.36 * (number - 0.5)
            ax.bar(x, mean, 0.33, color=COLOURS[number], label=name if not position else None)
            if low is not None and high is not None:
                ends = [[mean - max(low, 0)], [min(high, 100) - mean]]
                ax.errorbar([x], [mean], yerr=ends, fmt="none", color="black", capsize=3, lw=1)
            ax.annotate(f"{mean:.0f}", (x, min(high or mean, 100)), (0, 3), textcoords="offset points", ha="center")
            data.append({"arm": arm, "measure": measure, "mean": mean, "low": low, "high": high, "n": len(values)})
        errors = list(results.values(arm, "test_error_percent").values())
        if errors:
            data.append({"arm": arm, "measure": "test_error_percent", "mean": t_interval(errors)[0], "n": len(errors)})
    labels = {row["arm"]: row["mean"] for row in data if row["measure"] == "test_error_percent"}
    ax.set_xticks(
        range(len(ARMS)), [f"{label}\n({labels[arm]:.1f} %)" if arm in labels else label for arm, label in ARMS.items()]
    )
    ax.set_ylim(0, 107)
    ax.set_yticks(range(0, 101, 20))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("same wrong answer as the teacher, %")
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    teacher = t_interval(list(results.values("teacher", "test_error_percent").values()))[0]
    caption = (
        f"How often a net gives the very answer of a teacher that errs on {teacher:.1f} % of the test cases, among the "
        "cases that the teacher gets wrong (blue) and among those that both get wrong (orange). Below each its own "
        f"test error. Students see {config.student_cases:,} cases, teachers {config.teacher_cases:,} others; soft "
        f"targets at T = {config.temperature:g}. 95 % t-intervals over n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    return [
        Claim(
            f"HT-MISTAKES.{other}.{'all' if measure == 'agreement_percent' else 'both_wrong'}",
            f"agreement with the teacher's wrong answers, in % {name}: soft targets minus {ARMS[other]}".replace(
                "\n", " "
            ),
            tuple(results.paired("soft", other, measure)),
            unit="points",
        )
        for measure, name in MEASURES.items()
        for other in ("second_teacher", "labels", "smoothed")
    ]
