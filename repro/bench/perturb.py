"""``perturb.*``: what a step by each estimator costs, against one of float32 backprop by autograd, timed in turn.

A step is the estimate of the gradient and a fused SGD update of a net 784-1024-1024-10 with batch 128, every weight and
unit perturbed, the outputs' too. Steps of all kinds are timed in turn, a few of each in a row as in training, in one
process, by CPU time on one thread, and compared by the fastest of each: whatever else the machine does only adds.
Yardsticks: torch.func.jvp along one direction of signs over all weights, with the update; and a loop that estimates
K = 8 directions one after the other by forward differences, as it is usually written. The second moment of rank-one
estimates is held against the closed form for full directions.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.bench import Measurement
from repro.perturb.estimators import ActivityPerturbation, Backprop, Estimator, WeightPerturbation
from repro.perturb.nets import Net, mlp
from repro.perturb.noise import Counter
from repro.perturb.signals import Batch

SIZES = (784, 1024, 1024, 10)
BATCH = 128
DIRECTIONS = 8
ROUNDS, IN_A_ROW = 12, 5
MOMENT_DRAWS = 40_000


def random_batch() -> Batch:
    """Seeded noise of the size that is timed: only shapes matter to speed."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, 1, SIZES[0], generator=generator)
    return Batch(x, torch.randint(SIZES[-1], (BATCH,), generator=generator))


def module() -> nn.Sequential:
    """The net as an nn.Module."""
    a, b, c, d = SIZES
    return nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d))


def autograd_step(batch: Batch) -> Callable[[], None]:
    model = module()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, fused=True)
    x = batch.x.flatten(1)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), batch.targets).backward()
        optimizer.step()

    return step


def estimator_step(net: Net, batch: Batch, estimator: Estimator) -> Callable[[], None]:
    """The same with an estimate for the gradient, fresh noise at every step."""
    parameters = {name: nn.Parameter(value) for name, value in net.initial(0).items()}
    optimizer = torch.optim.SGD(parameters.values(), lr=1e-4, fused=True)
    steps = itertools.count()

    @torch.no_grad()
    def step() -> None:
        optimizer.zero_grad(set_to_none=True)  # first, as above: the new gradient takes the old one's memory
        estimate = estimator(net, {n: p.detach() for n, p in parameters.items()}, batch, Counter(0, next(steps)))
        for name, value in estimate.gradient.items():
            parameters[name].grad = value
        optimizer.step()

    return step


def functional_step(batch: Batch, tangent: Callable[..., Mapping[str, Tensor]]) -> Callable[[], None]:
    """A step that gets its derivative along a direction from ``tangent(loss, parameters)``, then updates."""
    model = module()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, fused=True)
    names = [name for name, _ in model.named_parameters()]
    x = batch.x.flatten(1)

    def loss(parameters: Mapping[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, dict(parameters), (x,)), batch.targets)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            values = {name: p.detach() for name, p in model.named_parameters()}
            gradient = tangent(loss, values)
            for name, parameter in zip(names, model.parameters(), strict=True):
                parameter.grad = gradient[name]
            optimizer.step()

    return step


def by_jvp(loss: Callable[..., Tensor], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One direction of signs, drawn as torch draws them, through torch.func.jvp."""
    along = {name: torch.randint(2, v.shape, dtype=torch.float32).mul_(2).sub_(1) for name, v in values.items()}
    slope = torch.func.jvp(loss, (dict(values),), (along,))[1]
    return {name: v.mul_(slope) for name, v in along.items()}


def by_loop(loss: Callable[..., Tensor], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """K directions of signs, one pass and one perturbed copy of the weights each."""
    value, distance = loss(values), 1e-3
    total = {name: torch.zeros_like(v) for name, v in values.items()}
    for _ in range(DIRECTIONS):
        along = {name: torch.randint(2, v.shape, dtype=torch.float32).mul_(2).sub_(1) for name, v in values.items()}
        far = loss({name: v + distance * along[name] for name, v in values.items()})
        slope = (far - value) / distance / DIRECTIONS
        for name, v in along.items():
            total[name].add_(v * slope)
    return total


def fastest_seconds(steps: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """CPU seconds of the fastest step of each kind, all kinds in turn."""
    taken = dict.fromkeys(steps, math.inf)
    for _ in range(ROUNDS):
        for name, step in steps.items():
            for _ in range(IN_A_ROW):
                start = time.process_time()
                step()
                taken[name] = min(taken[name], time.process_time() - start)
    return taken


def moment_ratio(net: Net, batch: Batch) -> float:
    """E|estimate|^2 of one rank-one direction over that of one full direction of signs, by many draws.

    All entries of a direction of signs are +-1, so |estimate|^2 is the number of weights times the squared derivative
    along it, whose mean over full directions is |gradient|^2. Only the weights' part is drawn: biases have full signs.
    """
    parameters = net.initial(0)
    gradient = Backprop()(net, parameters, batch, Counter(0)).gradient
    weights = [value for name, value in gradient.items() if name.endswith("weight")]
    total, chunk = 0.0, 4000
    for step in range(MOMENT_DRAWS // chunk):
        counter, slope = Counter(1, step), torch.zeros(chunk)
        for stream, weight in enumerate(weights):
            rows = counter.signs(2 * stream, 0, (chunk, weight.shape[0]))
            columns = counter.signs(2 * stream + 1, 0, (chunk, weight.shape[1]))
            slope += ((rows @ weight) * columns).sum(1)
        total += float(slope.square().mean())
    return total / (MOMENT_DRAWS // chunk) / sum(float(weight.square().sum()) for weight in weights)


def measure() -> list[Measurement]:
    """All rows of ``perturb.*``, in about half a minute."""
    torch.set_num_threads(1)
    net, batch = mlp(SIZES), random_batch()
    steps: dict[str, Callable[[], None]] = {"autograd": autograd_step(batch)}
    estimators: dict[str, Estimator] = {
        "backprop": Backprop(),
        "forward_gradient": WeightPerturbation(exact_head=False),
        "forward_gradient.gaussian": WeightPerturbation(noise="gaussian", exact_head=False),
        "forward_gradient.rank_one": WeightPerturbation(noise="rank_one_signs", exact_head=False),
        "activity": ActivityPerturbation(exact_head=False),
        "activity.gaussian": ActivityPerturbation(noise="gaussian", exact_head=False),
        "weight_rank_one": WeightPerturbation(DIRECTIONS, "rank_one_signs", exact_head=False),
    }
    steps |= {name: estimator_step(net, batch, estimator) for name, estimator in estimators.items()}
    steps["yardstick.func_jvp"] = functional_step(batch, by_jvp)
    steps["yardstick.loop_k8"] = functional_step(batch, by_loop)
    seconds = fastest_seconds(steps)
    targets = dict.fromkeys(("forward_gradient", "forward_gradient.rank_one", "activity"), "<= 1.1")
    targets["weight_rank_one"] = "<= 2.5"
    rows = [Measurement("perturb.autograd", "CPU time of a backprop step", 1e3 * seconds.pop("autograd"), "ms")]
    base = rows[0].value / 1e3
    rows += [
        Measurement(f"perturb.{name}", "cost over a backprop step", value / base, "x", targets.get(name, ""))
        for name, value in seconds.items()
    ]
    moment = moment_ratio(net, batch)
    rows += [
        Measurement("perturb.weight_rank_one", "second moment over full directions", moment, "x"),
        Measurement("perturb.weight_rank_one", "distance of that from 1", abs(moment - 1), "", "<= 0.03"),
    ]
    return rows
