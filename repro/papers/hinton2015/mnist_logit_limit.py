"""Section 2.1: at high temperature, distillation becomes the matching of logits.

The paper: the gradient of the soft cross-entropy is (q_i - p_i)/T (eq 2), which for T large against the logits and
logits zero-meaned per case approaches (z_i - v_i)/(N T^2) (eq 4). Here both are checked twice. Exactly: for a
student in training and a teacher on real cases, the distance of T^2 times eq 2 (by autograd of the very objective
the students are trained with) from eq 4, relative to eq 4, over T; it must fall as 1/T. In training: students at
growing T against a student of the same seed trained by logit regression, as the root mean square difference of
their zero-meaned test logits, beside that of two logit-regression students of different seeds.

Departures: the paper prints no numbers for this; widths and rates are ours. Cost at scale ``paper``: 20 seconds
of one core a run.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat

from repro.compare import Answer, Claim, t_interval
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Net
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Config(Options):
    seeds: int = Field(3, ge=1)
    net: Net
    temperatures: tuple[PositiveFloat, ...] = Field(min_length=3, description="growing; of the trained students")
    gradient_temperatures: tuple[PositiveFloat, ...] = Field(min_length=3, description="growing; of the exact check")
    gradient_cases: int = Field(1000, gt=0)


def arms(config: Config) -> list[Arm]:
    needs = (Need("teacher", experiment="mnist_students"),)
    settings = config.net.settings()
    exact = {"temperatures": list(config.gradient_temperatures), "cases": config.gradient_cases}
    regression = settings | {"temperature": None}
    listed = [
        Arm("logits", regression, config.seeds + 1, needs),
        Arm("gradients", settings | exact, config.seeds, (*needs, Need("logits"))),
    ]
    for t in config.temperatures:
        arm = Arm(f"t{t:g}", settings | {"temperature": t}, config.seeds, (*needs, Need("logits")))
        listed.append(arm)
    other = (Need("logits"), *(Need("logits", seed=s) for s in range(config.seeds + 1)))
    listed.append(Arm("other_seed", settings | {"temperature": None}, config.seeds, other))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015 import _limit

    if arm.name == "gradients":
        return _limit.gradients(arm, seed, context)
    if arm.name == "other_seed":
        return _limit.distance_of_seeds(seed, context)
    return _limit.student(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Left: distance of the two gradients over T. Right: distance of trained students from logit regression."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import PRINTED, axes, legend, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=8.6, height_in=3.8)
    data: list[dict[str, Any]] = []
    table = results.table("gradients")
    points = marks(
        {
            t: [row["relative_distance"] for row in table if row["temperature"] == t]
            for t in config.gradient_temperatures
        }
    )
    for t, mean, low, high in points:
        data.append({"panel": "gradients", "temperature": t, "mean": mean, "low": low, "high": high})
    n = len(results.values("gradients", "slope"))
    if points:
        with_intervals(left, points, 0, "measured")
        last, at_last = points[-1][:2]
        x = [mark[0] for mark in points]
        left.plot(x, [at_last * last / t for t in x], "--", color=PRINTED, lw=1.3, label="1/T")
    left.set_xscale("log")
    left.set_yscale("log")
    plain_ticks(left.xaxis, [t for t in config.gradient_temperatures if t in (1, 10, 100, 1000)])
    left.set_xlabel("temperature T")
    left.set_ylabel("|T² eq 2 − eq 4| / |eq 4|")
    legend(left)
    points = marks({t: list(results.values(f"t{t:g}", "distance").values()) for t in config.temperatures})
    for t, mean, low, high in points:
        data.append({"panel": "students", "temperature": t, "mean": mean, "low": low, "high": high})
    if points:
        with_intervals(right, points, 1, "student at T")
    if others := list(results.values("other_seed", "distance").values()):
        mean, low, high = t_interval(others)
        right.axhline(mean, ls="--", color=PRINTED, lw=1.5, label="another seed")
        data.append({"panel": "students", "temperature": None, "mean": mean, "low": low, "high": high})
    right.set_xscale("log")
    plain_ticks(right.xaxis, config.temperatures)
    right.set_ylim(bottom=0)
    right.set_xlabel("temperature T")
    right.set_ylabel("rms distance of test logits")
    legend(right)
    caption = (
        "Left: relative distance of the soft cross-entropy's gradient, times T², from that of logit matching, on real "
        "logits in float64. Right: root mean square distance of a student's zero-meaned test logits from those of a "
        "student of the same seed trained by logit regression; dashed: two logit-regression students of different "
        f"seeds. 95 % t-intervals over n = {n} seeds. The paper derives the limit and prints no numbers. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    slopes = tuple(results.values("gradients", "slope").values())
    low, high = config.temperatures[0], config.temperatures[-1]
    nearer = tuple(results.paired(f"t{high:g}", f"t{low:g}", "distance"))
    return [
        Claim(
            "KD-E01.eq2",
            "largest relative difference between eq 2 and the objective's gradient by autograd",
            tuple(results.values("gradients", "eq2_error").values()),
            null=1e-5,
            direction="less",
            unit="ratio",
        ),
        Claim(
            "KD-E01.eq4",
            "slope of log distance between T^2 eq 2 and eq 4 against log T (-1 is 1/T), top half of T",
            slopes,
            null=-0.9,
            direction="less",
            unit="",
        ),
        Claim(
            "KD-E01.training",
            f"distance of the student's test logits from logit regression, T={high:g} minus T={low:g}",
            nearer,
            direction="less",
            unit="logits",
        ),
    ]
