"""A control for specialists: how well they tell their own classes from all others, and what moving that is worth.

The paper gives a specialist one output for all classes that are not its own, trains it on as many special cases as
others, and adds to that output's logit what the sampling took away (section 5.2). Everything that eq 5 moves between
special classes and the rest rests on that one output.

Here: the specialists of ``specialists`` as they were left. On test cases, whether a case belongs to a specialist's
classes, is judged by the specialist and by the generalist, whose probabilities of those classes are summed: the log
loss of both, and the mean of the dustbin beside the others' true share, which says whether the correction was right.
Then the dustbin's logit is moved further, by what is best for eq 5 on held-out training cases, and the combination is
judged again: what remains of a loss of accuracy then is not the dustbin's weight.

Departures: as in ``specialists``; the paper moves the logit by the sampling's share alone. Cost at scale ``paper``:
a minute of one core a run, 9 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import GENERALIST, NOT_JFT, gain
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
KINDS = {"clusters": "dustbin", "random": "dustbin", "full_soft": "full_soft"}
NAMES = {"clusters": "by cluster", "random": "at random", "full_soft": "by cluster, all outputs, soft"}


class Config(Options):
    seeds: int = Field(3, ge=1)
    count: int = Field(ge=1, description="of specialists, as in the experiment specialists")
    shifts: tuple[float, ...] = Field(
        (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5),
        min_length=1,
        description="added to the dustbin's logit; 0 always is",
    )


def arms(config: Config) -> list[Arm]:
    return [
        Arm(
            f"{name}{config.count}",
            {"kind": kind, "count": config.count, "shifts": sorted({*config.shifts, 0.0})},
            config.seeds,
            (GENERALIST, Need(f"{name}{config.count}", experiment="specialists")),
            device="cpu",
        )
        for name, kind in KINDS.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import dustbin

    return dustbin(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Left: log loss of telling special cases from others. Right: gain over the generalist against the shift."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, legend, with_intervals

    config = Config.model_validate(results.config)
    labels = {f"{name}{config.count}": said for name, said in NAMES.items()}
    drawn, (left, right) = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    judges = (("own_log_loss", "specialist"), ("generalist_own_log_loss", "generalist"))
    for place, arm in enumerate(labels):
        for offset, (metric, judge) in zip((-0.12, 0.12), judges, strict=True):
            values = list(results.values(arm, metric).values())
            if values:
                mean, low, high = t_interval(values)
                bars = None if low is None or high is None else [[mean - low], [high - mean]]
                left.errorbar(
                    [place + offset], [mean], yerr=bars, color=COLOURS[place], marker=MARKERS[place], ms=9, capsize=4,
                    mfc=COLOURS[place] if judge == "specialist" else "white",
                )  # fmt: skip
                data.append(
                    {"panel": "log loss", "arm": arm, "judge": judge, "mean": mean, "low": low, "high": high}
                    | {"n": len(values)}
                )
    left.set_xticks(range(len(labels)), [said.replace(", ", ",\n", 1) for said in labels.values()])
    left.set_xlim(-0.5, len(labels) - 0.5)
    left.set_ylim(bottom=0)
    left.grid(axis="x", visible=False)
    left.set_ylabel("log loss of 'one of these classes', nats")
    for number, (arm, said) in enumerate(labels.items()):
        rows = [row for row in results.table("shifts") if row["arm"] == arm and row["split"] == "test"]
        marks: list[Mark] = []
        for shift in sorted({row["shift"] for row in rows}):
            values = [row["gain"] for row in rows if row["shift"] == shift]
            marks.append((shift + 0.03 * number, *t_interval(values)))
            ends = dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True))
            data.append({"panel": "shift", "arm": arm, "shift": shift} | ends | {"n": len(values)})
        with_intervals(right, marks, number, said)
        chosen = list(results.values(arm, "shift").values())
        for value in chosen:
            right.plot([value + 0.03 * number], [0.03 + 0.03 * number], marker=MARKERS[number], color=COLOURS[number],
                       ms=6, alpha=0.5, transform=right.get_xaxis_transform(), clip_on=False)  # fmt: skip
    right.axhline(0, color=PRINTED, lw=1)
    right.set_xlabel("added to the dustbin's corrected logit")
    right.set_ylabel("gain over the generalist,\npercentage points")
    legend(right, fontsize=9.5)
    seeds = sorted({row["n"] for row in data})
    text = (
        f"{config.count} specialists, their classes by cluster or at random, with one dustbin, or with all outputs and "
        "the generalist's soft targets. Left: log loss of telling on test cases whether a case is of their classes, "
        "by specialists (full marks) and by the generalist (hollow). Right: gain in test accuracy by eq 5 when the "
        "dustbin's corrected logit is moved further; marks at the foot: the best on held-out training cases, a "
        f"generalist each. 95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for name, said in NAMES.items():
        arm = f"{name}{config.count}"
        own, theirs = results.values(arm, "own_log_loss"), results.values(arm, "generalist_own_log_loss")
        answers += [
            Claim(
                f"KD-J07.{arm}_dustbin",
                "log loss of telling a specialist's classes from all others, specialist minus generalist",
                tuple(own[seed] - theirs[seed] for seed in sorted(own)),
                direction="less",
                setting=said,
                unit="nats",
                departures=NOT_JFT,
            ),
            Claim(
                f"KD-J07.{arm}_moved",
                "test accuracy minus the generalist's, the dustbin's logit moved by what is best on held-out cases",
                tuple(gain(results, arm, "accuracy")),
                setting=said,
                unit="points",
                departures=NOT_JFT,
            ),
        ]
    return answers
