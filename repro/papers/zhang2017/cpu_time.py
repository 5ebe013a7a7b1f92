"""Section 4.5 and Table 8: seconds do not follow multiply-adds.

The paper times nets on one thread of a Snapdragon 820: 0.5x, 1x and 2x at g=3 and AlexNet. Each fourfold reduction of
multiply-adds made the net only about 2.6 times as fast, and the 18-fold reduction from AlexNet to 0.5x about 13 times;
g=3 is used there since 4 and 8 groups, though slightly better in accuracy, were slow.

Here: one image of 224x224 through the same nets, untrained, in CPU seconds of one thread of this processor, and through
1x at every number of groups, which cost nearly the same multiply-adds. A run is the fastest of ``passes`` after one for
warming up, since neighbours on the machine can disturb any of them; a seed is such a run with other weights, and ratios
are paired by seed.

Departures: another processor and torch's convolutions instead of the authors' own; so only the direction is judged:
actual speed-ups below the theoretical ones. Unlike everywhere else, rows are measured times and differ from run to run.
Cost: about 60 CPU-seconds at scale ``paper``.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, Model, t_interval
from repro.contrasts import over
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
ALEXNET = "alexnet"
BY_WIDTH = ((0.5, 3), (1.0, 3), (2.0, 3))
GROUPS_AT_1X = (1, 2, 4, 8)
PRINTED_SIZE = 224


class Config(Options):
    seeds: int = Field(3, ge=2)
    passes: int = Field(10, ge=1)
    size: int = Field(PRINTED_SIZE, ge=64, description="pixels on a side")


def arm_name(width: float, groups: int) -> str:
    return f"x{width:g}.g{groups}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds"})
    nets = [*BY_WIDTH, *((1.0, g) for g in GROUPS_AT_1X)]
    made = [
        Arm(arm_name(width, g), {"width": width, "groups": g, **shared}, config.seeds, seeds_per_job=config.seeds)
        for width, g in nets
    ]
    return [*made, Arm(ALEXNET, {ALEXNET: True, **shared}, config.seeds, seeds_per_job=config.seeds)]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import time

    import torch

    from repro.models.shufflenet import counts, published, shufflenet
    from repro.papers.zhang2017._alexnet import alexnet, alexnet_multiply_adds

    settings = arm.settings
    size = settings["size"]
    if arm.name == ALEXNET:
        net, multiply_adds = alexnet(1000, seed=seed), alexnet_multiply_adds(size, 1000)
    else:
        architecture = published(settings["groups"], settings["width"])
        net, multiply_adds = shufflenet(architecture, 1000, seed=seed), counts(architecture, size, 1000).multiply_adds
    device = torch.device(context.device)
    net.to(device).eval()
    image = torch.zeros(1, 3, size, size, device=device)
    times = []
    with torch.no_grad():
        for _ in range(1 + settings["passes"]):
            start = time.process_time()
            net(image).sum().item()  # a number to wait for, on devices that answer later
            times.append(time.process_time() - start)
    return Result({"cpu_ms": 1e3 * min(times[1:]), "multiply_adds": multiply_adds})


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, plain_ticks
    from repro.published import load

    printed = load()
    drawn, (left, right) = axes(2, width_in=10.5, height_in=4.4)
    data: list[dict[str, Any]] = []

    def times(arm: str) -> tuple[float, float, float | None, float | None] | None:
        values = list(results.values(arm, "cpu_ms").values())
        if not values:
            return None
        mean, low, high = t_interval(values)
        multiply_adds = next(iter(results.values(arm, "multiply_adds").values())) / 1e6
        row = {"arm": arm, "multiply_adds_M": multiply_adds, "cpu_ms": mean, "low": low, "high": high}
        data.append(row | {"n": len(values)})
        return multiply_adds, mean, low, high

    def point(ax: Any, number: int, x: float, found: tuple[float, float, float | None, float | None]) -> None:
        _, mean, low, high = found
        error = None if low is None or high is None else [[mean - low], [high - mean]]
        ax.errorbar([x], [mean], yerr=error, fmt=MARKERS[number], color=COLOURS[number], ms=8, capsize=3)

    line = []
    for width, g in BY_WIDTH:
        if found := times(arm_name(width, g)):
            point(left, 0, found[0], found)
            left.annotate(f"{width:g}x", found[:2], (9, -9), textcoords="offset points", color=COLOURS[0])
            line.append(found[:2])
    if found := times(ALEXNET):
        point(left, 1, found[0], found)
        left.annotate("AlexNet", found[:2], (4, -20), textcoords="offset points", ha="right", color=COLOURS[1])
    if line:
        left.plot(*zip(*line, strict=True), color=COLOURS[0], label="ours")
        slope = [line[-1][1] * x / line[-1][0] for x, _ in line]
        left.plot([x for x, _ in line], slope, ":", color=COLOURS[0], label="in proportion to multiply-adds")
    phone = [(38, "PS348.px224"), (140, "PS349.px224"), (524, "PS350.px224"), (720, "PS351.px224")]
    values = [printed[id].value or 0.0 for _, id in phone]
    left.plot([x for x, _ in phone[:3]], values[:3], "--x", color=PRINTED, label="printed, Snapdragon 820")
    left.plot([phone[3][0]], values[3:], "x", color=PRINTED)
    data += [{"arm": id, "multiply_adds_M": x, "printed_ms": v} for (x, id), v in zip(phone, values, strict=True)]
    left.set_xscale("log")
    left.set_yscale("log")
    plain_ticks(left.xaxis, (40, 100, 200, 500))
    plain_ticks(left.yaxis, (2, 5, 10, 20, 50, 100, 200))
    left.set_xlabel("multiply-adds, millions")
    left.set_ylabel("one image, ms")
    left.legend(loc="upper left", fontsize=9.5)
    left.set_ylim(top=900)
    order = sorted((1.0, g) for g in (*GROUPS_AT_1X, 3))
    ticks = [str(g) for _, g in order]
    for position, (width, g) in enumerate(order):
        if found := times(arm_name(width, g)):
            point(right, 2, position, found)
            ticks[position] += f"\n{found[0]:.0f} M"
    right.set_xticks(range(len(order)), ticks)
    right.set_xlim(-0.5, len(order) - 0.5)
    right.set_ylim(0, right.get_ylim()[1] * 1.15)
    right.set_xlabel("groups at width 1x, and multiply-adds")
    right.set_ylabel("one image, CPU ms")
    size = results.config["size"]
    caption = (
        f"Time of one {size}x{size} image on one thread. Left: ShuffleNet at g=3 and AlexNet against multiply-adds, "
        "and what the paper printed for 224x224. Right: ShuffleNet 1x by groups, with its multiply-adds. Marks: means "
        f"of n = {results.config['seeds']} runs, the fastest of {results.config['passes']} passes each, with 95 % "
        "t-intervals. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _speed_ups(results: Results, slow: str, fast: str) -> tuple[list[float], float | None]:
    """Actual speed-ups by seed, and the theoretical one: the ratio of multiply-adds."""
    a, b = results.values(slow, "cpu_ms"), results.values(fast, "cpu_ms")
    actual = list(over(a, b).values())
    if not actual:
        return [], None
    counted = [next(iter(results.values(arm, "multiply_adds").values())) for arm in (slow, fast)]
    return actual, counted[0] / counted[1]


def claims(results: Results) -> Sequence[Answer]:
    from repro.published import load

    printed = load()
    answers: list[Answer] = []
    steps = {"2x_to_1x": (2.0, 1.0), "1x_to_05x": (1.0, 0.5)}
    for name, (wide, narrow) in steps.items():
        actual, theoretical = _speed_ups(results, arm_name(wide, 3), arm_name(narrow, 3))
        answers.append(
            Claim(
                f"PS354.{name}",
                "actual speed-up raised to a fourfold reduction of multiply-adds, below 4",
                tuple(_per_fourfold(a, theoretical) for a in actual if theoretical),
                null=4.0,
                direction="less",
                setting=f"g=3, {wide:g}x to {narrow:g}x",
                unit="x",
                shows_printed=True,
            )
        )
    actual, theoretical = _speed_ups(results, ALEXNET, arm_name(0.5, 3))
    answers.append(
        Claim(
            "PS353.actual",
            "actual over theoretical speed-up",
            tuple(a / theoretical for a in actual if theoretical),
            null=1.0,
            direction="less",
            setting="AlexNet to 0.5x g=3",
            unit="ratio",
            published=printed["PS353.actual"].number / printed["PS353.theoretical"].number,
        )
    )
    if theoretical and results.config["size"] == PRINTED_SIZE:
        answers.append(Model("PS353.theoretical", (theoretical,), tolerance=0.1))
    return answers


def _per_fourfold(actual: float, theoretical: float) -> float:
    """The speed-up of a fourfold reduction if every equal factor brought the same: actual^(log 4 / log theoretical)."""
    from math import log

    return float(actual ** (log(4) / log(theoretical)))
