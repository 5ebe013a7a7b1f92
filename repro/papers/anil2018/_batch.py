"""Arms, run, figure and claims of the large-batch experiments, whatever net and data they are of.

The leading underscore says that it is no experiment.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018._arms import Recipe
from repro.papers.anil2018._steps import NEVER, curve_of, steps_to, times_fewer
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

REFERENCE_BATCH = 256  # of Goyal et al.'s linear scaling rule
GOYAL_EPOCHS = 90  # of which 5 warm up, and after 30, 60 and 80 of which the rate falls to a tenth
DROPS, WARMUP = (30, 60, 80), 5
Kind = Literal["plain", "twice", "codistilled", "codistilled_decay"]
KINDS: dict[Kind, str] = {
    "plain": "one group",
    "twice": "one group, twice the batch",
    "codistilled": "two groups",
    "codistilled_decay": "two groups, weight decay falling",
}


class Mlp(Options):
    """Hidden layers of ReLUs."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)


class Conv(Options):
    """`repro.models.convnet` with these widths."""

    kind: Literal["convnet"]
    widths: tuple[PositiveInt, ...] = Field(min_length=1)


class ResNet(Options):
    """`repro.models.resnet` on pictures of ``size`` pixels; four stages of 3, 4, 6, 3 and width 64 are ResNet-50."""

    kind: Literal["resnet"]
    blocks: tuple[PositiveInt, ...] = Field((3, 4, 6, 3), min_length=1)
    width: PositiveInt = 64
    size: PositiveInt = 224


Net = Annotated[Mlp | Conv | ResNet, Field(discriminator="kind")]


class Hardware(Options):
    """How a step is computed; nothing of what is learned beyond rounding and, computed in parts, batch norm.

    ``accumulation``: equal parts of every batch, whatever its size; or ``examples_at_once``: the size of a part.
    """

    accumulation: PositiveInt = 1
    examples_at_once: PositiveInt | None = None
    precision: Literal["float32", "bf16"] = "float32"
    channels_last: bool = False
    compile: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "Hardware":
        if self.examples_at_once and self.accumulation > 1:
            raise ValueError("examples_at_once says how a batch is parted; leave accumulation out")
        return self

    def of_a_run(self, examples: int) -> dict[str, Any]:
        """As `repro.codistill.settings.Settings` takes it, for steps of so many examples.

        Raises:
            ValueError: they do not divide into parts of ``examples_at_once``.
        """
        told = self.model_dump(mode="json", exclude={"examples_at_once"})
        if self.examples_at_once:
            told["accumulation"], rest = divmod(examples, self.examples_at_once)
            if rest:
                raise ValueError(f"hardware.examples_at_once: {examples} examples a step are no multiple of it")
        return told


class Job(Options):
    """What one run needs of a machine, where it needs more than a core and an hour or two.

    With ``loaders`` every group is a process that keeps checkpoints and goes on from them, and so many processes more
    read its pictures ahead; without, one process does everything, from the beginning. ``memory_mb`` and ``minutes``
    are what the workflow asks for, of a scheduler too.
    """

    loaders: int = Field(0, ge=0)
    memory_mb: PositiveInt | None = None
    minutes: PositiveInt | None = None


class Config(Options):
    """``cases`` there are to train on, less ``held_out``; ``epochs`` and ``batch_sizes`` say how many steps a run has.

    ``base_rates`` are for 256 examples, by examples a step, and grow with these; where the linear rule holds all are
    alike. Warm-up and drops come at the shares of a run that they have in Goyal et al.'s 90 epochs.
    ``burn_in_share``: of a run's steps, 3,000 of 7,250 in the paper.
    """

    seeds: int = Field(3, ge=1)
    net: Net
    hardware: Hardware = Hardware()
    job: Job = Job()
    cases: PositiveInt
    epochs: PositiveFloat
    batch_sizes: tuple[PositiveInt, ...] = Field(min_length=1)
    base_rates: Mapping[PositiveInt, PositiveFloat]
    weight_decay: float = Field(1e-4, ge=0)
    interval_steps: PositiveInt
    burn_in_share: float = Field(0.4, ge=0, lt=1)
    evaluations: PositiveInt = 30
    kinds: tuple[Kind, ...] = ("plain", "twice", "codistilled", "codistilled_decay")
    tuned_base_rates: tuple[PositiveFloat, ...] = ()
    held_out: int = Field(0, ge=0, description="training cases on which base rates are tuned")

    @model_validator(mode="after")
    def _rates_are_there(self) -> "Config":
        asked = [*self.batch_sizes, *(2 * size for size in self.batch_sizes if "twice" in self.kinds)]
        if missing := sorted(set(asked) - set(self.base_rates)):
            raise ValueError(f"base_rates: none for {missing[0]} examples a step; add it")
        for size in asked:
            self.hardware.of_a_run(size)
        return self

    def steps(self, batch_size: int) -> int:
        """Updates of a run of one group with this batch."""
        return max(len(DROPS) + 2, round(self.epochs * self.cases / batch_size))


def arm_name(kind: Kind, batch_size: int) -> str:
    return f"{kind}.batch{batch_size}"


def tuning_name(examples: int, base_rate: float) -> str:
    return f"tuning.examples{examples}.rate{base_rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = {"net": config.net.model_dump(mode="json")}

    def settings(kind: Kind, batch_size: int, base_rate: float | None = None) -> dict[str, Any]:
        """``base_rate``: a rate that is tried, on cases held out."""
        steps = config.steps(batch_size)
        examples = 2 * batch_size if kind == "twice" else batch_size
        held_out = 0 if base_rate is None else config.held_out
        base_rate = config.base_rates[examples] if base_rate is None else base_rate
        drops = [round(steps * drop / GOYAL_EPOCHS) for drop in DROPS]
        optimizer: dict[str, Any] = {
            "kind": "sgd",
            "momentum": 0.9,
            "nesterov": True,
            "learning_rate": base_rate * examples / REFERENCE_BATCH,
            "warmup_steps": round(steps * WARMUP / GOYAL_EPOCHS),
            "milestones": drops,
            "weight_decay": config.weight_decay,
        }
        if config.weight_decay:
            optimizer["decay_norms"] = False
        if kind == "codistilled_decay":  # Sodhani et al. 2020, section 3.2
            optimizer["weight_decay_steps"] = [[drops[0], config.weight_decay / 10], [drops[1], 0.0]]
        recipe = Recipe.model_validate({"updates": steps, "batch_size": examples, "optimizer": optimizer})
        if kind.startswith("codistilled"):
            run = recipe.together(2, config.interval_steps, round(config.burn_in_share * steps))
        else:
            run = recipe.alone()
        run |= {"evaluate_updates": max(1, steps // config.evaluations)}
        as_processes = {"as_processes": True} if config.job.loaders else {}
        run |= config.hardware.of_a_run(examples)
        return {**shared, **as_processes, "held_out": held_out, "run": run}

    def arm(name: str, asked: dict[str, Any], seeds: int) -> Arm:
        groups = asked["run"]["protocol"].get("groups", 1)
        helpers = groups * (1 + config.job.loaders) - 1 if config.job.loaders else 0
        job = config.job
        return Arm(name, asked, seeds, helpers=helpers, memory_mb=job.memory_mb, minutes=job.minutes)

    listed = [
        arm(arm_name(kind, batch_size), settings(kind, batch_size), config.seeds)
        for batch_size in config.batch_sizes
        for kind in config.kinds
    ]
    return listed + [
        arm(tuning_name(examples, rate), settings("plain", examples, rate), 1)
        for examples in config.base_rates
        for rate in config.tuned_base_rates
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.anil2018._learning import curves, last, train
    from repro.papers.anil2018._real import train_by_processes
    from repro.papers.anil2018._tasks import pictures

    settings = arm.settings
    split = "validation" if settings["held_out"] else "test"
    steps = {"updates": settings["run"]["updates"]}
    if settings.get("as_processes"):
        groups = settings["run"]["protocol"].get("groups", 1)
        problem = {"name": context.data, "net": settings["net"], "held_out": settings["held_out"]}
        problem["loaders"] = (1 + arm.helpers) // groups - 1
        ended = train_by_processes(f"{pictures.__module__}:pictures", problem, settings["run"], seed, context)
        return Result({name: ended.metrics[split][name] for name in ("error_percent", "loss")} | steps, ended.curves)
    task = pictures(context.data, settings["net"], held_out=settings["held_out"], loaders=0)
    learned = train(task, settings["run"], seed, context)
    found = {name: last(learned, split, name) for name in ("error_percent", "loss")}
    return Result({**found, **steps}, curves(learned))


def figure(results: Results, config: Config) -> Drawing:
    from repro.compare import t_interval
    from repro.plots.style import COLOURS, axes, legend, plain_ticks, with_intervals

    largest = max(config.batch_sizes)
    sweep = len(config.batch_sizes) > 1
    drawn, panels = axes(2 if sweep else 1, width_in=11.0 if sweep else 7.0, height_in=4.8)
    data: list[dict[str, Any]] = []
    for number, kind in enumerate(config.kinds):
        arm = arm_name(kind, largest)
        seeds = sorted(results.values(arm, "error_percent"))
        by_step: dict[int, list[float]] = {}
        for seed in seeds:
            own = curve_of(results, arm, seed, "test", "error_percent")
            panels[0].plot(*zip(*own, strict=True), color=COLOURS[number], alpha=0.25, lw=0.8)
            for step, value in own:
                by_step.setdefault(step, []).append(value)
        if not seeds:
            continue
        found = [(step, *t_interval(values)) for step, values in sorted(by_step.items()) if len(values) == len(seeds)]
        panels[0].plot([f[0] for f in found], [f[1] for f in found], color=COLOURS[number], label=KINDS[kind])
        for step, mean, low, high in found:
            row = {"panel": "curve", "kind": kind, "batch_size": largest, "step": step}
            data.append(row | {"mean": mean, "low": low, "high": high, "n": len(seeds)})
    ends = [row["mean"] for row in data if row["step"] >= config.steps(largest) // 4]
    if ends:
        panels[0].set_ylim(0.97 * min(ends), max(ends))
    panels[0].set_xlabel("steps")
    panels[0].set_ylabel("test error, %")
    panels[0].set_title(f"batch {largest:,} a group")
    legend(panels[0])
    for number, kind in enumerate(config.kinds if sweep else ()):
        marks = []
        for batch_size in config.batch_sizes:
            values = list(results.values(arm_name(kind, batch_size), "error_percent").values())
            if values:
                marks.append((batch_size * 2 ** (0.06 * number), *t_interval(values)))
                row = {"panel": "end", "kind": kind, "batch_size": batch_size, "step": config.steps(batch_size)}
                data.append(row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)) | {"n": len(values)})
        with_intervals(panels[1], marks, number, KINDS[kind])
    if sweep:
        panels[1].set_xscale("log")
        plain_ticks(panels[1].xaxis, config.batch_sizes)
        panels[1].set_xlabel("batch of a group, examples a step")
        panels[1].set_ylabel("test error at the end, %")
    counts = sorted({row["n"] for row in data}) or [0]
    caption = (
        f"Test error of one group and of one of two codistilled groups after {config.epochs:g} epochs of one group's "
        "batches, and of one group with twice the batch for as many steps, which so sees as many examples as the two "
        "groups together. "
    )
    over = f"Bold: mean, faint: each seed; intervals: 95 % t over n = {counts[-1]} seeds. "
    caption += "One seed, at rates that were not tuned. " if counts[-1] == 1 and not config.tuned_base_rates else over
    return Drawing(drawn, data, caption + results.scope)


def fewer_steps_percent(results: Results, batch_size: int, steps: int) -> tuple[float, ...]:
    """By how many per cent fewer steps a codistilled group reaches what one group has on the mean at its end.

    One fixed error for all seeds, the mean over seeds of one group's last; -100 where it is never reached.
    """
    plain = results.values(arm_name("plain", batch_size), "error_percent")
    if not plain:
        return ()
    target = sum(plain.values()) / len(plain)
    found = []
    for seed in sorted(results.values(arm_name("codistilled", batch_size), "error_percent")):
        own = curve_of(results, arm_name("codistilled", batch_size), seed, "test", "error_percent")
        needed = steps_to(own, target)
        found.append(100 * (1 - needed / steps) if needed < NEVER else -100.0)
    return tuple(found)


def claims(results: Results, config: Config) -> Sequence[Answer]:
    answers: list[Answer] = []
    for batch_size in config.batch_sizes:
        suffix = f"batch{batch_size}" if results.data == "imagenet" else f"{results.data}.batch{batch_size}"
        steps = config.steps(batch_size)
        plain, both = arm_name("plain", batch_size), arm_name("codistilled", batch_size)
        answers += [
            Claim(
                f"CO-02.{suffix}",
                "steps of one group until its last test error, over those until one of two codistilled groups has it, "
                "same seed; 0 if never",
                times_fewer(results, both, plain, "test", "error_percent", steps),
                null=1.0,
                setting=f"batch {batch_size}",
                unit="x",
            ),
            Claim(
                f"CO-13.{suffix}",
                "fewer steps of a codistilled group to the mean last test error of one group; -100 if never",
                fewer_steps_percent(results, batch_size, steps),
                setting=f"batch {batch_size}",
                unit="%",
                departures="one target for all seeds, whose own spread the interval leaves out",
            ),
            Claim(
                f"CO-17.{suffix}",
                "test error of one of two groups minus one group of twice the batch, equal steps and examples",
                tuple(results.paired(both, arm_name("twice", batch_size), "error_percent")),
                direction="less",
                setting=f"batch {batch_size}",
                unit="points",
            ),
            Claim(
                f"SD-04.{suffix}",
                "test error of codistillation at constant weight decay minus one group's, same seed",
                tuple(results.paired(both, plain, "error_percent")),
                setting=f"batch {batch_size}",
                unit="points",
                shows_printed=True,
            ),
            Claim(
                f"SD-08.{suffix}",
                "test error of codistillation with falling weight decay minus at constant decay, same seed",
                tuple(results.paired(arm_name("codistilled_decay", batch_size), both, "error_percent")),
                direction="less",
                setting=f"batch {batch_size}",
                unit="points",
            ),
        ]
    return answers
