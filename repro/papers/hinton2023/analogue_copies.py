"""Weights cannot be copied between pieces of analogue hardware; knowledge can be distilled.

The lecture: what an analogue circuit has learned makes use of that very circuit's properties. Its weights are of no use
to another, and when the hardware dies the knowledge dies with it, unless a student has learned from its answers.

Here a teacher on one piece of hardware learns from labels, and an agent on another piece is to have its knowledge.
From 0 to 1, ``variability`` says how far the pieces differ (``repro.models.analogue``); at 0 both are one digital
machine. The agent takes the teacher's weights as they are; the mean of the teacher's weights and its own, after having
learned from few labels alone; the teacher's weights as a start from which it goes on with those labels; or it distils
the teacher's answers on inputs without labels. The control is the agent alone with its few labels.

Departures: the lecture shows no experiment. Gradients are exact, through the agent's own hardware. Cost at scale
``paper``: half a minute of one core a run.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.hinton2023._arms import AnalogueLearner
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = NO_DATA
WAYS = {
    "teacher": "teacher, on its own piece",
    "copied": "copied weights",
    "averaged": "mean of both's weights",
    "copied_start": "copied, then own labels",
    "alone": "own labels alone",
    "distilled": "distilled",
}


class Config(Options):
    seeds: int = Field(3, ge=2)
    variabilities: tuple[float, ...] = Field(min_length=2)
    density: float = Field(0.5, gt=0, le=1, description="of connections")
    teacher_cases: int = Field(gt=0)
    own_cases: int = Field(gt=0, description="labelled cases of the other agent")
    shared_inputs: int = Field(gt=0, description="inputs without labels on which it hears the teacher")
    held_out: int = Field(gt=0, description="cases on which learning rates are chosen")
    temperature: float = Field(4.0, gt=0)
    learner: AnalogueLearner


def arm_name(variability: float) -> str:
    return f"v{variability:g}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds", "variabilities", "learner"})
    shared["learner"] = config.learner.settings()
    return [
        Arm(arm_name(v), shared | {"variability": v}, config.seeds, seeds_per_job=config.seeds, device="cpu")
        for v in config.variabilities
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.distill.objective import soft_targets
    from repro.distill.sharing import average_weights
    from repro.models.analogue import copy_weights
    from repro.papers.hinton2023 import _learning as learning
    from repro.training.keys import generator_seed

    s = arm.settings
    task = learning.image_task(context.data)
    sizes = {"teacher": s["teacher_cases"], "own": s["own_cases"], "shared": s["shared_inputs"]}
    dealt = learning.deal(task.train, sizes | {"held_out": s["held_out"]}, seed)

    def untrained(piece: str, start: str) -> Any:
        return learning.analogue(task, s, generator_seed(seed, "hardware", piece), generator_seed(seed, start))

    def from_labels(build: Any, cases: learning.Cases) -> Any:
        objective = learning.from_labels(cases.labels)
        return learning.fitted(
            build, s["learner"], cases.inputs, objective, dealt["held_out"], seed=seed, name=context.name
        )[0]

    def copied() -> Any:
        agent = untrained("agent", "agent")
        copy_weights(teacher, agent)
        return agent

    teacher = from_labels(lambda: untrained("teacher", "teacher"), dealt["teacher"])
    alone = from_labels(lambda: untrained("agent", "agent"), dealt["own"])
    averaged = untrained("agent", "agent")
    copy_weights(alone, averaged)
    average_weights([averaged, copied()])
    answers = soft_targets(learning.logits_of(teacher, dealt["shared"].inputs), s["temperature"])
    distilled, _ = learning.fitted(
        lambda: untrained("agent", "agent"), s["learner"], dealt["shared"].inputs,
        learning.from_targets(answers, s["temperature"]), dealt["held_out"], seed=seed, name=context.name,
    )  # fmt: skip
    agents = {
        "teacher": teacher, "copied": copied(), "averaged": averaged, "copied_start": from_labels(copied, dealt["own"]),
        "alone": alone, "distilled": distilled,
    }  # fmt: skip
    return Result(
        {
            f"{way}_error_percent": learning.percent(learning.errors(a, task.test), task.test)
            for way, a in agents.items()
        }
    )


def figure(results: Results) -> Drawing:
    from repro.plots.style import axes, legend, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=8.6, height_in=4.8)
    data: list[dict[str, Any]] = []
    for number, (way, label) in enumerate(WAYS.items()):
        marks = []
        for v in config.variabilities:
            values = list(results.values(arm_name(v), f"{way}_error_percent").values())
            if values:
                marks.append((v, *t_interval(values)))
                data.append(
                    {"way": way, "variability": v, "mean": marks[-1][1], "low": marks[-1][2], "high": marks[-1][3]}
                    | {"n": len(values)}
                )
        if marks:
            with_intervals(ax, marks, number, label)
    ax.set_yscale("log")
    plain_ticks(ax.yaxis, (1, 2, 3, 5, 10, 20, 50, 90))
    means = [row["mean"] for row in data]
    ax.set_ylim(0.7 * min(means), 120)
    ax.set_xlabel("variability of the hardware (0: both are one digital machine)")
    ax.set_ylabel("test error, %")
    legend(ax, fontsize=9.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    caption = (
        f"Test error of an agent that is to have the knowledge of a teacher on another piece of hardware. The teacher "
        f"learned from {config.teacher_cases:,} labelled cases, the agent has {config.own_cases:,} of its own; it "
        f"distils the teacher's answers (T = {config.temperature:g}) on {config.shared_inputs:,} inputs without "
        f"labels. 95 % t-intervals over n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    """At the largest variability."""
    config = Config.model_validate(results.config)
    v = max(config.variabilities)
    found = {way: results.values(arm_name(v), f"{way}_error_percent") for way in WAYS}

    def claim(way: str, other: str) -> Claim:
        worse, better = found[way], found[other]
        return Claim(
            f"HT-MORTAL.{way}_{other}",
            f"test error, {WAYS[way]} minus {WAYS[other]}",
            tuple(worse[s] - better[s] for s in sorted(worse.keys() & better.keys())),
            setting=f"hardware of variability {v:g}",
            unit="points",
        )

    pairs = (("copied", "alone"), ("averaged", "alone"), ("copied_start", "distilled"), ("alone", "distilled"))
    return [claim(way, other) for way, other in pairs]
