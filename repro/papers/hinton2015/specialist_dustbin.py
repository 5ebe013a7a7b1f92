"""A control for specialists: how well they tell their own classes from all others, and what moving that is worth.

The paper gives a specialist one output for all classes that are not its own, trains it on as many special cases as
others, and adds to that output's logit what the sampling took away (section 5.2). Everything that eq 5 moves between
special classes and the rest rests on that one output.

Here: the specialists of ``specialists`` as they were left. On test cases, whether a case belongs to a specialist's
classes, is judged by the specialist and by the generalist, whose probabilities of those classes are summed: the log
loss of both, and the mean of the dustbin beside the others' true share, which says whether the correction was right.
Then the dustbin's logit is moved further, by what is best for eq 5 on held-out training cases, and the combination is
judged again: what remains of a loss of accuracy then is not the dustbin's weight. Last, specialists defer: their
classes together get what the generalist gives them, so that a specialist says which of its classes a case is and
nothing of whether it is one of them. Nothing is chosen for that; what eq 5 then gains, and by how many covering
specialists (Table 4's law), rests on what specialists know of their own classes. It is held against what the
generalist's own top gains by as many cases (``longer`` of ``specialists``).

Departures: as in ``specialists``; the paper moves the logit by the sampling's share alone, and its specialists do not
defer: that was added when the law had failed without it, and its verdicts are no reproduction. Cost at scale
``paper``: a minute of one core a run, 9 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import minus
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import FROM_MOST_ON, GENERALIST, NOT_JFT, coverage_slopes, gain
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
DEFERRING = f"{NOT_JFT}; specialists defer to the generalist on whether a case is of their classes, the paper's do not"
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
            (GENERALIST, *(Need(arm, experiment="specialists") for arm in (f"{name}{config.count}", "longer"))),
            device="cpu",
        )
        for name, kind in KINDS.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import dustbin

    return dustbin(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Log loss of telling special cases from others; gain against the shift; Table 4 of specialists that defer."""
    from repro.papers.hinton2015._figures import caption_of, gain_by_coverage
    from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, with_intervals

    config = Config.model_validate(results.config)
    labels = {f"{name}{config.count}": said for name, said in NAMES.items()}
    drawn, (left, middle, right) = axes(3, width_in=14.0, height_in=4.8)
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
    shifts = sorted({*config.shifts, 0.0})
    span = shifts[-1] - shifts[0]
    alone = shifts[0] - 0.2 * span  # where specialists that defer stand
    for number, (arm, said) in enumerate(labels.items()):
        rows = [row for row in results.table("shifts") if row["arm"] == arm and row["split"] == "test"]
        marks: list[Mark] = []
        for shift in sorted({row["shift"] for row in rows}):
            values = [row["gain"] for row in rows if row["shift"] == shift]
            marks.append((shift + 0.004 * span * number, *t_interval(values)))
            ends = dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True))
            data.append({"panel": "shift", "arm": arm, "shift": shift} | ends | {"n": len(values)})
        with_intervals(middle, marks, number, said)
        if values := _deferring(results, arm):
            mean, low, high = t_interval(values)
            with_intervals(middle, [(alone + 0.012 * span * number, mean, low, high)], number, None)
            ends = {"mean": mean, "low": low, "high": high}
            data.append({"panel": "deferring", "arm": arm} | ends | {"n": len(values)})
        chosen = list(results.values(arm, "shift").values())
        for value in chosen:
            middle.plot(
                [value + 0.004 * span * number], [0.03 + 0.03 * number], marker=MARKERS[number], color=COLOURS[number],
                ms=6, alpha=0.5, transform=middle.get_xaxis_transform(), clip_on=False,
            )  # fmt: skip
    middle.axhline(0, color=PRINTED, lw=1)
    middle.axvline((alone + shifts[0]) / 2, color=PRINTED, lw=0.8)
    ticks = [shift for shift in shifts if shift == int(shift)]
    middle.set_xticks([alone, *ticks], ["defer", *(f"{shift:g}".replace("-", "−") for shift in ticks)])
    middle.set_xlabel("added to the dustbin's corrected logit")
    middle.set_ylabel("gain over the generalist,\npercentage points")
    covered = gain_by_coverage(right, results, labels)
    drawn.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    right.set_title("specialists that defer")
    data += [{"panel": "coverage"} | row for row in covered]
    seeds = sorted({row["n"] for row in data})
    text = (
        f"{config.count} specialists, their classes by cluster or at random, with one dustbin, or with all outputs and "
        "the generalist's soft targets. Left: log loss of telling on test cases whether a case is of their classes, "
        "by specialists (full marks) and by the generalist (hollow). Middle: gain in test accuracy by eq 5 when the "
        "dustbin's corrected logit is moved further (marks at the foot: the best on held-out training cases, a "
        "generalist each), and when specialists defer: their classes together have what the generalist gives them. "
        "Right: Table 4 of specialists that defer, the relative change of cases right by the number that cover the "
        "correct class; numbers at the foot are test cases by cluster. "
        f"95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []

    def add(name: str, quantity: str, values: Sequence[float], setting: str, unit: str = "points", **more: Any) -> None:
        departures = DEFERRING if name.endswith("_deferring") else NOT_JFT
        answers.append(Claim(name, quantity, tuple(values), setting=setting, unit=unit, departures=departures, **more))

    slopes = {name: coverage_slopes(results, f"{name}{config.count}") for name in NAMES}
    slope, per = "slope of the relative gain against the number of covering specialists", "% a specialist"
    for name, said in NAMES.items():
        arm, covered = f"{name}{config.count}", f"{said}; {FROM_MOST_ON}"
        own, theirs = results.values(arm, "own_log_loss"), results.values(arm, "generalist_own_log_loss")
        add(f"KD-J07.{arm}_dustbin", "log loss of telling a specialist's classes from all others, specialist minus "
            "generalist", tuple(minus(own, theirs).values()), said, "nats", direction="less")  # fmt: skip
        add(f"KD-J07.{arm}_moved", "test accuracy minus the generalist's, the dustbin's logit moved by what is best on "
            "held-out cases", gain(results, arm, "accuracy"), said)  # fmt: skip
        add(f"KD-J07.{arm}_deferring", "test accuracy minus the generalist's", _deferring(results, arm), said)
        deferring, longer = (results.values(arm, metric) for metric in ("accuracy_deferring", "longer_accuracy"))
        add(f"KD-J07.{arm}_against_longer_deferring", "test accuracy minus that of the generalist's top trained on for "
            "as many cases", tuple(minus(deferring, longer).values()), said)  # fmt: skip
        add(f"KD-J27.{arm}_deferring", slope, tuple(slopes[name].values()), covered, per)
    add("KD-J27.against_random_deferring", f"{slope}, minus that of class sets at random, same seed",
        tuple(minus(slopes["clusters"], slopes["random"]).values()), f"by cluster; {FROM_MOST_ON}", per)  # fmt: skip
    return answers


def _deferring(results: Results, arm: str) -> list[float]:
    """What specialists that defer gain over the generalist, a number a seed."""
    after, before = results.values(arm, "accuracy_deferring"), results.values(arm, "generalist_accuracy")
    return list(minus(after, before).values())
