"""The figures of the projections. They see recorded results only."""

from typing import Any

from matplotlib.ticker import MaxNLocator

from repro.papers.dettmers2017.projections import PRINTED, SPANS, in_band
from repro.papers.dettmers2017.suite_runs import CORE
from repro.plots.drawing import Drawing
from repro.plots.style import COLOURS, MARKERS, axes, legend
from repro.plots.style import PRINTED as GREY
from repro.published import load as load_published
from repro.results import Results


def scope(results: Results) -> str:
    """Scale and hardware, for the end of a caption."""
    return f"Scale {results.scale}, computed from assumptions, nothing learned."


def _gpus(number: int) -> str:
    return "1 GPU" if number == 1 else f"{number} GPUs"


def projections(results: Results) -> Drawing:
    """Years of the rerun beside the printed ones; GPUs for a year of uploads; lag of data that are useful in part."""
    config = results.config
    figure, (left, middle, right) = axes(3, width_in=15.0, height_in=5.0)
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
        style = _style(number, label, named)
        left.errorbar([row["year"]], [at], xerr=error, **style)
        name = PRINTED.get((row["desktop_gpus"], row["span"], row["doubling_years"]))
        printed = published[name] if name else None
        if printed and printed.value is not None:
            left.plot([printed.value], [at], "|", color=GREY, ms=13, mew=2.5, label=_once("printed", named))
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
    return Drawing(figure, data, caption + scope(results))


def _once(label: str, named: set[str]) -> str | None:
    """The label the first time it is asked for, for a legend that names each thing once."""
    if label in named:
        return None
    named.add(label)
    return label


def _style(number: int, label: str, named: set[str]) -> dict[str, Any]:
    return {"fmt": MARKERS[number], "color": COLOURS[number], "capsize": 3, "label": _once(label, named)}


def suite_runs(results: Results) -> Drawing:
    """Hours of all recorded runs on clusters of the shelf, and the year in which one core is enough."""
    config = results.config
    figure, (left, right) = axes(2, width_in=12.0, height_in=5.0)
    data: list[dict[str, Any]] = []
    named: set[str] = set()
    counts, clusters = config["devices"], config["clusters"]
    for row in results.table("hours"):
        number = counts.index(row["devices"])
        at = clusters.index(row["arm"]) + 0.22 * (number - (len(counts) - 1) / 2)
        error = [[row["hours"] - row["hours_low"]], [row["hours_high"] - row["hours"]]]
        label = "one device" if row["devices"] == 1 else f"{row['devices']} devices"
        left.errorbar([at], [row["hours"]], yerr=error, **_style(number, label, named))
        data.append({"panel": "clusters", **row})
    left.set_yscale("log")
    left.set_xticks(range(len(clusters)), [name.replace("-", "\n") for name in clusters])
    left.set_ylabel("hours for all runs on record")
    legend(left, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    spans = sorted(config["spans_hours"], key=lambda span: -config["spans_hours"][span])
    for row in results.table("years"):
        number = [d["value"] for d in config["doubling_years"]].index(row["doubling_years"])
        at = -spans.index(row["span"]) + 0.12 * (1 - 2 * number)
        error = [[row["year"] - row["year_low"]], [row["year_high"] - row["year"]]]
        label = f"compute doubles in {row['doubling_years']:g} years"
        right.errorbar([row["year"]], [at], xerr=error, **_style(number, label, named))
        data.append({"panel": "one core", **row})
    core = next((row for row in results.rows if row["arm"] == CORE), None)
    if core is not None:
        right.axvline(core["made_year"], color=GREY, ls="--", lw=1.4, label="runs made")
    right.set_yticks([-i for i in range(len(spans))], spans)
    right.set_ylim(0.5 - len(spans), 0.5)
    right.set_xlabel("year in which one core does all runs in so long")
    legend(right, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    any_row = results.rows[0]
    costs = "; ".join(
        f"{row['arm']} {row['usd']:.2f} ({row['usd_low']:.2f} to {row['usd_high']:.2f}) USD"
        for row in results.rows
        if row.get("usd") is not None
    )
    most = config["small_net_flop_per_s"]
    caption = (
        f"The {any_row['runs']} runs on record at scale {config['record']}, {any_row['core_hours']:.2f} hours of one "
        f"core, the longest {any_row['longest_run_hours']:.2f}. Left: done side by side on devices of the simulator's "
        f"shelf, on which nets so small reach at most {most['value']:.2g} FLOP/s ({most['low']:.2g} to "
        f"{most['high']:.2g}: with the rate of a recorded core, the intervals; their lower ends are devices kept busy "
        "by many runs at once). The longest run bounds the time. Device-hours where the shelf has a price: "
        f"{costs or 'none'}. Right: when one core is enough, with the range over doubling times. "
    )
    return Drawing(figure, data, caption + scope(results))
