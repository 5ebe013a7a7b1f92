"""Communities of agents: the cases dealt out to them, their ways of sharing, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from repro.distill.sharing import (
    AverageGradients,
    AverageWeights,
    AverageWeightsOnce,
    Distil,
    Part,
    Sharing,
    learn_together,
)
from repro.papers.hinton2023._learning import Cases, Task, deal, digital, errors, image_task, mean, percent
from repro.training.keys import generator_seed
from repro.training.settings import Training
from repro.training.tuning import at_the_best_rate


@dataclass(frozen=True)
class Dealt:
    """A part for every agent, inputs that all see and whose labels nobody knows, and cases to choose the rate on."""

    parts: Sequence[Part]
    shared_inputs: Tensor
    held_out: Cases


def dealt(data: str, settings: Mapping[str, Any], seed: int) -> tuple[Task, Dealt]:
    """The task, and its training cases dealt out by an arm's settings; no case to two hands.

    Raises:
        ValueError: there are too few cases, or too few of the classes an agent is to see.
    """
    task = image_task(data)
    sizes = {"held_out": settings["held_out"], "shared": settings["shared_inputs"]}
    piles = deal(task.train, sizes | {"labelled": len(task.train) - sum(sizes.values())}, seed)
    agents, seen = settings["agents"], settings.get("classes_per_agent") or task.classes
    labelled, size = piles["labelled"], settings["cases_per_agent"]
    free = torch.ones(len(labelled), dtype=torch.bool)
    parts = []
    for agent in range(agents):
        first = agent * task.classes // agents  # so that all classes are seen as evenly as may be
        known = torch.tensor([(first + k) % task.classes for k in range(seen)])
        index = (free & torch.isin(labelled.labels, known)).nonzero().squeeze(1)[:size]
        if len(index) < size:
            raise ValueError(f"agent {agent} finds {len(index)} cases of its {seen} classes and is to have {size}")
        free[index] = False
        parts.append(Part(labelled.inputs[index], labelled.labels[index]))
    return task, Dealt(parts, piles["shared"].inputs, piles["held_out"])


def same_start(task: Task, settings: Mapping[str, Any], seed: int) -> list[nn.Module]:
    """Copies of one untrained digital net, one for each agent."""
    start = generator_seed(seed, "start")
    return [digital(task, settings["learner"], start) for _ in range(settings["agents"])]


def _distil(message: str, own: bool = False) -> Callable[[Mapping[str, Any], Tensor, int], Sharing]:
    return lambda settings, inputs, seed: Distil(
        inputs,
        interval_steps=settings["interval_steps"],
        examples=settings["examples"],
        temperature=settings["temperature"],
        message=message,
        own=own,
        batch_size=settings["learner"]["training"]["batch_size"],
        seed=seed,
    )


WAYS: Mapping[str, Callable[[Mapping[str, Any], Tensor, int], Sharing]] = {
    "alone": lambda settings, inputs, seed: Sharing(),
    "gradients": lambda settings, inputs, seed: AverageGradients(),
    "weights": lambda settings, inputs, seed: AverageWeights(settings["interval_steps"]),
    "weights_once": lambda settings, inputs, seed: AverageWeightsOnce(),
    "probabilities": _distil("probabilities"),
    "votes": _distil("votes"),
    "own_answers": _distil("probabilities", own=True),
}


def trained(
    settings: Mapping[str, Any],
    task: Task,
    dealt: Dealt,
    build: Callable[[], Sequence[nn.Module]],
    *,
    seed: int,
    name: str,
) -> dict[str, float]:
    """The community that ``build`` makes, trained at the rate with the fewest errors on the held-out cases; its metrics
    are means over agents."""

    def attempt(training: Training) -> tuple[Sequence[nn.Module], Sharing]:
        agents = build()
        sharing = WAYS[settings["way"]](settings, dealt.shared_inputs, seed)
        learn_together(agents, dealt.parts, sharing, training, seed=seed, name=name)
        return agents, sharing

    def score(made: tuple[Sequence[nn.Module], Sharing]) -> float:
        return mean([errors(agent, dealt.held_out) for agent in made[0]])

    (agents, sharing), rate = at_the_best_rate(settings["learner"], attempt, score)
    found = [percent(errors(agent, task.test), task.test) for agent in agents]
    return {
        "test_error_percent": mean(found),
        "test_error_percent_best_agent": min(found),
        "bits_per_agent": float(sharing.bits_per_agent),
        "learning_rate": rate,
    }
