"""When an average researcher can rerun JFT-300M, and whether compute keeps up with data.

The review (blog post of September 2017, read in translation) takes JFT-300M's run, 50 GPUs for 2 months, and asks
when a desktop of 1 or 4 GPUs does it in 2 months or 2 weeks, if compute doubles every 2 or 3 years. It says that
data double every 2 years and compute, from 2019 on, every 3 or 4, so that a gap opens; and that video of which 1 %
is useful is "only 8 years behind" video that is all useful.

Here: year = start + D log2(run's GPU-months / desktop's GPU-months), which gives six of the eight printed years to the
rounding. The two of "one GPU, 2 weeks" it does not give: with one week in place of two it does. Nor does the stated
doubling of 1.5 years give 8 years for a factor of 100, nor the year 2025. What is printed stands beside what the
formula gives, and such rows read *outside*. Every assumption is a parameter with a range; bands are the least and
greatest value over all ranges. GPUs for a year of uploads: frames a second, one forward pass of a net of the
simulator's shelf each, on a device of its shelf.

Departures: the review's frame rate and GPU are not known to us; they scale the curves of uploads and leave their
slopes alone. The share of research by country is not projected, for the shares it starts from are not printed.

Cost: less than a CPU-second. Nothing is learned, nothing random.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Model, NotRun
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.dettmers2017._growth import (
    DAYS_PER_MONTH,
    MINUTES_PER_HOUR,
    Assumed,
    doubling_years_for,
    gap_doubling_years,
    over,
    years_until,
)
from repro.plots.drawing import Drawing
from repro.published import Published
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA

# GPUs of the desktop, span, doubling in years: the printed row.
PRINTED: Mapping[tuple[int, str, float], str] = {
    (4, "months2", 2): "PS274.months2", (4, "weeks2", 2): "PS274.weeks2",
    (4, "months2", 3): "PS275.months2", (4, "weeks2", 3): "PS275.weeks2",
    (1, "months2", 2): "PS276.months2", (1, "weeks2", 2): "PS276.weeks2",
    (1, "months2", 3): "PS277.months2", (1, "weeks2", 3): "PS277.weeks2",
}  # fmt: skip
INSTEAD = {"weeks2": "weeks1"}  # a span that gives the printed year where the stated one does not
SPANS = {"months2": "2 months", "weeks2": "2 weeks", "weeks1": "1 week"}


class Rerun(Options):
    """The run that is to be repeated, and what it is to be repeated on.

    ``efficiency`` is what one of the run's GPUs did of what it would have done alone. ``desktops`` are numbers of
    GPUs, ``spans_days`` how long one is ready to wait.
    """

    gpus: Assumed
    months: Assumed
    efficiency: Assumed
    desktops: tuple[PositiveInt, ...] = Field(min_length=1)
    spans_days: dict[str, float] = Field(min_length=1)
    doubling_years: tuple[Assumed, ...] = Field(min_length=1)


class Video(Options):
    """Uploads, their growth and that of compute, from ``start_year`` to ``last_year``."""

    hours_per_minute: Assumed
    frames_per_s: Assumed
    doubling_years: Assumed
    compute_doubling_years: tuple[Assumed, ...] = Field(min_length=1)
    last_year: int
    workload: str = "resnet-50"
    cluster: str = "p100-ethernet"


class Useful(Options):
    """Only this fraction of the data is useful; data double every so many years."""

    fraction: Assumed
    doubling_years: Assumed
    printed_lag_years: float = Field(gt=0)


class Config(Options):
    start_year: Assumed
    rerun: Rerun
    video: Video
    useful: Useful


def arms(config: Config) -> list[Arm]:
    start = {"start_year": config.start_year.model_dump()}
    return [
        Arm(name, start | getattr(config, name).model_dump(mode="json"), 1, device="cpu")
        for name in ("rerun", "video", "useful")
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    settings = dict(arm.settings)
    start = Assumed.model_validate(settings.pop("start_year"))
    return _RUNS[arm.name](start, settings)


def _rerun(start: Assumed, settings: Mapping[str, Any]) -> Result:
    asked = Rerun.model_validate(settings)
    rows = []
    for doubling in asked.doubling_years:
        assumed = {
            "start": start, "gpus": asked.gpus, "months": asked.months, "efficiency": asked.efficiency,
            "doubling": doubling,
        }  # fmt: skip
        for desktop in asked.desktops:
            for span, days in asked.spans_days.items():
                at_hand = desktop * days / DAYS_PER_MONTH

                def year(
                    start: float, gpus: float, months: float, efficiency: float, doubling: float, own: float = at_hand
                ) -> float:
                    return start + years_until(gpus * months * efficiency, own, doubling)

                value, low, high = over(assumed, year)
                row: dict[str, Any] = {"doubling_years": doubling.value, "desktop_gpus": desktop, "span": span}
                rows.append(row | {"span_days": days, "year": value, "year_low": low, "year_high": high})
    years = [row["year"] for row in rows]
    return Result({"earliest_year": min(years), "latest_year": max(years)}, tables={"years": rows})


def _video(start: Assumed, settings: Mapping[str, Any]) -> Result:
    from simulation.description import load_cluster, load_workload
    from simulation.workload import compute_time

    asked = Video.model_validate(settings)
    workload, device = load_workload(asked.workload), load_cluster(asked.cluster).device
    images_per_s = workload.batch_per_worker_examples / compute_time(workload, device).forward_s
    shared = {"hours": asked.hours_per_minute, "frames": asked.frames_per_s, "data": asked.doubling_years}
    rows = []
    for compute in asked.compute_doubling_years:
        for ahead in range(asked.last_year - int(start.value) + 1):

            def gpus(hours: float, frames: float, data: float, compute: float, ahead: int = ahead) -> float:
                now = hours * MINUTES_PER_HOUR * frames / images_per_s
                return float(now * 2 ** (ahead / gap_doubling_years(data, compute)))

            value, low, high = over({**shared, "compute": compute}, gpus)
            row = {"compute_doubling_years": compute.value, "year": int(start.value) + ahead}
            rows.append(row | {"gpus": value, "gpus_low": low, "gpus_high": high})
    metrics: dict[str, float | int | str] = {"images_per_s": images_per_s, "gpus_at_start": rows[0]["gpus"]}
    for compute in asked.compute_doubling_years:
        metrics[f"gap_doubling_years_c{compute.value:g}"] = gap_doubling_years(
            asked.doubling_years.value, compute.value
        )
    return Result(metrics, tables={"uploads": rows})


def _useful(start: Assumed, settings: Mapping[str, Any]) -> Result:
    asked = Useful.model_validate(settings)

    def lag(fraction: float, doubling: float) -> float:
        return years_until(1.0, fraction, doubling)

    value, low, high = over({"fraction": asked.fraction, "doubling": asked.doubling_years}, lag)
    metrics = {"lag_years": value, "lag_low": low, "lag_high": high, "year": start.value + value}
    metrics["doubling_years_of_printed_lag"] = doubling_years_for(asked.printed_lag_years, 1.0, asked.fraction.value)
    return Result(metrics)


_RUNS = {"rerun": _rerun, "video": _video, "useful": _useful}


def in_band(year: float, printed: Published) -> bool:
    """Whether a year is the printed one to its rounding."""
    low = -math.inf if printed.low is None else printed.low
    high = math.inf if printed.high is None else printed.high
    return low <= year <= high


def figure(results: Results) -> Drawing:
    """Years of the rerun beside the printed ones; GPUs for a year of uploads; lag of data that are useful in part."""
    from matplotlib.ticker import MaxNLocator

    from repro.papers.dettmers2017._figures import once, scope, style_of
    from repro.plots.style import COLOURS, MARKERS, axes, legend
    from repro.plots.style import PRINTED as GREY

    config = results.config
    drawn, (left, middle, right) = axes(3, width_in=15.0, height_in=5.0)
    published = load_published()
    data: list[dict[str, Any]] = []
    cases = list(dict.fromkeys((row["desktop_gpus"], row["span"]) for row in results.table("years")))
    place = {case: -number for number, case in enumerate(cases)}
    times = [d["value"] for d in config["rerun"]["doubling_years"]]
    named: set[str] = set()  # what the legend has
    for row in results.table("years"):
        number = times.index(row["doubling_years"])
        at = place[row["desktop_gpus"], row["span"]] + 0.15 * (1 - 2 * number)
        error = [[row["year"] - row["year_low"]], [row["year_high"] - row["year"]]]
        label = f"compute doubles in {times[number]:g} years"
        style = style_of(number, label, named)
        left.errorbar([row["year"]], [at], xerr=error, **style)
        name = PRINTED.get((row["desktop_gpus"], row["span"], row["doubling_years"]))
        printed = published[name] if name else None
        if printed and printed.value is not None:
            left.plot([printed.value], [at], "|", color=GREY, ms=13, mew=2.5, label=once("printed", named))
            if not in_band(row["year"], printed):
                left.annotate(
                    f"{printed.value:.0f}", (printed.value, at), (0, 9 if number == 0 else -18), ha="center",
                    textcoords="offset points", fontsize=10, color=GREY,
                )  # fmt: skip
        data.append({"panel": "rerun", **row, "printed": printed.value if printed else None})
    left.set_yticks(list(place.values()), [f"{_gpus(gpus)}, {SPANS.get(span, span)}" for gpus, span in cases])
    left.set_ylim(min(place.values()) - 0.6, 0.6)
    left.set_xlabel("year in which a desktop repeats the run")
    left.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), fontsize=10)

    for number, compute in enumerate(d["value"] for d in config["video"]["compute_doubling_years"]):
        rows = [row for row in results.table("uploads") if row["compute_doubling_years"] == compute]
        years = [row["year"] for row in rows]
        low, middle_line, high = ([row[key] for row in rows] for key in ("gpus_low", "gpus", "gpus_high"))
        middle.fill_between(years, low, high, color=COLOURS[number], alpha=0.15, lw=0)
        own: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markevery": 3}
        middle.plot(years, middle_line, label=f"compute doubles in {compute:g} years", **own)
        data += [{"panel": "uploads", **row} for row in rows]
    middle.set_yscale("log")
    middle.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    middle.set_xlabel("year")
    middle.set_ylabel("GPUs of that year to view all uploads")
    legend(middle, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=10)

    lags = next((row for row in results.rows if row["arm"] == "useful"), None)
    if lags is not None:
        useful = config["useful"]
        low, stated, high = (useful["doubling_years"][end] for end in ("low", "value", "high"))
        line = [low + (high - low) * i / 40 for i in range(41)]
        slope = lags["lag_years"] / stated
        right.plot(line, [slope * d for d in line], color=COLOURS[0], label=f"{useful['fraction']['value']:.0%} useful")
        right.plot([stated], [lags["lag_years"]], MARKERS[0], color=COLOURS[0], ms=9, label="at the stated doubling")
        right.axhline(useful["printed_lag_years"], ls="--", color=GREY, lw=1.6, label="printed")
        right.axvline(lags["doubling_years_of_printed_lag"], ls=":", color=GREY, lw=1.6, label="doubling that gives it")
        right.set_xlabel("data double in so many years")
        right.set_ylabel("years behind data that are all useful")
        right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=10)
        data.append({"panel": "useful", "doubling_years": stated, "lag_years": lags["lag_years"]})
    video, gaps = config["video"], next((row for row in results.rows if row["arm"] == "video"), {})
    told = "; ".join(
        f"{d['value']:g} years: doubles in {gaps[key]:.3g} years" if gaps[key] > 0 else f"{d['value']:g} years: closes"
        for d in video["compute_doubling_years"]
        if (key := f"gap_doubling_years_c{d['value']:g}") in gaps
    )
    rerun = config["rerun"]
    caption = (
        f"Left: when a desktop repeats a run of {rerun['gpus']['value']:g} GPUs for {rerun['months']['value']:g} "
        "months (points, with the range over all assumptions), and the printed years; those that the review's own "
        "formula does not give carry their number. One week gives what is printed for two. Middle: GPUs of the year "
        f"that run {video['workload']} over each frame uploaded (one of {video['cluster']} in the first year), data "
        f"doubling every {video['doubling_years']['value']:g} years; bands over all assumptions. The gap, by doubling "
        f"time of compute: {told}. Right: how far data useful in part lag behind data all useful, against their "
        "doubling time. "
    )
    return Drawing(drawn, data, caption + scope(results))


def _gpus(number: int) -> str:
    return "1 GPU" if number == 1 else f"{number} GPUs"


def claims(results: Results) -> Sequence[Answer]:
    answers: list[Answer] = []
    published = load_published()
    found = {(row["desktop_gpus"], row["span"], row["doubling_years"]): row for row in results.table("years")}
    for case, name in PRINTED.items():
        if case not in found:
            continue
        gpus, span, doubling = case
        row, setting = found[case], f"{SPANS[span]}; compute doubles every {doubling:g} years"
        other, departures = found.get((gpus, INSTEAD.get(span, ""), doubling)), ""
        if other and not in_band(row["year"], published[name]):
            departures = f"{SPANS[other['span']]} in place of {SPANS[span]}: {other['year']:.1f}"
        answers.append(Model(name, (row["year"],), setting, departures=departures))
    lags = results.values("useful", "lag_years")
    if 0 in lags:
        needed = results.values("useful", "doubling_years_of_printed_lag")[0]
        why = f"the printed lag needs data that double every {needed:.2f} years"
        answers.append(Model("PS286.lag", (lags[0],), departures=why))
        answers.append(Model("PS286.year", (results.values("useful", "year")[0],), departures=why))
    for name in ("PS278.us", "PS278.china", "PS279.extrapolation", "PS279.surprised", "PS279.conservative"):
        answers.append(NotRun(name, "the shares of papers it starts from are not printed"))
    answers.append(NotRun("PS283", "a forecast in words; nothing to compute it from is printed"))
    return answers
