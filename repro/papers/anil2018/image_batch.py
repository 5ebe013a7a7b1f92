"""Images at large batch (section 3.3, Figure 3), swept over batches on the smallest nets.

The paper takes Goyal et al. 2017's set-up to a batch of 16,384: ResNet-50 on ImageNet needs 27.6 % fewer steps to 75 %
when two such groups codistil after 3,000 steps of burn-in. Sodhani et al. 2020 find codistillation about 2 points worse
at a constant weight decay of 1e-4 and as good once it falls to 1e-5 and 0 where the rate falls.

Here: a net of ReLUs on Fashion-MNIST (at scale ``quick`` on scikit-learn's digits) with Goyal et al.'s recipe (rate in
proportion to the batch, warm-up, three drops, Nesterov, no decay of biases) compressed to fewer epochs, at several
batches: one group, one of two codistilled groups (all data in orders of their own), the same with falling weight decay,
and one group of twice the batch for as many steps. Rates are tuned for one group of every batch, over one grid on
cases held out; two groups use the rate of one, which favours the baseline. The last test error is that of the last
step, not the best.

ImageNet itself is ``anil2018.imagenet`` in ``config/cluster.yaml``; what it would cost is priced by the simulator and
told beside its printed numbers, which stay ``not_run`` until somebody has run it.

Departures: another net and other data, so no printed number is judged; one worker a group with the whole batch.
Cost at scale ``paper``: half a minute (one group) to two minutes (two) of one core a run.
"""

from collections.abc import Sequence

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, NotRun
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018 import _batch
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "fashion-mnist", "cluster": "fashion-mnist"}
PRINTED_DATA = "imagenet"
NOT_RUN = ("CO-13", "CO-14", "CO-15")


class Price(Options):
    """What the section of ImageNet in ``config/cluster.yaml`` runs, and what it is priced on.

    Every run has one device of a cluster of the simulator's shelf, which computes the batch of each of its groups in
    parts. A100s are the newest devices on the shelf whose ResNet-50 steps are measured; from the peak of newer ones
    alone the price would come out several times too low. Evaluation and the reading of pictures are not priced; money
    is an assumption, not a quote.
    """

    cluster: str = "dgx-a100"
    workload: str = "resnet-50"
    steps: PositiveInt = 7249
    batch_size: PositiveInt = 16384
    examples_at_once: PositiveInt = 128
    burn_in_steps: int = Field(3001, ge=0, description="in which two groups do not teach each other")
    interval_steps: PositiveInt = 50
    kinds: tuple[_batch.Kind, ...] = ("plain", "twice", "codistilled", "codistilled_decay")
    usd_per_gpu_hour: PositiveFloat = 2.0


class Config(_batch.Config):
    """As `_batch.Config`, and how ImageNet is priced."""

    price: Price = Field(default_factory=Price)


def arms(config: Config) -> list[Arm]:
    return _batch.arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    return _batch.run(arm, seed, context)


def figure(results: Results) -> Drawing:
    return _batch.figure(results, Config.model_validate(results.config))


def gpu_hours(price: Price, kind: _batch.Kind) -> float:
    """Hours that the one GPU of a run computes, as the simulator prices a part of a step."""
    from repro.papers.anil2018._steps import elapsed_s
    from simulation.costs import cost
    from simulation.description import load_cluster, load_workload
    from simulation.protocols import Codistillation, SyncSGD

    cluster, workload = load_cluster(price.cluster), load_workload(price.workload)
    parts = price.batch_size // price.examples_at_once

    def step_s(protocol: Codistillation | SyncSGD) -> float:
        return parts * cost(cluster, workload, protocol, price.examples_at_once).step_s

    alone_s = step_s(SyncSGD(1))
    if not kind.startswith("codistilled"):
        return price.steps * alone_s * (2 if kind == "twice" else 1) / 3600
    taught_s = step_s(Codistillation(2, SyncSGD(1), price.interval_steps * parts))
    return 2 * elapsed_s(price.steps, taught_s, alone_s, price.burn_in_steps) / 3600


def cost_in_words(price: Price) -> str:
    """GPU-hours and money of all runs of the ImageNet comparison."""
    from simulation.description import load_cluster

    hours = {kind: gpu_hours(price, kind) for kind in price.kinds}
    each = ", ".join(f"{_batch.KINDS[kind]} {found:,.0f}" for kind, found in hours.items())
    total = sum(hours.values())
    gpu = load_cluster(price.cluster).device.name
    return (
        f"{price.steps:,} steps of {price.batch_size:,} examples a group take, in hours of one {gpu} a run: {each}; "
        f"{total:,.0f} GPU-hours in all, {total * price.usd_per_gpu_hour:,.0f} USD (simulated, at an assumed "
        f"{price.usd_per_gpu_hour:g} USD a GPU-hour; evaluation and the reading of pictures are not priced)"
    )


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    words = cost_in_words(config.price)
    priced = [NotRun(name, f"ImageNet was not run: {words}") for name in NOT_RUN]
    return [*_batch.claims(results, config), *priced]
