"""Section 5.5, Tables 3 and 4: specialists raise accuracy, the more of them cover a class the more.

The paper: 61 specialists of 300 classes each, trained from the generalist's weights, raise JFT's conditional accuracy
(cases of special classes, answers among them) from 43.1 to 45.9 % and overall accuracy from 25.0 to 26.1 %; the
relative gain grows with the number of specialists that cover the correct class.

Here: two counts of specialists on CIFAR-100, class sets from clusters of the covariance of the generalist's
predictions (``specialist_generalist``), half of each specialist's cases special, the dustbin's logit corrected, and eq
5 solved with n = 1. Controls that could explain a gain away: ``random``, sets drawn at random, as many and as large;
``longer``, the generalist's own top trained on all classes for as many passes, at a rate tuned like the specialists'.
``reversed`` in the table is eq 5 with KL(q, p), the paper's other direction.

Departures: 100 classes; specialists train their copy of the generalist's last residual block and head on stored maps of
its trunk, plain and mirrored, instead of the whole net; a dustbin's head is first fitted alone on the generalist's
features; batch norms keep the generalist's statistics; eq 5 is solved to
1e-8 nats instead of descended. Rates by ``specialist_tuning`` on held-out cases; epochs fixed.

Cost at scale ``paper``: 2 to 6 minutes of one core a run, 15 runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._arms import Section
from repro.papers.hinton2015._specialist_arms import GENERALIST, NOT_JFT, Specialists
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.training.settings import Training

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
MOST_COVERING = 4  # numbers of covering specialists from this on are taken together


class Config(Section):
    seeds: int = Field(3, ge=1)
    specialists: Specialists
    other_count: int = Field(ge=1, description="a second number of specialists, sets as large")
    full_soft_rate: float = Field(gt=0, description="of specialists with all outputs and soft targets")
    longer: Training = Field(description="of the generalist's top on all classes")
    tops: tuple[int, ...] = Field(
        (1, 2, 3), min_length=1, description="n of section 5.4 tried in inference; 1 is judged"
    )


def arms(config: Config) -> list[Arm]:
    chosen, needs = config.specialists, (GENERALIST,)
    asked: dict[str, Mapping[str, Any]] = {
        f"clusters{chosen.count}": chosen.settings(),
        f"clusters{config.other_count}": chosen.settings(count=config.other_count),
        f"random{chosen.count}": chosen.settings(sets="random"),
        f"full_soft{chosen.count}": chosen.settings(kind="full_soft", learning_rate=config.full_soft_rate),
    }
    listed = [
        Arm(name, {**settings, "tops": list(config.tops)}, config.seeds, needs) for name, settings in asked.items()
    ]
    return [*listed, Arm("longer", {"training": config.longer.model_dump(mode="json")}, config.seeds, needs)]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015 import _specialist_runs as runs

    return runs.longer(arm, seed, context) if arm.name == "longer" else runs.specialists(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._specialist_figures import gains

    return gains(results)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    main, random = f"clusters{config.specialists.count}", f"random{config.specialists.count}"
    answers: list[Answer] = []

    def add(name: str, quantity: str, values: Sequence[float], setting: str, unit: str = "pp", **more: Any) -> None:
        answers.append(Claim(name, quantity, tuple(values), setting=setting, unit=unit, departures=NOT_JFT, **more))

    for arm in (main, f"clusters{config.other_count}", random, f"full_soft{config.specialists.count}", "longer"):
        add(f"KD-J07.{arm}", "test accuracy minus the generalist's", gain(results, arm, "accuracy"), arm)
    for arm in (main, f"clusters{config.other_count}", random):
        add(f"KD-J06.{arm}", "conditional test accuracy minus the generalist's", gain(results, arm, "conditional"), arm)
    for rival in (random, "longer"):
        add(f"KD-J07.{main}_against_{rival}", f"test accuracy minus that of {rival}",
            results.paired(main, rival, "accuracy"), main)  # fmt: skip
    slopes = [slope for _, slope in sorted(coverage_slopes(results, main).items())]
    add("KD-J22", "slope of the relative gain against the number of covering specialists", slopes, main,
        "% a specialist")  # fmt: skip
    return answers


def gain(results: Results, arm: str, metric: str) -> list[float]:
    """``metric`` minus the generalist's of the same run, a number a seed."""
    after, before = results.values(arm, metric), results.values(arm, f"generalist_{metric}")
    return [after[seed] - before[seed] for seed in sorted(after.keys() & before.keys())]


def coverage_slopes(results: Results, arm: str) -> dict[int, float]:
    """By seed: least-squares slope of the relative gain (%) against the number of specialists that cover the correct
    class, each number weighted with its cases."""
    found: dict[int, float] = {}
    rows = [row for row in results.table("coverage") if row["arm"] == arm]
    for seed in sorted({row["seed"] for row in rows}):
        points = [
            (row["covering"], 100 * row["gained"] / row["generalist_right"], row["cases"])
            for row in rows
            if row["seed"] == seed and row["generalist_right"]
        ]
        total = sum(w for _, _, w in points)
        if len(points) > 1:
            x0, y0 = (sum(p[i] * p[2] for p in points) / total for i in (0, 1))
            found[seed] = sum(w * (x - x0) * (y - y0) for x, y, w in points) / sum(
                w * (x - x0) ** 2 for x, _, w in points
            )
    return found
