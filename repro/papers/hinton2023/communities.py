"""A community learns from different parts of the data: what each way of sharing gains, and the bits it sends.

The lecture: many copies of one digital model see different data and share what each has learned by averaging gradients
or weights, at a bandwidth of as many numbers as there are weights; agents that cannot do this are left with
distillation, which sends far less, and shares far less.

Here agents of one net and one start each see a small part of the labels, at random or of few classes only, and share by
averaging gradients at every step (that is one learner with all the data, its batches together), by averaging weights
every so many steps, or by telling each other their answers on shared inputs without labels. Errors are the mean over
agents. Bits are those an agent sends, a message to all counted once, 32 a number. Every run tries the same learning
rates and keeps the best on held-out cases.

Controls: agents alone; and agents that distil on the shared inputs from their own answers, so that what unlabelled
inputs and softened targets do without any other agent is seen.

Departures: the lecture prints no numbers; a small net on small parts of an image set stand for its large models.
Backpropagation in every agent. Cost at scale ``paper``: 10 to 30 seconds of one core a run.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveInt, model_validator

from repro.compare import Answer, Claim, NotRun, t_interval
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.hinton2023._arms import Agent
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = NO_DATA
KINDS = {
    "gradients": "average gradients",
    "weights": "average weights",
    "probabilities": "distil: probabilities",
    "votes": "distil: votes",
}
ALONE, OWN = "alone", "own_answers"


class Exchange(Options):
    """When and how much agents tell: ``examples`` shared inputs every ``interval_steps``."""

    interval_steps: PositiveInt
    examples: PositiveInt


class Partition(Options):
    """``classes_per_agent``: of the labels an agent sees; none: its part is drawn at random."""

    name: str = Field(pattern=r"^[a-z]\w*$")
    classes_per_agent: PositiveInt | None = None


class Config(Options):
    seeds: int = Field(3, ge=2)
    agents: int = Field(ge=2)
    cases_per_agent: int = Field(gt=0)
    shared_inputs: int = Field(gt=0, description="training images whose labels nobody sees")
    held_out: int = Field(gt=0, description="cases on which the learning rate is chosen")
    partitions: tuple[Partition, ...] = Field(min_length=1)
    learner: Agent
    temperature: float = Field(2.0, gt=0)
    weight_intervals: tuple[PositiveInt, ...] = Field(min_length=1)
    exchanges: tuple[Exchange, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _exchanges_have_inputs(self) -> "Config":
        most = max(exchange.examples for exchange in self.exchanges)
        if most > self.shared_inputs:
            raise ValueError(f"an exchange on {most} examples needs as many shared_inputs")
        return self


def arms(config: Config) -> list[Arm]:
    shared = {
        "agents": config.agents, "cases_per_agent": config.cases_per_agent, "shared_inputs": config.shared_inputs,
        "held_out": config.held_out, "learner": config.learner.settings(),
    }  # fmt: skip
    ways: dict[str, dict[str, Any]] = {ALONE: {"way": ALONE}, "gradients": {"way": "gradients"}}
    for interval in config.weight_intervals:
        ways[f"weights.every{interval}"] = {"way": "weights", "interval_steps": interval}
    for message in ("probabilities", "votes"):
        for exchange in config.exchanges:
            ways[f"{message}.every{exchange.interval_steps}.of{exchange.examples}"] = {
                "way": message, "temperature": config.temperature, **exchange.model_dump(),
            }  # fmt: skip
    richest = max(config.exchanges, key=lambda e: e.examples / e.interval_steps)
    ways[OWN] = {"way": OWN, "temperature": config.temperature, **richest.model_dump()}
    return [
        Arm(
            f"{partition.name}.{name}",
            shared | {"classes_per_agent": partition.classes_per_agent} | way,
            config.seeds,
            seeds_per_job=config.seeds,
            device="cpu",
        )
        for partition in config.partitions
        for name, way in ways.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2023 import _community as community

    settings = arm.settings
    task, dealt = community.dealt(context.data, settings, seed)
    outcome = community.trained(
        settings, task, dealt, lambda: community.same_start(task, settings, seed), seed=seed, name=context.name
    )
    return Result(outcome)


def bits_and_errors(results: Results, arm: str) -> tuple[list[float], list[float]]:
    """Bits that an agent sent, and test error in %, of every seed of ``arm``."""
    return list(results.values(arm, "bits_per_agent").values()), list(
        results.values(arm, "test_error_percent").values()
    )


def figure(results: Results) -> Drawing:
    from repro.plots.style import PRINTED, Mark, axes, band, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, panels = axes(len(config.partitions), width_in=5.6 * len(config.partitions), height_in=5.0)
    data: list[dict[str, Any]] = []
    listed = arms(config)
    for partition, ax in zip(config.partitions, panels, strict=True):
        lines: dict[str, list[Mark]] = {kind: [] for kind in KINDS}
        for arm in listed:
            name, _, rest = arm.name.partition(".")
            bits, errors = bits_and_errors(results, arm.name)
            if name != partition.name or not errors:
                continue
            mark = (sum(bits) / len(bits), *t_interval(errors))
            data.append(
                {"partition": name, "way": rest, "bits_per_agent": mark[0], "test_error_percent": mark[1]}
                | {"low": mark[2], "high": mark[3], "n": len(errors)}
            )
            if rest in (ALONE, OWN):
                style = "--" if rest == ALONE else ":"
                ax.axhline(mark[1], ls=style, color=PRINTED, lw=1.6, label="alone" if rest == ALONE else "own answers")
                if rest == ALONE and mark[2] is not None and mark[3] is not None:
                    band(ax, mark[2], mark[3])
            else:
                lines[str(arm.settings["way"])].append(mark)
        for number, (kind, marks) in enumerate(lines.items()):
            if marks:
                with_intervals(ax, sorted(marks), number, KINDS[kind])
        ax.set_xscale("log")
        ax.set_yscale("log")
        plain_ticks(ax.yaxis, (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 80))
        means = [row["test_error_percent"] for row in data if row["partition"] == partition.name]
        if means:  # of a study half done there may be none yet
            ax.set_ylim(0.6 * min(means), min(1.6 * max(means), 100))  # what is cut off are intervals of few seeds
        seen = partition.classes_per_agent
        ax.set_title(f"each agent sees {seen} classes" if seen else "parts drawn at random")
        ax.set_xlabel("bits that each agent sends")
        ax.set_ylabel("test error, mean over agents, %")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=10)
    caption = (
        f"Test error of {config.agents} agents with {config.cases_per_agent:,} labelled cases each against the bits "
        "that each of them sends while learning; left is cheap, down is good. Distilling agents tell each other their "
        f"answers (probabilities at T = {config.temperature:g}, or the likeliest class alone) on shared inputs without "
        "labels; points of one way differ in how often and on how many inputs. Dashed: agents alone, grey their "
        "interval; dotted: agents that distil from their own answers on the same inputs. 95 % t-intervals over "
        f"n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for partition in config.partitions:
        answers += _of_partition(results, config, partition.name)
    figures_of_speech = ("PS272.sentence", "PS272.weights")
    return [*answers, *(NotRun(row, "a figure of speech, about very large models") for row in figures_of_speech)]


def _of_partition(results: Results, config: Config, partition: str) -> list[Answer]:
    """Each way at its most frequent and largest against agents alone; distilling against one's own answers too."""
    rich = max(config.exchanges, key=lambda e: e.examples / e.interval_steps)
    arm = {
        "gradients": "gradients",
        "weights": f"weights.every{min(config.weight_intervals)}",
        "probabilities": f"probabilities.every{rich.interval_steps}.of{rich.examples}",
        "votes": f"votes.every{rich.interval_steps}.of{rich.examples}",
    }
    setting = f"parts: {partition}"

    def less(which: str, kind: str, other: str) -> Claim:
        return Claim(
            f"HT-SHARE.{which}.{partition}",
            f"test error, {KINDS[kind]} minus {other.replace('_', ' ')}",
            tuple(results.paired(f"{partition}.{arm[kind]}", f"{partition}.{other}", "test_error_percent")),
            direction="less",
            setting=setting,
            unit="points",
        )

    answers: list[Answer] = [*(less(kind, kind, ALONE) for kind in KINDS), less("others", "probabilities", OWN)]
    rare = f"{partition}.weights.every{max(config.weight_intervals)}"
    if cheaper := _richest_below(results, config, partition, _bits(results, rare)):
        answers.append(
            Claim(
                f"HT-BANDWIDTH.{partition}",
                "test error, probabilities minus rarest averaging of weights, which sends more bits",
                tuple(results.paired(cheaper, rare, "test_error_percent")),
                direction="less",
                setting=f"{setting}; {_bits(results, cheaper) / 1e6:.2g} against {_bits(results, rare) / 1e6:.2g} Mbit",
                unit="points",
            )
        )
    return answers


def _bits(results: Results, arm: str) -> float:
    """That each agent sends, in every seed as many; 0 before any ran."""
    return next(iter(results.values(arm, "bits_per_agent").values()), 0.0)


def _richest_below(results: Results, config: Config, partition: str, bits: float) -> str | None:
    """The exchange of probabilities that sends most of those that send fewer than ``bits``; None where none does."""
    arms = [f"{partition}.probabilities.every{e.interval_steps}.of{e.examples}" for e in config.exchanges]
    below = [arm for arm in arms if 0 < _bits(results, arm) < bits]
    return max(below, key=lambda arm: _bits(results, arm)) if below else None
