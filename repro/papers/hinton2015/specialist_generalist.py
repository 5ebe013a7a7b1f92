"""Section 5.3: which classes belong together, found in a generalist's predictions without a label.

The paper: the covariance matrix of the generalist's predictions, on-line k-means on its columns, and "reasonable
clusters" of JFT classes, of which a few are shown by name (Table 2; ``specialist_names``).

Here: a small residual net on CIFAR-100's 100 fine classes; the streamed covariance of its predictions on the cases it
learned from; clusters for several counts. CIFAR-100's 20 superclasses, which nobody told it, serve as ground truth
(adjusted Rand index and normalised mutual information), beside two rivals: the same k-means on which classes are taken
for which in testing, which does use labels, and clusters of the same sizes with classes dealt at random.

Departures: JFT is not public. Predictions are softened before their covariance is taken (``temperature``; T = 1, as in
the paper, stands beside it and is claimed too): a generalist that is right in most cases, where JFT's was in a quarter,
gives other classes so little that each column is little but its own variance, and k-means sets single columns apart
from all the others. That temperature was not chosen among others on these generalists. The generalist sees
``held_out`` training cases never; all tuning of section 5 is done on them. Its epoch is fixed and its rate was not
tuned. Errors are counted on the test cases, since on those it learned from it hardly errs; no other number depends on
them. Right answers are left out, for they set every class apart.

Cost at scale ``paper``: about 25 minutes of one core a generalist of 52 million multiply-adds where the processor
computes in bf16, 3 generalists.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import beyond_share, minus
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from repro.training.settings import NO_DROPOUT, NO_NORMS, Training

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
WORTH = 0.8  # of the agreement that labels would give: not much less
OF_ERRORS = (
    f"{_specialist_arms.NOT_JFT}; the rival sees the errors on test cases alone, of either kind together, and no right "
    "answer"
)
LEAST_ACCURACY = 60.0  # per cent of the test cases: a generalist worth specialising
CLUSTERS_OF = {
    "covariance": "covariance",
    "errors": "true errors",
    "random": "dealt at random",
    "covariance_t1": "covariance, T = 1",
}


class Config(Options):
    seeds: int = Field(3, ge=1)
    widths: tuple[PositiveInt, ...] = Field(min_length=2, description="channels of the residual blocks")
    mirror: bool = Field(True, description="half of the pictures turned left to right in training")
    held_out: int = Field(ge=1, description="training cases that nothing is trained on")
    training: Annotated[Training, NO_DROPOUT, NO_NORMS]
    temperature: float = Field(3.0, gt=0, description="of the predictions whose covariance is clustered")
    counts: tuple[PositiveInt, ...] = Field(min_length=1, description="of clusters")
    random_draws: int = Field(100, ge=1)


def arms(config: Config) -> list[Arm]:
    settings = config.model_dump(mode="json", exclude={"seeds"})
    counts = {"counts": list(config.counts)}
    return [
        Arm("generalist", settings, config.seeds),
        Arm("errors", counts, config.seeds, (Need("generalist"),), config.seeds, device="cpu"),
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_clusters import clusters_of_errors
    from repro.papers.hinton2015._specialist_runs import generalist

    return (clusters_of_errors if arm.needs else generalist)(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Agreement of clusters with superclasses over their number, by two measures."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import Mark, axes, plain_ticks, with_intervals

    drawn, (left, right) = axes(2, width_in=9.0, height_in=4.3)
    data: list[dict[str, Any]] = []
    agreements = results.table("agreement")
    names = {"ari": "adjusted Rand index", "nmi": "normalised mutual information"}
    for ax, metric in ((left, "ari"), (right, "nmi")):
        for number, (of, label) in enumerate(CLUSTERS_OF.items()):
            marks: list[Mark] = []
            for count in sorted({row["count"] for row in agreements}):
                values = [r[metric] for r in agreements if r["count"] == count and r["clusters_of"] == of]
                if values:
                    marks.append((count, *t_interval(values)))
                    row = {"metric": metric, "clusters_of": of, "clusters": count}
                    data.append(
                        row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)) | {"n": len(values)}
                    )
            if marks:  # side by side, that their intervals can be told apart
                beside = 1.055 ** (number - (len(CLUSTERS_OF) - 1) / 2)
                with_intervals(ax, [(count * beside, *rest) for count, *rest in marks], number, label)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({row["count"] for row in agreements}))
        ax.set_xlabel("clusters")
        ax.set_title(f"{names[metric]}\nwith superclasses")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    drawn.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    n = len(results.values("generalist", "accuracy"))
    text = (
        "Agreement of clusters with the superclasses, which none of them was told: of on-line k-means on the columns "
        f"of the covariance of a generalist's predictions at T = {results.config['temperature']:g} on the cases it "
        "learned from, of the same at T = 1, of the same k-means on which classes are taken for which (which uses "
        "labels), and of classes dealt at random to clusters of the same sizes; marks of one count stand side by side. "
        f"95 % t-intervals over n = {n} generalists. "
    )
    return Drawing(drawn, data, caption_of(results, text))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = [
        Claim(
            f"KD-J05.above{LEAST_ACCURACY:g}",
            "the generalist's test accuracy",
            tuple(results.values("generalist", "accuracy").values()),
            null=LEAST_ACCURACY,
            setting=_size(results),
            unit="%",
            departures=_specialist_arms.NOT_JFT,
        )
    ]
    for count in config.counts:
        ari: dict[str, dict[int, float]] = {}
        for row in results.table("agreement"):
            if row["count"] == count:
                ari.setdefault(row["clusters_of"], {})[row["seed"]] = row["ari"]
        of = {name: ari.get(name, {}) for name in CLUSTERS_OF}
        index = "adjusted Rand index against superclasses, clusters of the covariance minus"
        softened = f"{count} clusters; softened predictions"
        by_chance, by_labels = (
            f"{index} those of classes dealt at random",
            f"{index} {WORTH:g} of that of the true errors",
        )
        for name, quantity, found, setting in (
            ("random", by_chance, minus(of["covariance"], of["random"]).values(), softened),
            ("t1_random", by_chance, minus(of["covariance_t1"], of["random"]).values(), f"{count} clusters; T = 1"),
            ("errors", f"{by_labels}, which use labels", beyond_share(of["covariance"], of["errors"], WORTH), softened),
        ):
            answers.append(
                Claim(
                    f"KD-J26.k{count}_{name}",
                    quantity,
                    tuple(found),
                    setting=setting,
                    unit="ratio",
                    departures=OF_ERRORS if name == "errors" else _specialist_arms.NOT_JFT,
                )
            )
    return answers


def _size(results: Results) -> str:
    """The generalists' multiply-adds a case and number format."""
    counts, formats = (results.values("generalist", name).values() for name in ("multiply_adds", "precision"))
    return "; ".join(sorted({f"{n / 1e6:.1f} M multiply-adds, {f}" for n, f in zip(counts, formats, strict=True)}))
