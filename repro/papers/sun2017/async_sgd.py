"""Section 4: asynchronous SGD of 50 workers on parameter servers, on the simulator's clock and with real gradients.

The paper trains ResNet-101 on 300 million images in asynchronous SGD on 50 K80 GPUs with 17 parameter servers, four
epochs in about two months (all of this recollected: shown, never judged). It says nothing of what staleness costs.

Here, in two parts:
- ``clock.*``: the simulator prices a step of the paper's net, its last layer as wide as the printed categories, and
  plays asynchronous SGD, synchronous SGD over the same servers and one worker alone; examples a second and the
  distribution of staleness come from the schedule, and with the printed images and epochs they make months. The paper
  does not name its network, which decides: every node's link, the servers' included, is a setting (``networks``), and
  so is the images' side.
- the rest: the replay computes the gradients of these schedules on real cases for a small net, with plain SGD and with
  RMSProp with momentum (the paper's rule), at equal batches and equally many examples for all. Asynchronous against one
  worker differs in staleness alone: as many updates, of batches of one size. Synchronous against one worker differs in
  the size of the batch. Each way is run at every rate of its rule's grid, and the one of the lowest held-out loss at
  the end, over seeds, speaks for it; test errors choose nothing.

Departures: the clock is that of a large net, the learning that of a small one on small images. K80 stands for one of
the board's two GPUs, at the share of its peak that the shelf's cluster attains; the shelf's net is for images of 224
pixels, and multiply-adds are scaled to other sides. The servers hold equal shares of all weights, where the paper cuts
its last layer into pieces of its own. No decay of the rate, and the means of RMSProp run over ten updates.
Cost at scale ``paper``: a tenth of a CPU-second for a run of the clock; of the replay about 15 for one worker, whose
updates cannot be computed together, and 3 for fifty.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.compare import Answer, Claim, Model, t_interval
from repro.experiment import Arm, Context, Result
from repro.papers.sun2017._ways import WAYS
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "jft-300m"
# Settings of all arms that are the paper's own, by printed row.
PRINTED = {
    "workers": "PS307.gpus", "servers": "PS307.servers", "batch_size": "PS308.batch", "categories": "PS296"
}  # fmt: skip
MONTH_S = 365.25 / 12 * 86_400
Rule = Literal["sgd", "rmsprop"]
NAMES = {"async": "asynchronous", "sync": "synchronous", "one": "one worker"}
RULES: dict[Rule, str] = {"sgd": "SGD", "rmsprop": "RMSProp with momentum"}


class Network(Options):
    """``bytes_per_s``: of every node's link, in one direction."""

    name: str
    bytes_per_s: PositiveFloat


class Config(Options):
    """``gradients`` are computed in every replay, each on a batch; ``steps`` of each worker are played on the clock.

    The replay follows the clock of the first side, on every network where workers do not wait for each other.
    """

    seeds: int = Field(3, ge=2)
    networks: tuple[Network, ...] = Field(min_length=1)
    sides_pixels: tuple[PositiveInt, ...] = Field(min_length=1)
    straggler_extra_fraction: float = Field(0.1, gt=0, description="mean exponential extra, of a compute time")
    steps: int = Field(400, ge=10)
    gradients: PositiveInt
    points: int = Field(20, ge=2, description="looks at the held-out loss on the way")
    hidden: tuple[PositiveInt, ...] = (32,)
    held_out: PositiveInt
    rates: dict[Rule, tuple[PositiveFloat, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole_rounds(self) -> Self:
        workers = _printed()["workers"]
        if self.gradients % (workers * self.points):
            raise ValueError(
                f"gradients: {self.gradients} must be a multiple of {workers} workers times {self.points} points, so "
                "that all ways are judged after equally many examples"
            )
        return self


def _printed() -> dict[str, int]:
    rows = load_published()
    return {name: round(rows[id].value or 0) for name, id in PRINTED.items()}


def clock_name(way: str, network: str, side_pixels: int) -> str:
    return f"clock.{way}.{network}.{side_pixels}px"


def arm_name(way: str, network: str, rule: str, rate: float) -> str:
    return f"{way}.{network}.{rule}.rate{rate:g}"


def learnt(config: Config) -> list[tuple[str, str]]:
    """Ways and networks that are replayed: without waiting, the network changes no more than the clock."""
    return [*(("async", network.name) for network in config.networks)] + [
        (way, config.networks[0].name) for way in ("sync", "one")
    ]


def arms(config: Config) -> list[Arm]:
    shared = _printed() | {"straggler_extra_fraction": config.straggler_extra_fraction}
    bytes_per_s = {network.name: network.bytes_per_s for network in config.networks}

    def clocked(way: str, network: str, side_pixels: int) -> dict[str, Any]:
        return shared | {"way": way, "bytes_per_s": bytes_per_s[network], "side_pixels": side_pixels}

    listed = [
        Arm(
            clock_name(way, network, side),
            clocked(way, network, side) | {"steps": config.steps},
            config.seeds,
            seeds_per_job=config.seeds,
        )
        for way in WAYS
        for network in bytes_per_s
        for side in config.sides_pixels
    ]
    learning = config.model_dump(mode="json", include={"gradients", "points", "hidden", "held_out"})
    for way, network in learnt(config):
        for rule, rates in config.rates.items():
            for rate in rates:
                settings = clocked(way, network, config.sides_pixels[0]) | learning | {"rule": rule, "rate": rate}
                listed.append(Arm(arm_name(way, network, rule, rate), settings, config.seeds, seeds_per_job=10))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.sun2017 import _schedules as schedules

    return (schedules.learn if "rule" in arm.settings else schedules.clock)(arm.settings, seed, context)


def chosen_rate(results: Results, config: Config, way: str, network: str, rule: Rule) -> float | None:
    """The rate of the lowest held-out loss, mean over seeds; None before all rates have run."""
    means = {}
    for rate in config.rates[rule]:
        found = results.values(arm_name(way, network, rule, rate), "held_out_loss")
        if len(found) < config.seeds:
            return None
        means[rate] = sum(found.values()) / len(found)
    return min(means, key=lambda rate: (means[rate], rate))


def months(results: Results, way: str, network: str, side_pixels: int) -> list[float]:
    """Months of the printed images and epochs at a clock's pace, one a seed."""
    printed = load_published()
    examples = 1e6 * (printed["PS295.images"].value or 0.0) * (printed["PS308.epochs"].value or 0.0)
    pace = results.values(clock_name(way, network, side_pixels), "examples_per_s")
    return [examples / value / MONTH_S for value in pace.values()]


def figure(results: Results) -> Drawing:
    """Staleness by network; months of the paper's run by network and side; held-out loss over examples by rule."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from repro.plots.style import axes, legend, plain_ticks

    config = Config.model_validate(results.config)
    rules = [rule for rule in RULES if rule in config.rates]
    drawn, (staleness, months_ax, *losses) = axes(2, 2, width_in=11.0, height_in=8.6)
    data: list[dict[str, Any]] = []
    for line, network in enumerate(config.networks):
        data += _staleness(staleness, results, config, network.name, line)
    staleness.set_xlabel("staleness, updates")
    staleness.set_ylabel("updates, %")
    legend(staleness, title="links")
    data += _months(months_ax, results, config)
    told = []
    for ax, rule in zip(losses, rules, strict=False):
        for line, (way, name) in enumerate(learnt(config)):
            rate = chosen_rate(results, config, way, name, rule)
            if rate is None:
                continue
            arm = arm_name(way, name, rule, rate)
            label = f"{NAMES[way]}, {name}" if way == "async" and len(config.networks) > 1 else NAMES[way]
            marks = _loss_curves(ax, results, arm, line, f"{label} (rate {rate:g})")
            data += [{"panel": "loss", "rule": rule, "way": way, "network": name, "rate": rate} | m for m in marks]
            cases = results.where(rule=rule)[0]["test_cases"]
            wrong = t_interval([100 * v / cases for v in results.values(arm, "test_errors").values()])[0]
            told.append(f"{RULES[rule]}, {label}, {wrong:.1f} %{_at_an_end(config, rule, rate)}")
        ax.set_yscale("log")
        plain_ticks(ax.yaxis, (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10))
        ax.set_title(RULES[rule])
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel("examples")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.set_ylabel("held-out loss")
        legend(ax, fontsize=9.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    for ax in losses[len(rules) :]:
        ax.set_visible(False)
    shown, seeds = results.rows[0], number_of(row["n"] for row in data if "n" in row)
    caption = (
        f"{shown['settings.workers']} workers on {shown['settings.servers']} parameter servers. Top left: staleness of "
        "the asynchronous schedule by the speed of all links. Top right: the printed images and epochs at the "
        "simulated pace; dashed: printed, recollected. Bottom: real gradients of those schedules on a small net, each "
        f"way at its best rate on held-out cases; bold: means of {seeds} seeds, faint: each seed. Test errors at the "
        f"end: {'; '.join(told)}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _at_an_end(config: Config, rule: Rule, rate: float) -> str:
    rates = config.rates[rule]
    return " (rate at an end of its grid)" if len(rates) > 2 and rate in (min(rates), max(rates)) else ""


def _loss_curves(ax: "Axes", results: Results, arm: str, line: int, label: str) -> list[dict[str, Any]]:
    from repro.papers.sun2017._figures import row_of
    from repro.plots.style import COLOURS, MARKERS

    points: dict[int, dict[int, float]] = {}
    for row in results.curves:
        if row["arm"] == arm and row["step"]:
            points.setdefault(row["step"], {})[row["seed"]] = row["value"]
    colour, marker = COLOURS[line % len(COLOURS)], MARKERS[line % len(MARKERS)]
    for seed in sorted({seed for found in points.values() for seed in found}):
        own = [(examples, found[seed]) for examples, found in sorted(points.items()) if seed in found]
        ax.plot(*zip(*own, strict=True), lw=0.9, alpha=0.4, color=colour)
    marks = [(examples, *t_interval(list(found.values()))) for examples, found in sorted(points.items())]
    ax.plot([m[0] for m in marks], [m[1] for m in marks], color=colour, marker=marker, ms=5, label=label)
    return [row_of(mark, len(points[mark[0]])) for mark in marks]


def _staleness(ax: "Axes", results: Results, config: Config, network: str, line: int) -> list[dict[str, Any]]:
    from repro.plots.style import COLOURS

    arm = clock_name("async", network, config.sides_pixels[0])
    counts: dict[int, int] = {}
    for row in results.table("staleness"):
        if row["arm"] == arm:
            counts[row["staleness"]] = counts.get(row["staleness"], 0) + row["updates"]
    if not counts:
        return []
    total, values = sum(counts.values()), range(min(counts), max(counts) + 1)
    shares = [100 * counts.get(value, 0) / total for value in values]
    ax.stairs(shares, [v - 0.5 for v in (*values, values[-1] + 1)], color=COLOURS[line], lw=1.8, label=network)
    return [
        {"panel": "staleness", "network": network, "staleness": value, "percent": share}
        for value, share in zip(values, shares, strict=True)
    ]


def _months(ax: "Axes", results: Results, config: Config) -> list[dict[str, Any]]:
    from repro.plots.style import COLOURS, MARKERS, PRINTED, legend, plain_ticks

    data: list[dict[str, Any]] = []
    labels = []
    lines = {way: line for line, (way, _) in reversed(list(enumerate(learnt(config))))}  # as in the panels below
    for position, (network, side) in enumerate((n, s) for n in config.networks for s in config.sides_pixels):
        labels.append(f"{network.name}, {network.bytes_per_s / 1e6:,.0f} MB/s\n{side} pixels")
        for way, name in NAMES.items():
            found = months(results, way, network.name, side)
            if found:
                mean, line = t_interval(found)[0], lines[way]
                label = None if position else name
                ax.plot([mean], [position], MARKERS[line], color=COLOURS[line], ms=8, label=label)
                data.append({"panel": "months", "network": network.name, "side_pixels": side, "way": way})
                data[-1] |= {"mean": mean, "n": len(found)}
    printed = load_published()["PS308.months"].value or 0.0
    ax.axvline(printed, ls="--", color=PRINTED, lw=1.4, label="printed")
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel("months")
    legend(ax, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return data


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = [
        Model(
            f"PS308.months.async.{network.name}.{side}px",
            tuple(months(results, "async", network.name, side)),
            setting=f"links of {network.bytes_per_s / 1e6:,.0f} MB/s, images of {side} pixels",
            departures="K80: one of the board's two GPUs; the network is not printed",
        )
        for network in config.networks
        for side in config.sides_pixels
    ]
    network = config.networks[0].name
    for rule in config.rates:
        errors = {way: _test_errors(results, config, way, network, rule) for way in WAYS}
        for way, against in (("async", "one"), ("sync", "one"), ("async", "sync")):
            both = sorted(errors[way].keys() & errors[against].keys())
            answers.append(
                Claim(
                    f"PS307.gpus.{rule}.{way}_{against}",
                    f"test errors of {way} minus {against}, same seed, equal examples",
                    tuple(errors[way][s] - errors[against][s] for s in both),
                    setting=f"{rule}, each at its own rate",
                    unit="errors",
                )
            )
    return answers


def _test_errors(results: Results, config: Config, way: str, network: str, rule: Rule) -> Mapping[int, float]:
    rate = chosen_rate(results, config, way, network, rule)
    return {} if rate is None else results.values(arm_name(way, network, rule, rate), "test_errors")
