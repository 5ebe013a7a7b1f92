"""Section 6.1: soft targets from the generalist against the specialists' over-fitting and forgetting.

The paper only proposes it: a specialist with a softmax over all classes, begun at the generalist's weights, may retain
nearly all of its knowledge of the non-special classes if it is trained with the generalist's soft targets for these
beside its labels, where a dustbin or labels alone over-fit the few special classes.

Here: the first specialists of each generalist, at a constant rate and for more passes than in ``specialists``, in three
kinds: ``dustbin`` (section 5), ``full`` (all outputs, labels), ``full_soft`` (all outputs, labels, and among the
non-special classes the generalist's soft targets). Between passes: conditional accuracy among the special classes on
the cases they learned from and on test cases; for the full kinds also accuracy among the non-special classes on test
cases.

Over-fitting is learning one's own cases at the cost of others: that labels alone, with a dustbin or with all outputs,
cost test cases there is the premise, a claim of its own for each. At the rate that is best for a kind nothing may be
left to mend: the kinds with all outputs are trained at the dustbin's too, both alike (``same_rate``), which is higher.

Departures: as in ``specialists``. The rates are those of ``specialist_tuning``, chosen there for fewer passes at which
they fall to nothing.
Cost at scale ``paper``: about 2 minutes of one core a run, 15 runs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import BySeed, minus
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.papers.hinton2015._specialist_arms import GENERALIST, NOT_JFT, NumberTrained, Specialists
from repro.plots.drawing import Drawing, number_of
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from repro.plots.style import Mark

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
KINDS = ("dustbin", "full", "full_soft")
SAME_RATE = {kind: f"{kind}.same_rate" for kind in KINDS[1:]}  # arms at the dustbin's rate
WIDE = 2.0  # times as high as without them: a panel at whose end the intervals of a dustbin are cut


class Config(Options):
    seeds: int = Field(3, ge=1)
    specialists: Specialists
    trained: NumberTrained
    full_rate: float = Field(gt=0, description="of specialists with all outputs, on labels")
    full_soft_rate: float = Field(gt=0, description="of those with soft targets beside the labels")


def arms(config: Config) -> list[Arm]:
    rate = config.specialists.training.learning_rate
    trained = {"dustbin": ("dustbin", rate), "full": ("full", config.full_rate)}
    trained["full_soft"] = ("full_soft", config.full_soft_rate)
    trained |= {name: (kind, rate) for kind, name in SAME_RATE.items()}
    return [
        Arm(
            name,
            config.specialists.settings(kind=kind, learning_rate=rate) | {"trained": config.trained},
            config.seeds,
            (GENERALIST,),
            device="cpu",
        )
        for name, (kind, rate) in trained.items()
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_runs import overfitting

    return overfitting(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Conditional accuracy on train and test cases, and accuracy among other classes, against passes."""
    from repro.papers.hinton2015._figures import SPECIALIST_KINDS, caption_of
    from repro.plots.style import PRINTED, Mark, axes, with_intervals

    config = Config.model_validate(results.config)
    training = config.specialists.training
    drawn, panels = axes(3, width_in=12.0, height_in=4.0)
    shown = (
        ("train", "conditional", "special classes, training cases"),
        ("test", "conditional", "special classes, test cases"),
        ("test", "others", "other classes, test cases"),
    )
    data: list[dict[str, Any]] = []
    run_out = []
    lines = [(kind, number, said, "-") for number, (kind, said) in enumerate(SPECIALIST_KINDS.items())]
    lines += [(SAME_RATE[kind], n, f"{said}, dustbin's rate", "--") for kind, n, said, _ in lines if kind in SAME_RATE]
    for ax, place, (split, metric, title) in zip(panels, ("left", "middle", "right"), shown, strict=True):
        by_arm: dict[str, list[Mark]] = {}
        for place_beside, (arm, number, label, line) in enumerate(lines, start=-2):
            rows = [r for r in results.curves if (r["arm"], r["split"], r["metric"]) == (arm, split, metric)]
            marks: list[Mark] = []
            before = {row["seed"]: row["value"] for row in rows if row["epoch"] == 0}
            for epoch in sorted({row["epoch"] for row in rows}):
                values = [row["value"] - before[row["seed"]] for row in rows if row["epoch"] == epoch]
                marks.append((epoch, *t_interval(values)))
                row = {"arm": arm, "split": split, "metric": metric, "passes": epoch}
                data.append(row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)) | {"n": len(values)})
            if marks:  # side by side, that their intervals can be told apart
                beside = 0.016 * training.epochs * place_beside
                by_arm[arm] = [(epoch + beside, mean, low, high) for epoch, mean, low, high in marks]
                with_intervals(ax, by_arm[arm], number, label, line=line)
        ax.set_title(title)
        ax.set_xticks(sorted({row["passes"] for row in data}))
        ax.set_xlabel("passes over the special cases")
        ax.axhline(0, color=PRINTED, lw=1)
        if ends := _cut_if_wide(ax, by_arm):
            run_out.append(f"{ends[0]:.1f} and {ends[1]:.1f} ({place})".replace("-", "−"))
    panels[0].set_ylabel("change from the generalist,\npercentage points")
    named = {label: handle for ax in panels for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    drawn.legend(named.values(), named.keys(), loc="outside lower center", ncols=3)
    text = (
        f"Specialists trained for {training.epochs} passes at a {training.schedule} rate: a dustbin for all other "
        f"classes ({training.learning_rate:g}), outputs for all classes on labels ({config.full_rate:g}), and the same "
        f"with the generalist's soft targets among the other classes ({config.full_soft_rate:g}; section 6.1, where it "
        "is proposed and not run); dashed: these two at the dustbin's rate. Change of the share of cases right, with "
        "answers among the special classes (left, middle) or among the others (right); marks of one pass stand side by "
        "side. 95 % t-intervals "
        f"over {number_of(row['n'] for row in data)} generalists"
    )
    if run_out:
        text += f"; those of the dustbin run out of the panel (arrows), at most to {', '.join(run_out)}"
    return Drawing(drawn, data, caption_of(results, f"{text}. "))


def _cut_if_wide(ax: "Axes", by_arm: Mapping[str, Sequence["Mark"]]) -> tuple[float, float] | None:
    """Ends the axis around all means and the other arms' intervals, if a dustbin's would hide these; arrows stand
    where one of its intervals goes on.

    Returns the least and the greatest end of the dustbin's intervals then.
    """
    from repro.plots.style import COLOURS

    dustbin = by_arm.get("dustbin", ())
    cut = [end for mark in dustbin for end in mark[2:] if end is not None]
    kept = [mark[1] for mark in dustbin]
    for arm in by_arm.keys() - {"dustbin"}:
        kept += [value for mark in by_arm[arm] for value in mark[1:] if value is not None]
    if not cut or len(by_arm) == 1:
        return None
    least, most = min(kept), max(kept)
    if max(most, *cut) - min(least, *cut) < WIDE * (most - least):
        return None
    room = 0.06 * (most - least)
    ax.set_ylim(least - room, most + room)
    for x, _, low, high in dustbin:
        for end, arrow, beyond in (
            (0, "v", low is not None and low < least - room),
            (1, "^", high is not None and high > most + room),
        ):
            if beyond:
                ax.plot([x], [end], arrow, transform=ax.get_xaxis_transform(), color=COLOURS[0], ms=5, clip_on=False)
    return min(cut), max(cut)


def gained(results: Results, kind: str) -> BySeed:
    """Conditional test accuracy after the last pass minus that before the first, in points."""
    rows = {
        (row["seed"], row["epoch"]): row["value"]
        for row in results.curves
        if (row["arm"], row["split"], row["metric"]) == (kind, "test", "conditional")
    }
    last = results.config["specialists"]["training"]["epochs"]
    return {seed: rows[seed, last] - rows[seed, 0] for seed, epoch in rows if epoch == last}


def claims(results: Results) -> Sequence[Answer]:
    def claim(name: str, quantity: str, by_seed: BySeed, **more: Any) -> Claim:
        return Claim(f"KD-J28.{name}", quantity, tuple(by_seed.values()), unit="points", departures=NOT_JFT, **more)

    conditional, others = (
        {arm: results.values(arm, metric) for arm in (*KINDS, *SAME_RATE.values())}
        for metric in ("conditional", "others")
    )
    answers = [
        claim(
            name,
            "premise: conditional test accuracy on labels alone, after the last pass minus before the first",
            gained(results, arm),
            direction="less",
            setting=said,
        )
        for name, arm, said in (
            ("overfitting", "full", "all outputs"),
            ("overfitting.same_rate", SAME_RATE["full"], "all outputs, at the dustbin's rate"),
            ("overfitting_dustbin", "dustbin", "a dustbin, the paper's kind"),
        )
    ]
    for soft, hard, after, said in (
        ("full_soft", "full", "", ""),
        (SAME_RATE["full_soft"], SAME_RATE["full"], ".same_rate", "both at the dustbin's rate"),
    ):
        answers += [
            claim(
                f"conditional_against_full{after}",
                "conditional test accuracy after the last pass, with soft targets minus without",
                minus(conditional[soft], conditional[hard]),
                setting=said,
            ),
            claim(
                f"conditional_against_dustbin{after}",
                "conditional test accuracy after the last pass, with soft targets minus a dustbin's",
                minus(conditional[soft], conditional["dustbin"]),
                setting=said,
            ),
            claim(
                f"others_against_full{after}",
                "test accuracy kept among non-special classes after the last pass, with soft targets minus without",
                minus(others[soft], others[hard]),
                setting=said,
            ),
        ]
    return answers
