"""Exchange interval and staleness (section 2, Figure 4): how rarely copies may hear of each other.

The paper codistils two groups on Common Crawl and exchanges checkpoints every 50, 100 and 250 steps: 50 is best,
longer intervals lose a little. It reports that 50 steps, about 800,000 examples, of staleness do no harm at large
batch. Sodhani et al. 2020 (2010.02838) exchange every 2,500 steps and need no burn-in.

Here, on the smallest net that shows it (one hidden layer, few training cases, plain SGD): two copies that see all cases
in orders of their own, and four sweeps around one middle setting. *Interval*: 1 to 1,000 steps; snapshots arrive at
once, so that a teacher is from 0 to interval - 1 steps old. *Delay*: at the middle interval every teacher is so many
steps older still. *Burn-in*: at the middle interval. *Copies*: n = 2, 3, 4, 8, each taught by the mean of the others.
Judged is copy 0 on the test set, against a net that learns alone for as many steps of the same batches' size. The
rate is tuned for the single net and for two copies at the middle interval over one grid on training cases held out.

A second sweep of the interval has momentum, at the rate times 1 - momentum. It is there because the study was first
made with momentum 0.9, where one interval, of about as many steps as momentum remembers, stood out from all others on
either side: what an exchange does to momentum must not be taken for what staleness does.

Departures: a small net, few cases seen many times, where the paper sees none twice; a run is 3,000 steps, so an
interval is a larger share of it than in the paper. Groups of one worker: the mean gradient of many is that of one
worker with all their examples. Copies step in one process with the arithmetic of real runs.
Cost at scale ``paper``: 10 to 30 seconds of one core a run, 150 with eight copies.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from repro.compare import Answer, Claim, NotRun
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018._arms import Recipe
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "common-crawl"
TOLERATED_STEPS = 50  # of CO-21.steps


class Config(Options):
    """``interval_steps`` is the middle setting around which the sweeps go; ``cases`` are learned from."""

    seeds: int = Field(5, ge=1)
    cases: PositiveInt
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Recipe
    rates: Mapping[str, PositiveFloat]
    interval_steps: PositiveInt
    intervals: tuple[PositiveInt, ...]
    delays: tuple[PositiveInt, ...]
    burn_ins: tuple[PositiveInt, ...]
    copies: tuple[PositiveInt, ...]
    momentum: float = Field(0, ge=0, lt=1, description="of a second sweep of the interval; 0: there is none")
    held_out: PositiveInt = Field(1000, description="training cases on which rates are tuned")
    tuned_rates: tuple[PositiveFloat, ...] = ()

    @field_validator("rates")
    @classmethod
    def _both(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        if set(value) != {"single", "codistilled"}:
            raise ValueError("give single and codistilled")
        return value


def arm_name(interval: int, delay: int = 0, burn_in: int = 0, copies: int = 2) -> str:
    return f"interval{interval}.delay{delay}.burnin{burn_in}.copies{copies}"


def with_momentum(name: str) -> str:
    """The arm of the second sweep that is ``name`` with momentum."""
    return f"momentum.{name}"


def arms(config: Config) -> list[Arm]:
    middle = config.interval_steps
    shared = config.model_dump(mode="json", include={"cases", "hidden"})
    sweeps = [(interval, 0, 0, 2) for interval in config.intervals]
    sweeps += [(middle, delay, 0, 2) for delay in (0, *config.delays)]
    sweeps += [(middle, 0, burn_in, 2) for burn_in in config.burn_ins]
    sweeps += [(middle, 0, 0, copies) for copies in config.copies]
    rates = config.rates

    def codistilled(rate: float, interval: int, burn_in: int, copies: int, **changes: Any) -> dict[str, Any]:
        return config.training.together(copies, interval, burn_in, learning_rate=rate, **changes)

    def alone(rate: float, **changes: Any) -> dict[str, Any]:
        return config.training.alone(learning_rate=rate, **changes)

    listed = [Arm("single", {**shared, "run": alone(rates["single"])}, config.seeds)]
    for interval, delay, burn_in, copies in dict.fromkeys(sweeps):
        run = codistilled(rates["codistilled"], interval, burn_in, copies)
        own = {"delay_steps": delay, "fresh": True}
        listed.append(Arm(arm_name(interval, delay, burn_in, copies), {**shared, **own, "run": run}, config.seeds))
    if config.momentum:
        slower = {name: round(rate * (1 - config.momentum), 10) for name, rate in rates.items()}
        changes = {"momentum": config.momentum, "nesterov": True}
        run = alone(slower["single"], **changes)
        listed.append(Arm(with_momentum("single"), {**shared, "run": run}, config.seeds))
        for interval in config.intervals:
            run = codistilled(slower["codistilled"], interval, 0, 2, **changes)
            own = {"delay_steps": 0, "fresh": True}
            listed.append(Arm(with_momentum(arm_name(interval)), {**shared, **own, "run": run}, config.seeds))
    for rate in config.tuned_rates:
        held = {**shared, "held_out": config.held_out}
        listed.append(Arm(f"tuning.single.rate{rate:g}", {**held, "run": alone(rate)}, 2))
        run = codistilled(rate, middle, 0, 2)
        listed.append(Arm(f"tuning.codistilled.rate{rate:g}", {**held, "fresh": True, "run": run}, 2))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.anil2018._learning import curves, last, train
    from repro.papers.anil2018._tasks import images

    settings = arm.settings
    held_out = settings.get("held_out", 0)
    task = images(context.data, tuple(settings["hidden"]), cases=settings["cases"], held_out=held_out)
    delay = settings.get("delay_steps", 0) if settings.get("fresh") else None
    learned = train(task, settings["run"], seed, context, delay)
    split = "validation" if held_out else "test"
    groups = range(len(learned.weights))
    metrics = {
        "error_percent": last(learned, split, "error_percent"),
        "loss": last(learned, split, "loss"),
        "mean_loss_of_copies": sum(last(learned, split, "loss", g) for g in groups) / len(groups),
    }
    return Result(metrics, curves(learned))


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.plots.style import axes, band, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    middle = config.interval_steps
    drawn, panels = axes(2, 2, width_in=10.0, height_in=7.0)
    zero = 0.5  # where "none" stands on a logarithmic axis of steps
    sweeps: list[tuple[str, list[tuple[float, str, str]]]] = [
        ("exchange interval, steps", [(i, f"{i:,}", arm_name(i)) for i in config.intervals]),
        (
            f"further delay of teachers, steps (interval {middle})",
            [
                (max(d, zero * min(config.delays, default=1)), f"{d:,}", arm_name(middle, d))
                for d in (0, *config.delays)
            ],
        ),
        (
            f"burn-in, steps (interval {middle})",
            [
                (max(b, zero * min(config.burn_ins, default=1)), f"{b:,}", arm_name(middle, 0, b))
                for b in (0, *config.burn_ins)
            ],
        ),
        (
            f"copies (interval {middle})",
            [(n, f"{n}", arm_name(middle, copies=n)) for n in config.copies],
        ),
    ]
    data: list[dict[str, Any]] = []

    def sweep(ax: Any, name: str, points: list[tuple[float, str, str]], number: int, label: str) -> None:
        marks = []
        for x, shown, arm in points:
            values = list(results.values(arm, "loss").values())
            if values:
                marks.append((x, *t_interval(values)))
                ends = dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True))
                data.append({"sweep": name, "x": shown, "arm": arm} | ends | {"n": len(values)})
        with_intervals(ax, marks, number, label)

    def alone(ax: Any, arm: str, line: str, label: str) -> None:
        values = list(results.values(arm, "loss").values())
        if values:
            mean, low, high = t_interval(values)
            ax.axhline(mean, ls=line, color="#444444", lw=1.5, label=label)
            if low is not None and high is not None:
                band(ax, low, high)

    for number, (ax, (label, points)) in enumerate(zip(panels, sweeps, strict=True)):
        sweep(ax, label.split(",")[0], points, number, "one of the copies")
        alone(ax, "single", "--", "a net alone")
        if number == 0 and config.momentum:
            shifted = [(1.1 * x, shown, with_momentum(arm)) for x, shown, arm in points]
            sweep(ax, "exchange interval with momentum", shifted, 4, f"one of the copies, momentum {config.momentum:g}")
            alone(ax, with_momentum("single"), ":", f"a net alone, momentum {config.momentum:g}")
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, [x for x, _, _ in points])
        ax.set_xticks([x for x, _, _ in points], [shown for _, shown, _ in points])
        ax.set_xlabel(label)
        ax.set_ylabel("test loss, nats")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9.5)
    for arm in ("single", with_momentum("single")):
        if values := list(results.values(arm, "loss").values()):
            mean, low, high = t_interval(values)
            ends = {"mean": mean, "low": low, "high": high}
            data.append({"sweep": "single", "x": "", "arm": arm} | ends | {"n": len(values)})
    caption = (
        f"Test loss of one of n codistilled copies after {config.training.updates:,} steps on {config.cases:,} cases, "
        "by exchange interval, by a further delay of every snapshot, by burn-in and by number of copies; dashed with "
        "band: a net alone for as many steps. Snapshots arrive at once except where delayed. Plain SGD, but for the "
        "second sweep of the interval, if any, where momentum is named. Means with 95 % "
        f"t-intervals over n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    middle, longest = config.interval_steps, max(config.intervals)

    def less(arm: str, than: str) -> tuple[float, ...]:
        return tuple(results.paired(arm, than, "loss"))

    answers: list[Answer] = [
        Claim(
            "CO-19",
            f"test loss at an exchange interval of {longest} steps minus {middle}, same seed",
            less(arm_name(longest), arm_name(middle)),
            unit="nats",
        ),
        Claim(
            "SD-03",
            "test loss of a codistilled copy without burn-in minus a net alone, same seed",
            less(arm_name(middle), "single"),
            direction="less",
            unit="nats",
        ),
    ]
    if TOLERATED_STEPS in config.delays:
        answers.append(
            Claim(
                "CO-21.steps",
                f"test loss of a codistilled copy whose teachers are {TOLERATED_STEPS} steps late minus a net alone",
                less(arm_name(middle, TOLERATED_STEPS), "single"),
                direction="less",
                unit="nats",
            )
        )
    if len(config.copies) > 1:
        few, many = min(config.copies), max(config.copies)
        answers.append(
            Claim(
                "CO-32",
                f"test loss of one of {many} copies minus one of {few}, same seed",
                less(arm_name(middle, copies=many), arm_name(middle, copies=few)),
                direction="less",
                unit="nats",
                departures="the paper runs mostly two; that more teach more is our question",
            )
        )
    return [*answers, *_beyond_reach(config)]


def _beyond_reach(config: Config) -> list[Answer]:
    """Why staleness as large as the paper's has no answer."""
    updates, batch = config.training.updates, config.training.batch_size
    latest = max(config.delays, default=0) + config.interval_steps
    return [
        NotRun(
            "CO-20",
            "not tried: of asynchronous workers, while copies of one synchronous worker codistil here; and the printed "
            f"10,000 steps and more are longer than a whole run of {updates:,}",
        ),
        NotRun(
            "CO-21.examples",
            f"not tried: the oldest teachers here are {latest:,} steps of {batch} examples old, {latest * batch:,} "
            f"examples, and a whole run has {updates * batch:,}; the same staleness in steps is CO-21.steps",
        ),
    ]
