"""The review's questions put to this suite: what its own runs cost, on what, and when on one core.

The review asks who can afford to repeat JFT-300M's run. Here the same is asked of every run on record in
``results/<record>/*/*/timing.csv``. Recorded seconds of one core become floating-point operations at the rate of a
core of the simulator's shelf; a device of a cluster of its shelf does them at its own rate. Runs are independent, so
that many devices do them side by side, longest first, without talking to each other; the longest run bounds the time.
Where the shelf knows a price, device-hours cost that. One core: the year in which it does all in an hour or a minute,
if compute doubles every 2 or 3 years from when the runs were made.

Departures: counting every recorded second as arithmetic makes the work an upper bound. A step of nets as small as ours
is over before an accelerator is busy, so that they reach no more than so many FLOP/s on any: an assumption, whose
range ends where so many runs share a device that it is busy after all. Waiting in queues, reading data and starting up
are left out, as are runs that were not made on a processor's core. The record is read when this runs: ``--again``
prices a later one, and ``record_sha256`` says which it was.

Cost: less than a CPU-second. Nothing is learned, nothing random.
"""

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer
from repro.errors import UserError
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.files import read_csv
from repro.papers.dettmers2017._growth import Assumed, over, years_until
from repro.plots.drawing import Drawing
from repro.results import TIMING_HEAD, WORDS, Results
from repro.runner import RESULTS
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
CORE = "one_core"
SECONDS_PER_HOUR = 3600


class Config(Options):
    """``core`` and ``clusters`` are names of the simulator's shelf, or files; ``record`` is the scale that is priced.

    ``core_share`` is a recorded core's rate as a share of what the shelf says is attained there, and
    ``small_net_flop_per_s`` the most that nets as small as ours reach on any device.
    """

    record: Literal["paper", "cluster"] = "paper"
    core: str = "laptop-two-cores"
    core_share: Assumed
    clusters: tuple[str, ...] = Field(min_length=1)
    small_net_flop_per_s: Assumed
    devices: tuple[PositiveInt, ...] = Field(min_length=1)
    doubling_years: tuple[Assumed, ...] = Field(min_length=1)
    spans_hours: dict[str, PositiveFloat] = Field(min_length=1)


def arms(config: Config) -> list[Arm]:
    settings = config.model_dump(mode="json")
    priced = {k: settings[k] for k in ("record", "core", "core_share", "small_net_flop_per_s", "devices")}
    dated = {k: settings[k] for k in ("record", "doubling_years", "spans_hours")}
    on_clusters = [Arm(name, priced | {"cluster": name}, 1, device="cpu") for name in config.clusters]
    return [Arm(CORE, dated, 1, device="cpu"), *on_clusters]


def recorded_runs(folder: Path) -> list[dict[str, Any]]:
    """Rows of ``<paper>/<experiment>/timing.csv`` under ``folder`` made on a core, by path, each with its ``study``.

    Raises:
        UserError: nothing is on record there, or a file is damaged.
    """
    rows = []
    for path in sorted(folder.glob("*/*/timing.csv")):
        header, found = read_csv(path, WORDS)
        if tuple(header) != TIMING_HEAD or not all(isinstance(row["seconds"], (int, float)) for row in found):
            raise UserError(f"{path}: is no table of recorded seconds; restore it from version control")
        study = str(path.parent.relative_to(folder))
        rows += [{"study": study, **row} for row in found if row["hardware_class"] == "cpu"]
    if not rows:
        raise UserError(f"{folder}: nothing is on record; run the suite at that scale first, or name another 'record'")
    return rows


def makespan(durations: Iterable[float], machines: int) -> float:
    """Time until all independent runs are done, each on the machine that is free first, the longest run first."""
    free = [0.0] * machines
    for duration in sorted(durations, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def run(arm: Arm, seed: int, context: Context) -> Result:
    # This study's own seconds are of the suite too, but they would change the record each time it is priced.
    own = f"{Path(__file__).parent.name}/{Path(__file__).stem}"
    rows = [row for row in recorded_runs(RESULTS / arm.settings["record"]) if row["study"] != own]
    seconds = [float(row["seconds"]) for row in rows]
    digest = hashlib.sha256("\n".join(f"{r['study']} {r['digest']} {r['seconds']}" for r in rows).encode()).hexdigest()
    metrics: dict[str, float | int | str] = {
        "runs": len(rows),
        "core_hours": sum(seconds) / SECONDS_PER_HOUR,
        "longest_run_hours": max(seconds) / SECONDS_PER_HOUR,
        "record_sha256": digest,
    }
    found = _years(rows, arm.settings) if arm.name == CORE else _priced(seconds, arm.settings)
    return Result({**metrics, **found.metrics}, tables=found.tables)


def _years(rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> Result:
    total_hours = sum(float(row["seconds"]) for row in rows) / SECONDS_PER_HOUR
    made = max(datetime.fromisoformat(str(row["finished"])) for row in rows)
    start = made.year + (made.timetuple().tm_yday - 1) / 365
    years = []
    for doubling in (Assumed.model_validate(d) for d in settings["doubling_years"]):
        for span, hours in settings["spans_hours"].items():

            def year(doubling: float, hours: float = hours) -> float:
                return start + years_until(total_hours, hours, doubling)

            value, low, high = over({"doubling": doubling}, year)
            row = {"doubling_years": doubling.value, "span": span, "span_hours": hours}
            years.append(row | {"year": value, "year_low": low, "year_high": high})
    hours_of: dict[str, float] = {}
    for run_row in rows:
        paper = str(run_row["study"]).split("/")[0]
        hours_of[paper] = hours_of.get(paper, 0.0) + float(run_row["seconds"]) / SECONDS_PER_HOUR
    papers = [{"study": paper, "core_hours": hours} for paper, hours in hours_of.items()]
    return Result({"made_year": start}, tables={"years": years, "papers": papers})


def _priced(seconds: Sequence[float], settings: Mapping[str, Any]) -> Result:
    from simulation.cluster import Device
    from simulation.description import load_cluster

    def rate(device: Device) -> float:
        return device.peak_flop_per_s * device.attained_fraction

    core, device = load_cluster(settings["core"]).device, load_cluster(settings["cluster"]).device
    shares = {
        "core_share": Assumed.model_validate(settings["core_share"]),
        "small_net_flop_per_s": Assumed.model_validate(settings["small_net_flop_per_s"]),
    }

    def slowness(core_share: float, small_net_flop_per_s: float) -> float:
        """Seconds of the device for one second of the core."""
        return rate(core) * core_share / min(rate(device), small_net_flop_per_s)

    factor, low, high = over(shares, slowness)
    price = device.price_per_hour_usd
    rows = []
    for devices in settings["devices"]:
        hours = makespan(seconds, devices) / SECONDS_PER_HOUR
        rows.append({"devices": devices, "hours": hours * factor, "hours_low": hours * low, "hours_high": hours * high})
    total = sum(seconds) / SECONDS_PER_HOUR
    found: dict[str, float | int | str] = {"device": device.name, "device_seconds_per_core_second": factor}
    found |= {"device_hours": total * factor, "device_hours_low": total * low, "device_hours_high": total * high}
    if price is not None:
        found |= {"usd": total * factor * price, "usd_low": total * low * price, "usd_high": total * high * price}
    return Result(found, tables={"hours": rows})


def figure(results: Results) -> Drawing:
    """Hours of all recorded runs on clusters of the shelf, and the year in which one core is enough."""
    from repro.papers.dettmers2017._figures import scope, style_of
    from repro.plots.style import PRINTED as GREY
    from repro.plots.style import axes, legend

    config = results.config
    drawn, (left, right) = axes(2, width_in=12.0, height_in=5.0)
    data: list[dict[str, Any]] = []
    named: set[str] = set()
    counts, clusters = config["devices"], config["clusters"]
    for row in results.table("hours"):
        number = counts.index(row["devices"])
        at = clusters.index(row["arm"]) + 0.22 * (number - (len(counts) - 1) / 2)
        error = [[row["hours"] - row["hours_low"]], [row["hours_high"] - row["hours"]]]
        label = "one device" if row["devices"] == 1 else f"{row['devices']} devices"
        left.errorbar([at], [row["hours"]], yerr=error, **style_of(number, label, named))
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
        right.errorbar([row["year"]], [at], xerr=error, **style_of(number, label, named))
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
    return Drawing(drawn, data, caption + scope(results))


def claims(results: Results) -> Sequence[Answer]:
    """None: nothing is printed of this suite."""
    return []
