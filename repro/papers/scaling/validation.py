"""Every usable public scaling row, predicted: measured all-reduce tables, parameter servers, efficiencies.

Nobody's single experiment: ``simulation/published`` holds what Goyal et al. 2017, Horovod, MLPerf v0.7, the TensorFlow
and CSCS benchmarks, nccl-tests and others printed. The simulator predicts each row it can: a held-out point of a
measured table, a law fitted to one kind of node and carried over to another, or an efficiency from specifications
alone (``simulation.validate``).

The rule, set before the predictions were made: each check has a target for the mean or the worst of its out-of-sample
errors (``simulation.predictions.TARGETS``; ``errors.csv`` says whether it is met). A row printed without a band is held
against that same relative error on its own, which is stricter where the target is for a mean. Rows that helped to make
their prediction, and checks without a target, are shown and stay undecided. What is printed and not predicted bears
its reason (``simulation.unpredicted``).

Predictions are converted to what the row prints: a step time to images/s, an efficiency to the throughput it stands
for. Nothing is learned, nothing random: one run. Cost: one CPU-second.
"""

from collections.abc import Sequence
from typing import Any

from repro.compare import Answer, Model, NotRun
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.published import Published
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options
from simulation.predictions import OTHER_SYSTEMS, SPECIFICATIONS, TARGETS, Prediction
from simulation.unpredicted import unpredicted

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
ARM = "predictions"
ELSEWHERE = ("SC356", "SC357", "SC367")  # what this paper's other experiments speak to


class Config(Options):
    """Nothing to set: rows and targets stand in ``simulation``."""


def arms(config: Config) -> list[Arm]:
    return [Arm(ARM, {}, 1, device="cpu")]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from dataclasses import asdict

    from simulation.predictions import as_records, summaries
    from simulation.validate import predictions

    rows = predictions()
    errors = summaries(rows)
    judged = [summary.met for summary in errors if summary.met is not None]
    metrics = {"rows": len({row.id for row in rows}), "checks_judged": len(judged), "checks_met": sum(judged)}
    told = [asdict(s) | {"met": "" if s.met is None else "yes" if s.met else "no"} for s in errors]
    return Result(metrics, tables={"predictions": as_records(rows), "errors": told})


def recorded(results: Results) -> list[Prediction]:
    """The predictions as the simulator knows them."""
    return [
        Prediction(
            check=row["check"],
            system=row["system"],
            id=row["id"],
            sample=row["sample"],
            setting=row["setting"],
            quantity=row["quantity"],
            unit=str(row["unit"]),
            printed=float(row["printed"]),
            predicted=float(row["predicted"]),
        )
        for row in results.table("predictions")
    ]


def figure(results: Results) -> Drawing:
    from repro.plots.style import axes
    from simulation.figures import predicted_against_printed

    rows = recorded(results)
    drawn, (ax,) = axes(width_in=9.0, height_in=8.0)
    predicted_against_printed(ax, rows)
    ax.grid(axis="y", visible=False)
    errors = [row for row in results.table("errors") if row["system"] == "all"]
    told = "; ".join(
        f"{row['check']}: {row['mean_error']:.1%} ({row['worst_error']:.0%}, n = {row['n']}"
        + (f"; target {row['target']}, {'met' if row['met'] == 'yes' else 'missed'})" if row["target"] else ")")
        for row in errors
    )
    caption = (
        "Relative error of every prediction, a mark a printed row; names where it exceeds 20 %. Mean absolute errors "
        f"(worst) by check, over rows that did not help to predict where there are any: {told}. "
    )
    return Drawing(drawn, results.table("predictions"), caption + results.scope)


def in_printed_unit(row: Prediction, printed: Published) -> float:
    """The prediction as the quantity that the row prints.

    A throughput against a predicted step time goes with its inverse; whatever else is printed goes with it.
    """
    if printed.value is None:
        raise ValueError(f"{row.id}: a range is printed, and a prediction needs one number")
    ratio = row.predicted / row.printed
    inverse = row.quantity == "step time" and printed.unit == "images/s"
    return printed.value / ratio if inverse else printed.value * ratio


def claims(results: Results) -> Sequence[Answer]:
    published = load_published()
    rows = recorded(results)
    ids = [row.id for row in rows]
    predicted = [_answer(row, published[row.id], ids.count(row.id) > 1) for row in rows]
    return predicted + [NotRun(name, reason) for name, reason in unpredicted({*ids, *ELSEWHERE}).items()]


def _answer(row: Prediction, printed: Published, several: bool) -> Answer:
    specified = row.check in (SPECIFICATIONS, OTHER_SYSTEMS)
    name = f"{row.id}.{'specified' if specified else 'carried'}" if several else row.id
    known: dict[str, Any] = {"setting": f"{row.system}; {row.setting}"}
    if row.sample == "in":
        known["departures"] = "the row helped to make its prediction"
    elif target := TARGETS.get(row.check):
        known["tolerance"] = target.worst or target.mean
    return Model(name, (in_printed_unit(row, printed),), **known)
