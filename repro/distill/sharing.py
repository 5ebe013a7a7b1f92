"""How agents that see different data share what they learn, and how many bits that takes.

Copies of one digital model may average gradients at every step, or weights now and then. Agents whose weights mean
different things (another start, other hardware) can only look at each other's answers: they distil on inputs that all
of them see. Each way is an object with a few hooks, called in lockstep for the whole community, and a count of the bits
that each agent has sent. A message is counted once, however many listen to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.distill.objective import soft_cross_entropy, soft_targets
from repro.training.keys import generator_seed
from repro.training.loop import DivergedError
from repro.training.schedules import learning_rate, momentum
from repro.training.settings import Training
from repro.training.sgd import MomentumSGD

BITS_PER_NUMBER = 32  # numbers travel as they are computed


@dataclass(frozen=True)
class Part:
    """The labelled cases of one agent: inputs (n, features) and labels (n,)."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Sharing:
    """Nothing is shared: the base of all ways, and a way of its own."""

    bits_per_agent: float = 0.0

    def before(self, agents: Sequence[nn.Module], step: int) -> None:
        """Called before every step."""

    def loss(self, agent: nn.Module, which: int, generator: torch.Generator) -> Tensor | None:
        """What agent ``which`` minimises beside the loss on its own labels."""
        return None

    def between(self, agents: Sequence[nn.Module]) -> None:
        """Called when all gradients of a step are there and no weight has moved."""

    def after(self, agents: Sequence[nn.Module], step: int) -> None:
        """Called when all weights of a step have moved."""

    def at_the_end(self, agents: Sequence[nn.Module]) -> None:
        """Called once, after the last step."""


class AverageGradients(Sharing):
    """Every step follows the mean gradient of all agents.

    From one start this is one learner whose batch is all agents' batches together.
    """

    @torch.no_grad()
    def between(self, agents: Sequence[nn.Module]) -> None:
        for same in zip(*(agent.parameters() for agent in agents), strict=True):
            mean = torch.stack([_gradient(p) for p in same]).mean(0)
            for parameter in same:
                _gradient(parameter).copy_(mean)
        self.bits_per_agent += weight_bits(agents[0])


class AverageWeights(Sharing):
    """Every ``interval_steps`` all agents go on from the mean of their weights; momentum stays each one's own."""

    def __init__(self, interval_steps: int) -> None:
        if interval_steps < 1:
            raise ValueError(f"an interval is at least one step, not {interval_steps}")
        self._interval_steps = interval_steps

    def after(self, agents: Sequence[nn.Module], step: int) -> None:
        if (step + 1) % self._interval_steps == 0:
            average_weights(agents)
            self.bits_per_agent += weight_bits(agents[0])


class AverageWeightsOnce(Sharing):
    """Agents learn apart and take the mean of their weights when all have done so."""

    def at_the_end(self, agents: Sequence[nn.Module]) -> None:
        average_weights(agents)
        self.bits_per_agent += weight_bits(agents[0])


class Distil(Sharing):
    """Every ``interval_steps`` agents tell their answers on ``examples`` shared inputs; each then learns what the
    others answered on average, at every step, until the next exchange.

    The first exchange comes after the first interval. ``message`` is ``probabilities`` (at ``temperature``) or
    ``votes`` (the likeliest class alone). With ``own`` each agent listens to itself and nothing is sent: the control
    that tells what the shared inputs do without other agents.
    """

    def __init__(
        self,
        inputs: Tensor,
        *,
        interval_steps: int,
        examples: int,
        temperature: float,
        weight: float = 1.0,
        message: str = "probabilities",
        own: bool = False,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        if interval_steps < 1 or not 1 <= examples <= len(inputs):
            raise ValueError(
                f"an exchange needs an interval of at least one step (it is {interval_steps}) and 1 to {len(inputs)} "
                f"examples (it is {examples})"
            )
        if message not in MESSAGES:
            raise ValueError(f"there is no message {message!r}; choose one of {', '.join(MESSAGES)}")
        self._inputs, self._examples, self._interval_steps = inputs, examples, interval_steps
        self._temperature, self._weight, self._batch_size = temperature, weight, batch_size
        self._message, self._own = MESSAGES[message], own
        self._bits = MESSAGE_BITS[message]
        self._pick = torch.Generator().manual_seed(generator_seed(seed, "exchange"))
        self._chosen: Tensor | None = None
        self._targets: list[Tensor] = []

    @torch.no_grad()
    def before(self, agents: Sequence[nn.Module], step: int) -> None:
        if step == 0 or step % self._interval_steps:
            return
        index = torch.randperm(len(self._inputs), generator=self._pick)[: self._examples]
        self._chosen = self._inputs[index]
        told = torch.stack([self._message(agent(self._chosen), self._temperature) for agent in agents])
        self._targets = list(told) if self._own else list((told.sum(0) - told) / (len(agents) - 1))
        if not self._own:
            self.bits_per_agent += self._examples * self._bits(told.shape[-1])

    def loss(self, agent: nn.Module, which: int, generator: torch.Generator) -> Tensor | None:
        if self._chosen is None:
            return None
        index = torch.randint(self._examples, (min(self._batch_size, self._examples),), generator=generator)
        logits, targets = agent(self._chosen[index]), self._targets[which][index]
        return self._weight * self._temperature**2 * soft_cross_entropy(logits, targets, self._temperature)


MESSAGES: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "probabilities": soft_targets,
    "votes": lambda logits, _: F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype),
}
# Of one answer, by the number of classes. Probabilities sum to one, so the last of them need not be sent.
MESSAGE_BITS: Mapping[str, Callable[[int], float]] = {
    "probabilities": lambda classes: BITS_PER_NUMBER * (classes - 1),
    "votes": lambda classes: math.log2(classes),
}


def learn_together(
    agents: Sequence[nn.Module], parts: Sequence[Part], sharing: Sharing, settings: Training, *, seed: int, name: str
) -> None:
    """Train a community in place, in lockstep: every agent takes a step on its own part, then comes the next step.

    Agents draw their batches in orders of their own, keyed by ``seed`` and their number. Momentum SGD with the schedule
    of ``settings``, whose precision, bound on norms, jitter and evaluations are not heeded; an epoch is a pass over
    one's own part, and the last, smaller batch is left out. Agents end in eval mode.

    Raises:
        ValueError: fewer than two agents, parts of different sizes, or parts smaller than a batch.
        DivergedError: a loss is not finite.
    """
    if len(agents) < 2 or len({len(part) for part in parts}) != 1 or len(agents) != len(parts):
        raise ValueError("a community has two or more agents, each with a part of the data, all parts of one size")
    batches = len(parts[0]) // settings.batch_size
    if not batches:
        raise ValueError(f"parts of {len(parts[0])} cases hold no batch of {settings.batch_size}")
    steps = settings.epochs * batches
    optimizers = [MomentumSGD(agent.parameters(), settings) for agent in agents]
    draws = [torch.Generator().manual_seed(generator_seed(seed, "agent", k)) for k in range(len(agents))]
    orders: list[Tensor] = []
    for agent in agents:
        agent.train()
    for step in range(steps):
        if step % batches == 0:
            orders = [torch.randperm(len(parts[0]), generator=draw) for draw in draws]
        start = (step % batches) * settings.batch_size
        sharing.before(agents, step)
        total = 0.0
        for k, (agent, part, optimizer) in enumerate(zip(agents, parts, optimizers, strict=True)):
            index = orders[k][start : start + settings.batch_size]
            loss = F.cross_entropy(agent(part.inputs[index]), part.labels[index])
            shared = sharing.loss(agent, k, draws[k])
            if shared is not None:
                loss = loss + shared
            optimizer.zero_grad()
            loss.backward()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise DivergedError(
                f"{name}: the loss is {total} in step {step + 1}; lower the learning rate ({settings.learning_rate:g})"
            )
        sharing.between(agents)
        for optimizer in optimizers:
            optimizer.step(learning_rate(settings, step, steps), momentum(settings, step, steps))
        sharing.after(agents, step)
    sharing.at_the_end(agents)
    for agent in agents:
        agent.eval()


@torch.no_grad()
def average_weights(agents: Sequence[nn.Module]) -> None:
    """Give every agent the mean of all agents' parameters; buffers, such as hardware, stay as they are."""
    for same in zip(*(agent.parameters() for agent in agents), strict=True):
        mean = torch.stack([p.detach() for p in same]).mean(0)
        for parameter in same:
            parameter.copy_(mean)


def weight_bits(agent: nn.Module) -> int:
    """Bits of one message that holds a number for each parameter."""
    return BITS_PER_NUMBER * sum(p.numel() for p in agent.parameters())


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise ValueError("a parameter has no gradient: every agent must have taken its backward pass")
    return parameter.grad
