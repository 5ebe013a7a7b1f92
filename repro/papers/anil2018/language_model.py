"""The language model (sections 3.1 to 3.3, Figures 1 and 2): codistillation where more workers stop helping.

The paper trains an LSTM on 6e11 tokens of Common Crawl, of which no run sees one twice. Synchronous SGD needs fewer
steps with 32, 64 and 128 workers and none fewer with 256; two groups of 128 that codistil reach the error of one such
group in half the steps. Copies with disjoint data gain clearly, copies with the same data hardly; codistillation beats
smoothed labels, and needs 10,000 steps where training an ensemble and then distilling it takes 27,000.

Here: an LSTM of two narrow layers on the Penn Treebank (at scale ``quick`` on Python's own documentation). The regime:
64 tokens a worker, so that batches of many workers are few steps; every run is as many steps as the config says, and
neither at scale ``paper`` nor at ``cluster`` does a group see a token twice, on its half of the text neither (at
``cluster`` sync of more than 64 workers sees each twice). Groups exchange every 5 steps: the paper's 50 are few of its
thousands and many of our hundreds. Against one group of ``group_workers``, each for as many steps:

- *sync*: one group of more and more workers; the one with twice as many has the examples and steps of two groups, and
  a config in which it has not is refused;
- *codistilled*: two groups on disjoint halves of the text, or on the very same batches;
- *smoothed*: labels smoothed uniformly, and to the unigram distribution;
- *two_phase*: two nets, each on its half, then a third taught by their mean; ``ensemble_loss`` is that of the mean,
  the ensemble itself;
- *codistilled.smaller*: two groups of fewer workers.

A target is what one group of ``group_workers`` reaches on held-out text at its end, seed by seed. Hours are simulated:
a step of as many workers on a cluster and a workload of the simulator's shelf. Rates are tuned on validation text over
one grid: of sync for every number of workers, and of the groups that codistil. The other controls use the rate of one
group.

Departures: the paper codistils groups whose doubling no longer helps, while in runs as short as ours every doubling
does (CO-03); a text and a net smaller by orders of magnitude, words instead of word pieces with the rarest unknown,
every stretch begins with a state of zeros, rates constant. Workers of a group are one batch: the mean gradient of many
is that of one worker with all their examples. ``config/cluster.yaml`` has the paper's net on the same text, which is
too short for its 128 workers a group.
Cost at scale ``paper``: one to five minutes of one core a run.
"""

from collections.abc import Callable, Sequence
from typing import Any

from repro.compare import Answer
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018._arms import Recipe
from repro.papers.anil2018._language_config import SMALLER, Config, Group, Pair, sync_name
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "pydoc", "paper": "ptb", "cluster": "ptb"}
PRINTED_DATA = "common-crawl"

CONTROLS = {
    "codistilled.disjoint": "two groups, disjoint data",
    "codistilled.same": "two groups, same data",
    "smoothed.uniform": "labels smoothed uniformly",
    "smoothed.unigram": "labels smoothed to unigrams",
    "two_phase": "two phases, second one",
}

Clock = Callable[[int], float]  # where on the axis a step is drawn


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"net", "length", "judged_tokens", "cluster", "workload"})

    def recipe(group: Group, share: float = 1.0) -> Recipe:
        updates = max(1, round(share * group.updates))
        examples = group.workers * config.sequences_per_worker
        return Recipe(updates=updates, batch_size=examples, optimizer=config.optimizer)

    def settings(run: dict[str, Any], workers: int, **own: Any) -> dict[str, Any]:
        evaluated = {"evaluate_updates": min(config.evaluate_updates, run["updates"])}
        return {**shared, **own, "workers": workers, "run": run | evaluated}

    base, rate = config.base, config.base.learning_rate
    listed = [
        Arm(
            sync_name(group.workers),
            settings(recipe(group).alone(learning_rate=group.learning_rate), group.workers),
            config.seeds,
        )
        for group in config.sync
    ]
    alone = recipe(base).alone(learning_rate=rate)

    def codistilled(split: str, rate: float, share: float = 1.0) -> dict[str, Any]:
        return recipe(base, share).together(2, config.interval_steps, config.burn_in_steps, split, learning_rate=rate)

    for split in ("disjoint", "same"):
        run = codistilled(split, config.codistilled_rate or rate)
        listed.append(Arm(f"codistilled.{split}", settings(run, base.workers), config.seeds))
    if pair := config.smaller_groups:
        small = config.group(pair.group_workers)
        run = recipe(small).together(
            2, config.interval_steps, pair.burn_in_steps, "disjoint", learning_rate=small.learning_rate
        )
        listed.append(Arm(SMALLER, settings(run, small.workers), config.seeds))
    for to in ("uniform", "unigram"):
        own = {"smoothing": config.smoothing, "to_unigram": to == "unigram"}
        listed.append(Arm(f"smoothed.{to}", settings(alone, base.workers, **own), config.seeds))
    listed.append(Arm("two_phase", settings(alone, base.workers, phases=2), config.seeds))
    for group in config.sync:
        for tried in config.tuned_rates:
            run = recipe(group, config.tuning_share).alone(learning_rate=tried)
            name = f"tuning.{sync_name(group.workers)}.rate{tried:g}"
            listed.append(Arm(name, settings(run, group.workers, judged_on="valid"), 1))
    for tried in config.tuned_rates:
        run = codistilled("disjoint", tried, config.tuning_share)
        listed.append(Arm(f"tuning.codistilled.rate{tried:g}", settings(run, base.workers, judged_on="valid"), 1))
    return listed


def simulated_step_s(settings: Any) -> float:
    """Seconds of one step of an arm's groups on its cluster."""
    from simulation.costs import cost
    from simulation.description import load_cluster, load_workload
    from simulation.protocols import Codistillation, Protocol, SyncSGD, from_dict

    played = from_dict(settings["run"]["protocol"])
    within = SyncSGD(settings["workers"])
    protocol: Protocol = within
    if isinstance(played, Codistillation):
        protocol = Codistillation(played.groups, within, played.interval_steps, played.burn_in_steps)
    return cost(load_cluster(settings["cluster"]), load_workload(settings["workload"]), protocol).step_s


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch
    from torch import nn

    from repro.codistill.controls import smoothed, taught_by
    from repro.data.texts import unigram
    from repro.papers.anil2018._learning import MeanOf, curves, last, net_of, train
    from repro.papers.anil2018._tasks import language, text
    from repro.training.keys import generator_seed

    settings = arm.settings
    judged_on = settings.get("judged_on", "test")
    net = dict(settings["net"])
    options = {**net, "length": settings["length"], "judged_on": judged_on, "judged_tokens": settings["judged_tokens"]}
    task = language(context.data, **options)

    @torch.no_grad()
    def judged(model: nn.Module) -> float:
        assert task.evaluate is not None
        return task.evaluate(model)[judged_on]["loss"]

    metrics: dict[str, Any] = {}
    first_phase_steps = 0
    if settings.get("smoothing"):
        found = text(context.data, net["words"])
        prior = unigram(found.train, len(found.words)) if settings["to_unigram"] else None
        task = smoothed(task, settings["smoothing"], prior)
    if settings.get("phases"):
        halves = [language(context.data, **options, half=half) for half in (0, 1)]
        members = [
            net_of(task, train(half, settings["run"], generator_seed(seed, "member", number), context))
            for number, half in enumerate(halves)
        ]
        metrics |= {"member_loss": judged(members[0]), "ensemble_loss": judged(MeanOf(members))}
        first_phase_steps = settings["run"]["updates"]
        task = taught_by(task, [member.to(context.device) for member in members])
    learned = train(task, settings["run"], seed, context)
    if len(learned.weights) > 1:
        both = MeanOf([net_of(task, learned, group) for group in range(len(learned.weights))])
        metrics["ensemble_loss"] = judged(both)
    metrics = {
        "loss": last(learned, judged_on, "loss"),
        **metrics,
        "updates": first_phase_steps + settings["run"]["updates"],
        "simulated_step_s": simulated_step_s(settings),
    }
    points = [(0, first_phase_steps + step, split, name, value) for _, step, split, name, value in curves(learned)]
    return Result(metrics, points)


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.papers.anil2018._steps import curve_of
    from repro.plots.style import COLOURS, MARKERS, axes, legend

    config = Config.model_validate(results.config)
    drawn, (left, middle, right) = axes(3, width_in=14.5, height_in=5.4)
    data: list[dict[str, Any]] = []

    def draw(ax: Any, arm: str, label: str, number: int, minutes_at: Clock | None = None) -> None:
        seeds = sorted(results.values(arm, "loss"))
        if not seeds:
            return
        by_step: dict[int, list[float]] = {}
        for seed in seeds:
            for step, value in curve_of(results, arm, seed, "test", "loss"):
                by_step.setdefault(step, []).append(value)
        place_of: Clock = minutes_at or float
        found = [(step, *t_interval(values)) for step, values in sorted(by_step.items()) if len(values) == len(seeds)]
        x = [place_of(step) for step, *_ in found]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        ax.plot(
            x, [mean for _, mean, _, _ in found], color=colour, marker=marker, ms=4, markevery=max(1, len(x) // 6),
            label=label,
        )  # fmt: skip
        for seed in seeds:
            own = curve_of(results, arm, seed, "test", "loss")
            ax.plot([place_of(step) for step, _ in own], [value for _, value in own], color=colour, alpha=0.25, lw=0.8)
        for place, (step, mean, least, most) in zip(x, found, strict=True):
            row = {"panel": "minutes" if minutes_at else "steps", "arm": arm, "step": step, "x": place}
            data.append(row | {"mean": mean, "low": least, "high": most, "n": len(seeds)})

    for number, group in enumerate(config.sync):
        label = f"{group.workers} workers"
        draw(left, sync_name(group.workers), label, number)
        alone = sync_name(group.workers)
        draw(right, alone, label, number, _clock(results, alone))
    pairs = {"codistilled.disjoint": (6, Pair(group_workers=config.group_workers, burn_in_steps=config.burn_in_steps))}
    if config.smaller_groups:
        pairs[SMALLER] = (5, config.smaller_groups)
    for arm, (number, pair) in pairs.items():
        clock = _clock(results, arm, sync_name(pair.group_workers), pair.burn_in_steps)
        draw(right, arm, f"2 x {pair.group_workers}, disjoint data", number, clock)
    draw(middle, sync_name(config.group_workers), f"one group of {config.group_workers}", 0)
    if 2 * config.group_workers in [group.workers for group in config.sync]:
        draw(middle, sync_name(2 * config.group_workers), f"one group of {2 * config.group_workers}", 1)
    for number, (arm, label) in enumerate(CONTROLS.items(), start=2):
        draw(middle, arm, label, number)
    for ax, title in ((left, "synchronous SGD"), (middle, f"two groups of {config.group_workers}, and controls")):
        ax.set_title(title)
        ax.set_xlabel("steps")
    right.set_title("simulated clock")
    right.set_xlabel("simulated minutes")
    top = max((row["mean"] for row in data if row["step"] >= config.base.updates // 5), default=None)
    for ax in (left, middle, right):
        ax.set_ylabel("test loss, nats a token")
        if top is not None:
            ax.set_ylim(min(row["mean"] for row in data) - 0.05, top)
        legend(ax, fontsize=8.5, frameon=True, framealpha=0.85, edgecolor="none")
    tokens = config.length * config.sequences_per_worker
    caption = (
        f"Test loss of a {config.net.layers} x {config.net.hidden} LSTM with {config.net.words:,} words against steps, "
        f"{tokens} tokens a worker. Left: synchronous SGD. Middle: two codistilled groups (the first is judged) and "
        "what might explain their gain; the second phase of distillation begins where the first ends. Right: one "
        "group and two, without the controls, "
        f"over the simulated clock of {config.workload} on {config.cluster}. Bold: means of n = {config.seeds} seeds; "
        "faint: each seed. Intervals of paired differences at the end stand in the comparison. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _clock(results: Results, arm: str, alone: str | None = None, burn_in_steps: int = 0) -> Clock:
    """Simulated minutes at a step of ``arm``, whose first ``burn_in_steps`` take as long as those of ``alone``."""
    from repro.papers.anil2018._steps import elapsed_s

    step_s, burn_in_s = (
        next(iter(results.values(name, "simulated_step_s").values()), 0.0) for name in (arm, alone or arm)
    )
    return lambda step: elapsed_s(step, step_s, burn_in_s, burn_in_steps) / 60


def claims(results: Results) -> Sequence[Answer]:
    from repro.papers.anil2018._language_answers import answers_of

    return answers_of(results, Config.model_validate(results.config))
