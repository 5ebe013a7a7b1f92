"""Mortal hardware: what one generation knows reaches the next by distillation alone.

The lecture: analogue hardware dies and takes its weights with it; a teacher must hand on what it knows to a student
before that.

Here every generation is a fresh net on a fresh piece of hardware, sees a few labelled cases of its own that nobody else
sees, and hears its predecessor's answers on inputs without labels. If knowledge is handed on, it accumulates: late
generations know what all before them saw. Controls: each generation learns from its own labels alone; each teaches
itself, from its own answers on the same inputs without labels beside its labels (what those inputs do without a
predecessor); and each starts from its predecessor's weights, copied, and goes on with its own labels.

Departures: the lecture shows no experiment. Gradients are exact, through the agent's own hardware. Cost at scale
``paper``: a minute of one core a run (a chain of generations).
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
CHAINS = {
    "handed_on": "handed on by distillation",
    "labels": "own labels alone",
    "self_taught": "own labels, taught by itself",
    "copied": "weights copied, then own labels",
}


class Config(Options):
    seeds: int = Field(3, ge=2)
    generations: int = Field(ge=2)
    own_cases: int = Field(gt=0, description="labelled cases of a generation")
    shared_inputs: int = Field(gt=0, description="inputs without labels on which it hears its predecessor")
    held_out: int = Field(gt=0, description="cases on which learning rates are chosen")
    temperature: float = Field(4.0, gt=0)
    variability: float = Field(1.0, ge=0, le=1)
    density: float = Field(0.5, gt=0, le=1, description="of connections")
    learner: AnalogueLearner


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds", "learner"}) | {"learner": config.learner.settings()}
    return [Arm(chain, shared | {"chain": chain}, config.seeds, device="cpu") for chain in CHAINS]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2023 import _generations as generations

    found = generations.errors_of_chain(arm.settings, context.data, seed, context.name)
    curve = [(generation, 0, "test", "error_percent", error) for generation, error in enumerate(found, start=1)]
    return Result({"first_error_percent": found[0], "last_error_percent": found[-1]}, curve)


def figure(results: Results) -> Drawing:
    from repro.plots.style import axes, with_intervals

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=7.6, height_in=4.6)
    data: list[dict[str, Any]] = []
    for number, (chain, label) in enumerate(CHAINS.items()):
        found: dict[int, list[float]] = {}
        for row in results.curves:
            if row["arm"] == chain:
                found.setdefault(row["epoch"], []).append(row["value"])
        marks = [(g + 0.06 * (number - 1.5), *t_interval(values)) for g, values in sorted(found.items())]
        data += [
            {"chain": chain, "generation": g, "mean": mean, "low": low, "high": high, "n": len(found[g])}
            for g, (_, mean, low, high) in zip(sorted(found), marks, strict=True)
        ]
        if marks:
            with_intervals(ax, marks, number, label)
    ax.set_xticks(range(1, config.generations + 1))
    ax.set_ylim(0, 1.25 * max(row["mean"] for row in data))
    ax.set_xlabel("generation")
    ax.set_ylabel("test error, %")
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=10)
    caption = (
        f"Test error of generations of agents, each on analogue hardware of its own (variability "
        f"{config.variability:g}), with {config.own_cases:,} labelled cases that no other sees and "
        f"{config.shared_inputs:,} inputs without labels on which it hears its predecessor "
        f"(T = {config.temperature:g}). 95 % t-intervals over n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = [
        Claim(
            f"HT-MORTAL.generations.{other}",
            f"test error of the last generation, {CHAINS['handed_on']} minus {CHAINS[other]}",
            tuple(results.paired("handed_on", other, "last_error_percent")),
            direction="less",
            setting=f"{config.generations} generations",
            unit="points",
        )
        for other in ("labels", "self_taught", "copied")
    ]
    first, last = (results.values("handed_on", f"{which}_error_percent") for which in ("first", "last"))
    answers.append(
        Claim(
            "HT-MORTAL.generations.accumulate",
            f"test error, {CHAINS['handed_on']}, last generation minus first",
            tuple(last[seed] - first[seed] for seed in sorted(last)),
            direction="less",
            setting=f"{config.generations} generations",
            unit="points",
        )
    )
    return answers
