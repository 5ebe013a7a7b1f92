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
from repro.papers.anil2018._arms import Section
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "fashion-mnist", "cluster": "fashion-mnist"}
PRINTED_DATA = "imagenet"
NOT_RUN = ("CO-13", "CO-14", "CO-15")
STEPS = {"two groups": 5250, "one group": 7250}  # of CO-13 and CO-14
BURN_IN_STEPS = 3000  # of the two groups, in which they do not teach each other


class Price(Section):
    """What the ImageNet run is priced on: a cluster of the simulator's shelf, and money, an assumption, not a quote.

    A100s are the newest devices on the shelf whose ResNet-50 steps are measured; from the peak of newer ones alone
    the price would come out several times too low. Evaluation and the reading of pictures are not priced.
    """

    cluster: str = "dgx-a100"
    workload: str = "resnet-50"
    workers_per_group: PositiveInt = 64
    batch_per_worker: PositiveInt = 256
    interval_steps: PositiveInt = 50
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


def cost_in_words(price: Price) -> str:
    """GPU-hours and money of the paper's ImageNet comparison, as the simulator prices a step."""
    from dataclasses import replace

    from repro.papers.anil2018._steps import elapsed_s
    from simulation.costs import cost
    from simulation.description import load_cluster, load_workload
    from simulation.protocols import Codistillation, Protocol, SyncSGD

    cluster = load_cluster(price.cluster)
    cluster = replace(cluster, device=replace(cluster.device, price_per_hour_usd=price.usd_per_gpu_hour))
    within = SyncSGD(price.workers_per_group)
    protocols: dict[str, Protocol] = {
        "one group": within,
        "two groups": Codistillation(2, within, price.interval_steps),
    }
    workload = load_workload(price.workload)
    alone_s = cost(cluster, workload, within, price.batch_per_worker).step_s
    said = []
    for name, protocol in protocols.items():
        priced = cost(cluster, workload, protocol, price.batch_per_worker)
        hours = elapsed_s(STEPS[name], priced.step_s, alone_s, BURN_IN_STEPS) / 3600
        gpu_hours = hours * priced.workers
        money = gpu_hours * price.usd_per_gpu_hour
        told = " and ".join(f"{1000 * step_s:.0f}" for step_s in sorted({alone_s, priced.step_s}))
        said.append(
            f"{name}: {STEPS[name]:,} steps of {told} ms on {priced.workers} "
            f"{cluster.device.name}, {hours:.1f} h, {gpu_hours:,.0f} GPU-hours, {money:,.0f} USD"
        )
    return f"{'; '.join(said)} (simulated, at an assumed {price.usd_per_gpu_hour:g} USD a GPU-hour)"


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    words = cost_in_words(config.price)
    priced = [NotRun(name, f"ImageNet was not run: {words}") for name in NOT_RUN]
    return [*_batch.claims(results, config), *priced]
