"""Prediction churn (section 3.4, Table 1): how far two retrains of one recipe disagree case by case.

The paper trains a net on the Criteo click data (recollected: ReLU 2560-1024-256, Adagrad, batch about 500) and takes
the mean absolute difference of the predicted probabilities of two retrains: codistilled pairs differ 35 % less than
single nets, about as little as ensembles of two, at the same log loss.

Here: UCI Adult (at scale ``quick`` a table of scikit-learn's), continuous attributes as log(1 + x), standardised, and
categories hashed into a fixed number of inputs; a ReLU net with Adagrad. A run trains a recipe twice, with nothing in
common but the data, and reports the mean absolute difference on test cases: two single nets, two ensembles of two,
two independent *pairs* of which one member each is served, two nets with smoothed labels (to the uniform distribution
and to the class prior). Members of one pair are coupled; their difference is recorded beside (``churn_within_pair``)
and never used.

Every recipe learns at one rate, the best of a grid by the log loss on validation cases summed over the recipes. Each
recipe at its own best would compare rates thirtyfold apart: log loss hardly depends on the rate, and churn grows with
it. The grid is on record for every recipe, and the figure shows its churn at each rate.

Departures: another data set, so no printed number is judged, only directions; a smaller net. Two groups are stepped in
one process with the arithmetic and the schedule of real runs with ``pickup: wait``; copies see all the data in orders
of their own.
Cost at scale ``paper``: about 8 (single nets) to 20 (codistilled pairs) seconds of one core a run.
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, Value
from repro.experiment import Arm, Context, Result
from repro.papers.anil2018._arms import Recipe
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "breast-cancer", "paper": "adult", "cluster": "adult"}
PRINTED_DATA = "criteo"

LABELS = {
    "single": "single net",
    "smoothed": "labels smoothed\nuniformly",
    "prior": "labels smoothed\nto the prior",
    "ensemble": "ensemble of two",
    "codistilled": "one of a\ncodistilled pair",
}
PRINTED = {"single": "CO-25", "ensemble": "CO-24", "codistilled": "CO-23"}
TUNED = ("single", "smoothed", "prior", "codistilled")


class Config(Options):
    """``validation`` and ``test``: cases held out; ``buckets``: inputs for hashed categories."""

    seeds: int = Field(5, ge=1)
    validation: PositiveInt
    test: PositiveInt
    buckets: int = Field(256, ge=0)
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    training: Recipe
    interval_steps: PositiveInt
    burn_in_steps: int = Field(0, ge=0)
    smoothing: float = Field(0.1, gt=0, lt=1)
    tuned_rates: tuple[PositiveFloat, ...] = ()
    tuning_seeds: int = Field(2, ge=1)


def tuning_name(recipe: str, rate: float) -> str:
    return f"tuning.{recipe}.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"validation", "test", "buckets", "hidden"})

    def settings(name: str, rate: float, judged_on: Literal["validation", "test"]) -> dict[str, Any]:
        run = config.training.alone(learning_rate=rate)
        if name == "codistilled":
            run = config.training.together(2, config.interval_steps, config.burn_in_steps, learning_rate=rate)
        smoothing = config.smoothing if name in ("smoothed", "prior") else 0.0
        own = {"smoothing": smoothing, "to_prior": name == "prior", "members": 2 if name == "ensemble" else 1}
        return {**shared, **own, "run": run, "judged_on": judged_on}

    rate = config.training.optimizer.learning_rate
    listed = [Arm(name, settings(name, rate, "test"), config.seeds) for name in LABELS]
    return listed + [
        Arm(tuning_name(name, rate), settings(name, rate, "validation"), config.tuning_seeds)
        for name in TUNED
        for rate in config.tuned_rates
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.codistill.controls import smoothed
    from repro.papers.anil2018._learning import net_of, probabilities, train
    from repro.papers.anil2018._tasks import table
    from repro.training.keys import generator_seed

    settings = arm.settings
    sizes = {name: settings[name] for name in ("validation", "test", "buckets")}
    task, cases = table(context.data, tuple(settings["hidden"]), **sizes)
    if settings["smoothing"]:
        prior = torch.bincount(cases.train_y).float() / len(cases.train_y)
        task = smoothed(task, settings["smoothing"], prior if settings["to_prior"] else None)
    x, y = cases.held_out(settings["judged_on"])

    def retrained(retrain: int) -> list[torch.Tensor]:
        """P(class 1) by net: those of members of an ensemble, or of a pair's groups."""
        found = []
        for member in range(settings["members"]):
            learned = train(task, settings["run"], generator_seed(seed, "retrain", retrain, member), context)
            found += [probabilities(net_of(task, learned, g), x)[:, 1].double() for g in range(len(learned.weights))]
        return found

    both = [retrained(0), retrained(1)]
    # An ensemble serves the mean of its members, a codistilled pair one of its two.
    served = [torch.stack(nets).mean(0) if settings["members"] > 1 else nets[0] for nets in both]
    metrics: dict[str, Any] = {
        "churn": float((served[0] - served[1]).abs().mean()),
        "log_loss": sum(log_loss(p, y) for p in served) / 2,
        "error_percent": sum(100 * float(((p > 0.5) != y.bool()).double().mean()) for p in served) / 2,
        "cases": len(y),
    }
    if len(both[0]) > 1:
        metrics["churn_within_pair"] = sum(float((a - b).abs().mean()) for a, b in both) / 2
    return Result(metrics)


def log_loss(p: Any, y: Any) -> float:
    """Mean of -log of the probability that was given to what came true; p (cases,) of class 1, y (cases,)."""
    import torch

    right = torch.where(y.bool(), p, 1 - p)
    return float(-right.clamp_min(1e-12).log().mean())


def reduction(results: Results, arm: str, than: str) -> tuple[float, ...]:
    """By how many per cent ``arm`` churns less than ``than``, seed by seed."""
    ours, theirs = results.values(arm, "churn"), results.values(than, "churn")
    return tuple(100 * (1 - ours[s] / theirs[s]) for s in sorted(ours.keys() & theirs.keys()))


def churn_by_rate(results: Results) -> dict[str, dict[float, tuple[float, ...]]]:
    """Recipe to learning rate to the churn of the runs that the rate was chosen by, on validation cases."""
    rates = sorted({float(row["arm"].rpartition("rate")[2]) for row in results.rows if "rate" in row["arm"]})
    found = {
        name: {rate: tuple(results.values(tuning_name(name, rate), "churn").values()) for rate in rates}
        for name in TUNED
    }
    return {name: {rate: values for rate, values in by.items() if values} for name, by in found.items()}


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.plots.style import COLOURS, MARKERS, axes, legend, plain_ticks

    by_rate = churn_by_rate(results)
    tuned = any(by_rate.values())
    drawn, panels = axes(3 if tuned else 2, width_in=14 if tuned else 10.5, height_in=4.6)
    left, right = panels[:2]
    data: list[dict[str, Any]] = []
    counts = []
    for number, arm in enumerate(LABELS):
        for ax, metric in ((left, "churn"), (right, "log_loss")):
            values = list(results.values(arm, metric).values())
            if not values:
                continue
            mean, low, high = t_interval(values)
            spread = [number + 0.1 * (i / max(len(values) - 1, 1) - 0.5) - 0.15 for i in range(len(values))]
            colour = COLOURS[number]
            ax.plot(spread, values, MARKERS[number], color=colour, alpha=0.35, ms=5)
            ends = None if low is None or high is None else [[mean - low], [high - mean]]
            ax.errorbar([number + 0.1], [mean], yerr=ends, fmt=MARKERS[number], color=colour, ms=9, capsize=4)
            data.append(_point(arm, metric, None, values) | {"low": low, "high": high})
            counts.append(len(values))
    left.set_ylim(bottom=0)
    left.set_ylabel("mean absolute difference of\ntwo retrains' probabilities")
    right.set_ylabel("log loss, nats")
    for ax in (left, right):
        ax.set_xticks(range(len(LABELS)), list(LABELS.values()), rotation=28, ha="right", fontsize=9.5)
        ax.grid(axis="x", visible=False)
        ax.set_xlim(-0.5, len(LABELS) - 0.5)
    if tuned:
        ax = panels[2]
        for name, by in by_rate.items():
            number = list(LABELS).index(name)
            means = [sum(values) / len(values) for values in by.values()]
            label = LABELS[name].replace("\n", " ")
            ax.plot(list(by), means, f"{MARKERS[number]}-", color=COLOURS[number], label=label)
            data += [_point(name, "churn", rate, values) for rate, values in by.items()]
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({rate for by in by_rate.values() for rate in by}))
        ax.set_ylim(bottom=0)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("the same, on validation cases")
        legend(ax, fontsize=9.5)
    less = reduction(results, "codistilled", "single")
    said = f" One of a codistilled pair churns {sum(less) / len(less):.0f} % less than a single net." if less else ""
    n = "0" if not counts else f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    caption = (
        "Left: churn, the mean absolute difference between the probabilities that two independent retrains give to the "
        f"same test cases. {'Middle' if tuned else 'Right'}: log loss of the nets served. Small marks: single runs (of "
        f"two retrains each); large: mean with 95 % t-interval, n = {n}.{said} "
    )
    if tuned:
        n_tuned = min(len(values) for by in by_rate.values() for values in by.values())
        caption += (
            f"Right: churn on validation cases at the rates that were tried, mean of n = {n_tuned}; all recipes of the "
            "other panels learn at one rate. "
        )
    caption += "The paper's numbers are of Criteo's click data and not comparable. "
    return Drawing(drawn, data, caption + results.scope)


def _point(arm: str, metric: str, rate: float | None, values: Sequence[float]) -> dict[str, Any]:
    ends = {"low": None, "high": None}
    return {"arm": arm, "metric": metric, "rate": rate, "mean": sum(values) / len(values), **ends, "n": len(values)}


def claims(results: Results) -> Sequence[Answer]:
    answers: list[Answer] = [
        Claim(
            "CO-22",
            "reduction of churn, one of a codistilled pair against a single net, same seed",
            reduction(results, "codistilled", "single"),
            unit="%",
            shows_printed=True,
        )
    ]
    answers += [
        Claim(
            f"CO-22.{other}",
            f"reduction of churn, one of a codistilled pair against a net with {words}, same seed",
            reduction(results, "codistilled", other),
            unit="%",
        )
        for other, words in (("smoothed", "uniformly smoothed labels"), ("prior", "labels smoothed to the prior"))
    ]
    answers.append(
        Claim(
            "CO-23.below_ensemble",
            "churn, one of a codistilled pair minus an ensemble of two, same seed",
            tuple(results.paired("codistilled", "ensemble", "churn")),
            direction="less",
            unit="prob",
        )
    )
    answers += [Value(name, tuple(results.values(arm, "churn").values())) for arm, name in PRINTED.items()]
    return answers + [
        Value(f"CO-26.{arm}", tuple(results.values(arm, "log_loss").values()), setting=LABELS[arm].replace("\n", " "))
        for arm in ("single", "ensemble", "codistilled")
    ]
