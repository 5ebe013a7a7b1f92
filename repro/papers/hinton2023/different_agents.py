"""Agents with other starts, or on other hardware: what can still be shared.

The lecture: averaging works because copies of a digital model are the same model. Analogue agents, whose circuits
differ in unknown ways, cannot use each other's weights; they can only distil.

Here three communities, each agent with a part of the labels drawn at random: copies of one net from one start; the same
net from different starts; and one start on different hardware (``repro.models.analogue``), every piece with wiring,
gains and responses of its own. The first two run on one piece of hardware as well, the common design, so that all nets
are of one kind. Each shares in every way: averaging gradients at every step, averaging weights every so many steps,
averaging them once, when all have learned, or distilling on shared inputs; or not at all, which is the control.
Learning rates are tuned in every run, for every way.

Verdicts: every way must help copies; averaging once, after learning apart, must hurt agents with other starts; on other
hardware distilling must help, and every way that shares weights or gradients be worse than distilling. What averaging
all along does to other starts is shown and not claimed: after the first average they are copies.

Departures: the lecture shows no such experiment and prints no numbers. Gradients are exact, by backpropagation
through the agent's own hardware, which a real analogue agent would have to do without. Cost at scale ``paper``: 5 to
15 seconds of one core a run.
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.hinton2023._arms import AnalogueAgent
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = NO_DATA
COMMUNITIES = {"one_start": "one start", "other_starts": "other starts", "other_hardware": "other hardware"}
WAYS = {
    "alone": "alone",
    "gradients": "average gradients",
    "weights": "average weights often",
    "weights_once": "average weights once",
    "probabilities": "distil",
}


class Config(Options):
    seeds: int = Field(3, ge=2)
    agents: int = Field(ge=2)
    cases_per_agent: int = Field(gt=0)
    shared_inputs: int = Field(gt=0, description="training images whose labels nobody sees")
    held_out: int = Field(gt=0, description="cases on which the learning rate is chosen")
    learner: AnalogueAgent
    temperature: float = Field(2.0, gt=0)
    variability: float = Field(1.0, gt=0, le=1, description="of the hardware of the third community")
    density: float = Field(0.5, gt=0, le=1, description="of connections")
    weight_interval_steps: int = Field(gt=0)
    exchange_interval_steps: int = Field(gt=0)


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds", "weight_interval_steps", "exchange_interval_steps"})
    shared["learner"] = config.learner.settings()
    of_way: dict[str, dict[str, Any]] = {
        "alone": {},
        "gradients": {},
        "weights": {"interval_steps": config.weight_interval_steps},
        "weights_once": {},
        "probabilities": {"interval_steps": config.exchange_interval_steps, "examples": config.shared_inputs},
    }
    return [
        Arm(
            f"{community}.{way}",
            shared | {"community": community, "way": way} | own,
            config.seeds,
            seeds_per_job=config.seeds,
            device="cpu",
        )
        for community in COMMUNITIES
        for way, own in of_way.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2023 import _community as community
    from repro.papers.hinton2023._learning import analogue
    from repro.training.keys import generator_seed

    settings = arm.settings
    task, dealt = community.dealt(context.data, settings, seed)
    other_starts, other_hardware = (settings["community"] == name for name in ("other_starts", "other_hardware"))
    kind = dict(settings) | {"variability": settings["variability"] if other_hardware else 0.0}

    def build() -> list[Any]:
        return [
            analogue(
                task,
                kind,
                generator_seed(seed, "hardware", agent if other_hardware else 0),
                generator_seed(seed, "start", agent if other_starts else 0),
            )
            for agent in range(settings["agents"])
        ]

    return Result(community.trained(settings, task, dealt, build, seed=seed, name=context.name))


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, axes

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=8.6)
    data: list[dict[str, Any]] = []
    for number, (way, label) in enumerate(WAYS.items()):
        for position, community in enumerate(COMMUNITIES):
            values = list(results.values(f"{community}.{way}", "test_error_percent").values())
            if not values:
                continue
            average, low, high = t_interval(values)
            x = position + 0.17 * (number - 2)
            ax.bar(x, average, 0.155, color=COLOURS[number], label=label if not position else None)
            if low is not None and high is not None:
                ax.errorbar([x], [average], yerr=[[average - max(low, 0)], [high - average]], fmt="none", color="black",
                            capsize=2, lw=1)  # fmt: skip
            ax.annotate(
                f"{average:.1f}", (x, high or average), (0, 3), textcoords="offset points", ha="center", fontsize=9.5
            )
            data.append(
                {"community": community, "way": way, "mean": average, "low": low, "high": high, "n": len(values)}
            )
    ax.set_xticks(range(len(COMMUNITIES)), list(COMMUNITIES.values()))
    ax.grid(axis="x", visible=False)
    ax.set_ylim(0, 1.1 * max(max(row["mean"], row["high"] or 0) for row in data))
    ax.set_ylabel("test error, mean over agents, %")
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    caption = (
        f"Test error of {config.agents} agents with {config.cases_per_agent:,} labelled cases each that share in "
        "several ways: copies of one net; the same net from other starts; one start on pieces of analogue hardware "
        f"whose wiring, gains and responses differ (variability {config.variability:g}). Weights are averaged every "
        f"{config.weight_interval_steps} steps; distilling agents exchange their answers on {config.shared_inputs:,} "
        f"inputs without labels every {config.exchange_interval_steps} steps. 95 % t-intervals over n = {config.seeds} "
        "seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    def claim(name: str, community: str, way: str, other: str, direction: Literal["less", "greater"]) -> Claim:
        return Claim(
            f"{name}.{community}.{way}",
            f"test error, {WAYS[way]} minus {WAYS[other]}",
            tuple(results.paired(f"{community}.{way}", f"{community}.{other}", "test_error_percent")),
            direction=direction,
            setting=f"agents with {COMMUNITIES[community]}",
            unit="points",
        )

    by_weights = ("gradients", "weights", "weights_once")
    return [
        *(claim("HT-SHARE", "one_start", way, "alone", "less") for way in (*by_weights, "probabilities")),
        claim("HT-SHARE", "other_starts", "weights_once", "alone", "greater"),
        claim("HT-SHARE", "other_starts", "probabilities", "alone", "less"),
        claim("HT-MORTAL", "other_hardware", "probabilities", "alone", "less"),
        *(claim("HT-MORTAL", "other_hardware", way, "probabilities", "greater") for way in by_weights),
    ]
