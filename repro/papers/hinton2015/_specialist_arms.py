"""What the experiments of section 5 share: settings, and the gain they ask for; importable without torch."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from repro.experiment import Arm, Need
from repro.results import Results
from repro.settings import Options
from repro.training.settings import JUDGED_ONCE, NO_DROPOUT, NO_JITTER, NO_NORMS, RATE_IS_CHOSEN, Training

DATA = {"quick": "hierarchy", "paper": "cifar-100", "cluster": "cifar-100"}
PRINTED_DATA = "jft-100m"  # never public
GENERALIST = Need("generalist", experiment="specialist_generalist")
NOT_JFT = (
    "100 classes instead of 15,000, a net of another kind; class sets are the columns nearest to a centroid, in the "
    "covariance of softened predictions"
)
# What a net that is distilled into learns from, as figures name it.
TARGETS = {
    "combined": "generalist and\nspecialists",
    "combined_full_soft": "generalist and\nspecialists with\nall outputs",
    "generalist": "generalist\nalone",
    "labels": "labels\nalone",
}
MOST_COVERING = 4  # numbers of covering specialists from this on are taken together
FROM_MOST_ON = f"{MOST_COVERING} and more count as {MOST_COVERING}"

# Of a net's top, or of a head, on what the generalist's trunk makes of the pictures.
OnMaps = Annotated[Training, NO_DROPOUT, NO_NORMS, NO_JITTER]
JudgedOnMaps = Annotated[OnMaps, JUDGED_ONCE]

Kind = Literal["dustbin", "full", "full_soft"]


class Specialists(Options):
    """How many class sets, how large, and how each specialist is trained.

    ``kind``: outputs for the set's classes and one dustbin (the paper's), or for all classes, on labels alone or with
    the generalist's soft targets for the other classes beside them (section 6.1).
    """

    count: int = Field(ge=1)
    size: int = Field(ge=2, description="classes of a set, the nearest columns to its centroid")
    training: OnMaps
    head: JudgedOnMaps = Field(description="of a dustbin's head alone, on the generalist's features, before the rest")
    kind: Kind = "dustbin"
    sets: Literal["clusters", "random"] = "clusters"
    temperature: float = Field(2.0, gt=0, description="of soft targets; used by full_soft alone")
    soft_weight: float = Field(1.0, gt=0, description="beside the labels' loss; used by full_soft alone")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Plain values for an arm; ``epochs`` and ``learning_rate`` may be among the changes."""
        training = {name: changes.pop(name) for name in ("epochs", "learning_rate") if name in changes}
        settings = self.model_copy(update=changes).model_dump(mode="json")
        if settings["kind"] != "dustbin":
            del settings["head"]  # all outputs are the generalist's own, and fit its features
        if settings["kind"] != "full_soft":
            del settings["temperature"], settings["soft_weight"]
        return settings | {"training": settings["training"] | training}


def on_features(count: int, size: int, training: Training, tops: list[int]) -> dict[str, Any]:
    """Settings of specialists that are heads on the generalist's features and nothing else, judged for each n."""
    settings = Specialists(count=count, size=size, training=training, head=training).settings()
    del settings["head"]
    return settings | {"tops": tops}


class JudgedSpecialists(Specialists):
    """Specialists that are judged once, when all are trained."""

    training: JudgedOnMaps


class Distilled(Options):
    """The generalist's top taught by one of ``TARGETS``; the rate stands apart."""

    specialists: JudgedSpecialists = Field(description="those of the experiment specialists")
    full_soft_rate: float = Field(gt=0, description="as there")
    training: Annotated[JudgedOnMaps, RATE_IS_CHOSEN]
    hard_weight: float = Field(0.5, gt=0, description="of the labels' loss beside the soft one")

    def arm(self, name: str, targets: str, rate: float, seeds: int, seed: int | None = None) -> Arm:
        """The arm that learns from ``targets``; ``seed``: of the generalist and specialists (None: the run's own)."""
        count, training = self.specialists.count, self.training.model_copy(update={"learning_rate": rate})
        settings: dict[str, Any] = {"training": training.model_dump(mode="json"), "targets": targets}
        if targets != "labels":  # which stand alone
            settings["hard_weight"] = self.hard_weight
        specialists = {
            "combined": (f"clusters{count}", self.specialists.settings()),
            "combined_full_soft": (
                f"full_soft{count}",
                self.specialists.settings(kind="full_soft", learning_rate=self.full_soft_rate),
            ),
        }
        needs = [replace(GENERALIST, seed=seed)]
        if targets in specialists:
            arm, settings["specialists"] = specialists[targets]
            needs.append(Need(arm, experiment="specialists", seed=seed))
        return Arm(name, settings, seeds, tuple(needs), device="cpu")


def _no_more_than_there_are(trained: int, info: ValidationInfo) -> int:
    specialists = info.data.get("specialists")  # absent where they were refused themselves
    if specialists and trained > specialists.count:
        raise ValueError(f"there are {specialists.count} specialists; train as many or fewer")
    return trained


# Of the specialists, which stand before it in the config, the first ones.
NumberTrained = Annotated[
    int, Field(ge=1, description="of the specialists, the first ones"), AfterValidator(_no_more_than_there_are)
]


def gain(results: Results, arm: str, metric: str) -> list[float]:
    """``metric`` minus the generalist's of the same run, a number a seed."""
    after, before = results.values(arm, metric), results.values(arm, f"generalist_{metric}")
    return [after[seed] - before[seed] for seed in sorted(after.keys() & before.keys())]


def coverage_slopes(results: Results, arm: str) -> dict[int, float]:
    """By seed: least-squares slope of the relative gain (%) against the number of specialists that cover the correct
    class, each number weighted with its cases; ``MOST_COVERING`` and more count as ``MOST_COVERING``."""
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
