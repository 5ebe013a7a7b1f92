"""Chains of generations on mortal hardware."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.distill.objective import soft_cross_entropy, soft_targets
from repro.models.analogue import copy_weights
from repro.papers.hinton2023._learning import (
    Cases,
    Task,
    analogue,
    deal,
    errors,
    fitted,
    from_labels,
    image_task,
    logits_of,
    percent,
)
from repro.training.keys import generator_seed
from repro.training.loop import Objective

LABELLED_SHARE = 1 / 3  # of the cases of a generation that also hears answers; its own are repeated to make it up


@dataclass(frozen=True)
class Generation:
    """One net's life: its piece of hardware, its own labelled cases, and inputs on which it may hear a teacher."""

    task: Task
    settings: Mapping[str, Any]
    seed: int
    number: int
    own: Cases
    shared: Tensor
    held_out: Cases
    name: str

    def untrained(self, start: str = "start") -> nn.Module:
        hardware, weights = (generator_seed(self.seed, what, self.number) for what in ("hardware", start))
        return analogue(self.task, self.settings, hardware, weights)

    def copied(self, source: nn.Module) -> nn.Module:
        agent = self.untrained()
        copy_weights(source, agent)
        return agent

    def from_labels(self, build: Callable[[], nn.Module]) -> nn.Module:
        """Trained on its own labels alone."""
        return self._fit(build, self.own.inputs, from_labels(self.own.labels))

    def taught_by(self, teacher: nn.Module) -> nn.Module:
        """Trained on the teacher's answers to the shared inputs and on its own labels."""
        temperature = self.settings["temperature"]
        targets = soft_targets(logits_of(teacher, self.shared), temperature)
        return self._fit(self.untrained, *answers_and_labels(self.shared, targets, self.own, temperature))

    def _fit(self, build: Callable[[], nn.Module], inputs: Tensor, objective: Objective) -> nn.Module:
        learner = self.settings["learner"]
        return fitted(build, learner, inputs, objective, self.held_out, seed=self.seed, name=self.name)[0]


# What each generation does, given its predecessor; the first has none.
CHAINS: Mapping[str, Callable[[Generation, nn.Module | None], nn.Module]] = {
    "labels": lambda self, _: self.from_labels(self.untrained),
    "self_taught": lambda self, _: self.taught_by(self.from_labels(lambda: self.untrained("first start"))),
    "handed_on": lambda self, before: self.taught_by(before) if before else self.from_labels(self.untrained),
    "copied": lambda self, before: self.from_labels(lambda: self.copied(before) if before else self.untrained()),
}


def errors_of_chain(settings: Mapping[str, Any], data: str, seed: int, name: str) -> list[float]:
    """Test error, %, of every generation of a chain. Own cases and hardware are the same in all chains of a seed."""
    task, count = image_task(data), settings["generations"]
    sizes = {"shared": settings["shared_inputs"], "held_out": settings["held_out"]}
    dealt = deal(task.train, sizes | {f"own{g}": settings["own_cases"] for g in range(count)}, seed)
    found: list[float] = []
    agent: nn.Module | None = None
    for number in range(count):
        generation = Generation(
            task, settings, seed, number, dealt[f"own{number}"], dealt["shared"].inputs, dealt["held_out"], name
        )
        agent = CHAINS[settings["chain"]](generation, agent)
        found.append(percent(errors(agent, task.test), task.test))
    return found


def answers_and_labels(shared: Tensor, targets: Tensor, own: Cases, temperature: float) -> tuple[Tensor, Objective]:
    """Inputs of both kinds in one set, and the loss: soft targets for the shared, labels for the own.

    A batch's loss is the mean over its cases: of a shared one T^2 times the soft cross-entropy, of an own one the
    cross-entropy.
    """
    repeats = max(1, round(LABELLED_SHARE / (1 - LABELLED_SHARE) * len(shared) / len(own)))
    labels = own.labels.repeat(repeats)
    split = len(shared)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        heard = index < split
        loss = logits.new_zeros(())
        if heard.any():
            soft = soft_cross_entropy(logits[heard], targets[index[heard]], temperature)
            loss = loss + temperature**2 * soft * heard.sum()
        if not heard.all():
            loss = loss + F.cross_entropy(logits[~heard], labels[index[~heard] - split], reduction="sum")
        return loss / len(index)

    return torch.cat([shared, own.inputs.repeat(repeats, 1)]), objective
