"""Tables 1 to 3: multiply-adds and parameters of every NASNet-A, and what its search cost.

The paper prints parameters for all nets and multiply-adds for those on ImageNet. Here each net is built as
``repro.models.nasnet`` has it, on torch's meta device, where nothing is computed, and its layers tell what they would
do on one image. What is counted was fixed before comparing, and is what the ShuffleNets are counted by:

- multiply-adds of all convolutions and of the last layer on one image of the printed size, without the auxiliary head,
  which only training uses; none for normalisation, pooling, activations and sums;
- parameters that are learned, with batch normalisation's gain and bias a channel and without the auxiliary head. Its
  running mean and variance are stored and not learned: ``departures`` says what the count would be with them.

The rule: a count is ``within`` if it rounds to the printed digits.

The search: 500 GPUs for 4 days, printed as 2,000 "GPU-hours", are so many GPU-days. The hours are judged against the
print, and priced by the simulator's shelf: hours of the GPU of cluster ``searched_on`` become hours of that of
``priced_on``, which has a price, by the floating-point operations each attains a second.

Departures, all forced by what is not printed:
- What the figures leave open is as in the authors' release (see ``repro.models.nasnet``), which has 4 @ 1056,
  6 @ 4032 and 6 @ 768 alone. Its first convolution has 32 channels in the mobile net and 96 in the large one; the two
  nets between, which it does not have, are counted as the large one, and with 32 in ``departures``.
- 5 @ 1538: 1538 is no number that the last cell can concatenate; 1536 is, and counted.
- NASNet-B and NASNet-C are not counted: their cells are printed as pictures alone, and no released code has them.

Cost: fifteen CPU-seconds at scale ``paper``. Nothing is learned, nothing random.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from repro.compare import Answer, Model, NotRun
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from repro.models.counting import LayerCount

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
ARM = "counts"
HOURS_PER_DAY = 24
MULTIPLY_ADDS, PARAMETERS, STORED = "multiply_adds", "parameters", "stored"
DEPTHWISE, POINTWISE, FITS, NORMALISATION = "depthwise", "pointwise", "1x1_fits", "normalisation"
STEM, LAST = "stem", "last_layer"
KINDS = {
    DEPTHWISE: "depthwise convolutions",
    POINTWISE: "pointwise convolutions",
    FITS: "1x1 fits of a cell's inputs",
    STEM: "first convolution",
    LAST: "last layer",
    NORMALISATION: "batch normalisation",
}


@dataclass(frozen=True)
class Printed:
    """A net of the tables: the stem of its rows' ids, images of ``size`` pixels, and the channels that its first
    convolution may have, the one that is judged first; none for small images, where it follows from the filters."""

    id: str
    repeats: int
    penultimate: int
    size: int
    classes: int
    stems: tuple[int, ...] = ()


NETS = {
    "4 @ 1056": Printed("PS388", 4, 1056, 224, 1000, (32,)),
    "5 @ 1538": Printed("PS387", 5, 1538, 299, 1000, (96, 32)),
    "7 @ 1920": Printed("PS386", 7, 1920, 299, 1000, (96, 32)),
    "6 @ 4032": Printed("PS385", 6, 4032, 331, 1000, (96,)),
    "6 @ 768": Printed("PS377", 6, 768, 32, 10),
    "7 @ 2304": Printed("PS379", 7, 2304, 32, 10),
}
RIVALS = {"PS391": "SENet", "PS392": "ShuffleNet 2x", "PS393": "MobileNet"}
RIVALS_AT = {"PS391": (-20, -13), "PS392": (9, -5), "PS393": (9, 6)}  # points from the mark: two are neighbours
UNVERIFIED = (
    "PS381", "PS381.parameters", "PS382", "PS382.parameters",
    *(f"PS{row}.{what}" for row in (389, 390) for what in ("top1", "top5", PARAMETERS, MULTIPLY_ADDS)),
)  # fmt: skip


class Config(Options):
    """``nets`` are of the tables; ``searched_on`` and ``priced_on`` clusters of the simulator's shelf, or files."""

    nets: tuple[str, ...] = Field(tuple(NETS), min_length=1)
    searched_on: str = "p100-ethernet"
    priced_on: str = "cloud-k80"

    @field_validator("nets")
    @classmethod
    def _of_the_tables(cls, nets: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [net for net in nets if net not in NETS]:
            raise ValueError(f"no net {unknown[0]!r}; there are {', '.join(NETS)}")
        return nets


def arms(config: Config) -> list[Arm]:
    return [Arm(ARM, config.model_dump(mode="json"), 1, device="cpu")]


def kind_of(one: "LayerCount") -> str:
    """Where a layer of a NASNet stands in the figure."""
    if one.name.startswith("stem."):
        return STEM
    if one.name == "last":
        return LAST
    if one.multiply_adds == 0:
        return NORMALISATION
    if ".fit_" in one.name:
        return FITS
    return DEPTHWISE if getattr(one.layer, "groups", 1) > 1 else POINTWISE


def _counted(name: str, printed: Printed, stem: int | None) -> dict[str, Any]:
    import torch

    from repro.models.counting import layer_counts, total
    from repro.models.nasnet import NASNet, for_imagenet, for_small_images, stage_filters

    filters = stage_filters(printed.penultimate)
    small = for_small_images(printed.repeats, filters)
    net = small if stem is None else for_imagenet(printed.repeats, filters, stem)
    with torch.device("meta"):
        built = NASNet(net, printed.classes)
    layers = layer_counts(built, (3, printed.size, printed.size))
    found = total(layers)
    row: dict[str, Any] = {"net": name, "filters": filters[0], "stem": net.stem, "size": printed.size}
    row |= {MULTIPLY_ADDS: found.multiply_adds, PARAMETERS: found.parameters}
    row[STORED] = sum(one.stored for one in layers)
    for kind in KINDS:
        own = [one for one in layers if kind_of(one) == kind]
        row[f"{MULTIPLY_ADDS}_{kind}"] = sum(one.multiply_adds for one in own)
        row[f"{PARAMETERS}_{kind}"] = sum(one.parameters for one in own)
    return row


def _search_cost(searched_on: str, priced_on: str) -> dict[str, float]:
    """Hours of the GPUs that searched, and of one with a price, and the price; PS394 prints GPUs and days."""
    from repro.errors import UserError
    from repro.published import load
    from simulation.description import load_cluster

    printed = load()
    hours = HOURS_PER_DAY * (printed["PS394.gpus"].value or 0.0) * (printed["PS394.days"].value or 0.0)
    used, paid = load_cluster(searched_on).device, load_cluster(priced_on).device
    if paid.price_per_hour_usd is None:
        raise UserError(f"{priced_on}: its device has no price; name another cluster as priced_on, or give it one")
    rates = [device.peak_flop_per_s * device.attained_fraction for device in (used, paid)]
    priced_hours = hours * rates[0] / rates[1]
    return {"gpu_hours": hours, "priced_hours": priced_hours, "usd": priced_hours * paid.price_per_hour_usd}


def run(arm: Arm, seed: int, context: Context) -> Result:
    rows = [_counted(name, NETS[name], stem) for name in arm.settings["nets"] for stem in (NETS[name].stems or (None,))]
    search = _search_cost(arm.settings["searched_on"], arm.settings["priced_on"])
    return Result({"nets": len(arm.settings["nets"]), **search}, tables={ARM: rows})


def _rows(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Counts by net, the judged one first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in results.table(ARM):
        found.setdefault(str(row["net"]), []).append(row)
    return found


def figure(results: Results) -> Drawing:
    """Printed top-1 error against multiply-adds, and where multiply-adds and parameters of each net sit."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend, plain_ticks
    from repro.published import load

    rows = {name: judged for name, (judged, *_) in _rows(results).items()}
    printed = load()
    drawn, (left, middle, right) = axes(3, width_in=13.5, height_in=4.6)
    data: list[dict[str, Any]] = []

    def value(id: str) -> float:
        return printed[id].value or 0.0

    on_imagenet = [name for name in rows if f"{NETS[name].id}.{MULTIPLY_ADDS}" in printed]
    for number, name in enumerate(on_imagenet):
        stem = NETS[name].id
        error, theirs = 100 - value(f"{stem}.top1"), value(f"{stem}.{MULTIPLY_ADDS}")
        ours = rows[name][MULTIPLY_ADDS] / 1e6
        first = number == 0
        left.plot([ours], [error], MARKERS[0], color=COLOURS[0], ms=8, label="NASNet-A, counted" if first else None)
        left.plot([theirs], [error], "x", color=PRINTED, ms=9, mew=2, label="printed" if first else None)
        left.annotate(name, (ours, error), (0, 10), textcoords="offset points", ha="center", color=COLOURS[0])
        data.append({"net": name, "top1_error": error, "multiply_adds_M": ours, "printed_M": theirs})
    for stem, name in RIVALS.items():
        error, theirs = 100 - value(f"{stem}.top1"), value(f"{stem}.{MULTIPLY_ADDS}")
        left.plot([theirs], [error], "x", color=PRINTED, ms=9, mew=2)
        left.annotate(name, (theirs, error), RIVALS_AT[stem], textcoords="offset points", color=PRINTED, va="center")
        data.append({"net": name, "top1_error": error, "printed_M": theirs})
    left.set_xscale("log")
    left.set_xlim(150, 90_000)
    plain_ticks(left.xaxis, (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000))
    left.tick_params(axis="x", labelrotation=45)
    left.margins(y=0.12)
    left.set_xlabel("multiply-adds, millions")
    left.set_ylabel("printed top-1 error, %")
    legend(left, loc="upper right", bbox_to_anchor=(1.0, 0.88))

    names = list(rows)[::-1]
    for ax, quantity, words in ((middle, MULTIPLY_ADDS, "multiply-adds"), (right, PARAMETERS, "parameters")):
        starts = [0.0] * len(names)
        for number, (kind, label) in enumerate(KINDS.items()):
            shares = [100 * rows[name][f"{quantity}_{kind}"] / rows[name][quantity] for name in names]
            colour = "#999999" if kind == NORMALISATION else COLOURS[number]
            ax.barh(names, shares, left=starts, color=colour, height=0.68, label=label)
            starts = [start + share for start, share in zip(starts, shares, strict=True)]
            data += [
                {"net": name, "quantity": quantity, "kind": kind, "share_percent": share}
                for name, share in zip(names, shares, strict=True)
            ]
        ax.set_xlim(0, 100)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"share of {words}, %")
    right.set_yticks(range(len(names)), [""] * len(names))
    handles, labels = middle.get_legend_handles_labels()
    drawn.legend(handles, labels, ncols=6, loc="outside upper center", fontsize=10, columnspacing=1.0, handlelength=1.2)
    search = {metric: next(iter(results.values("counts", metric).values())) for metric in ("gpu_hours", "usd")}
    caption = (
        "Left: printed top-1 error of the nets on ImageNet against multiply-adds of one image, as counted here and as "
        "printed; the rivals are as the paper cites them. Middle and right: the layers that multiply-adds and "
        f"parameters belong to. Finding the cells took {search['gpu_hours']:,.0f} GPU-hours, or "
        f"${search['usd'] / 1e3:,.0f} thousand at the simulator's price for {results.config['priced_on']}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    from repro.published import load

    answers: list[Answer] = []
    printed = load()
    for name, (judged, *others) in _rows(results).items():
        stem = NETS[name].id
        notes = [f"{other[MULTIPLY_ADDS] / 1e6:.0f} with {other['stem']} channels in the first" for other in others]
        if f"{stem}.{MULTIPLY_ADDS}" in printed:
            departures = "; ".join(notes)
            answers.append(Model(f"{stem}.{MULTIPLY_ADDS}", (judged[MULTIPLY_ADDS] / 1e6,), departures=departures))
        stored = f"{(judged[PARAMETERS] + judged[STORED]) / 1e6:.2f} with the running statistics that are not learned"
        answers.append(Model(f"{stem}.{PARAMETERS}", (judged[PARAMETERS] / 1e6,), departures=stored))
    answers += [
        NotRun(id, "its cells are printed as pictures alone, and no released code has them to check against")
        for id in UNVERIFIED
    ]
    for id, gpus, days in (
        ("PS395.final", "PS394.gpus", "PS394.days"),
        ("PS395.previous", "PS394.previous_gpus", "PS394.previous_days"),
    ):
        product = (printed[gpus].value or 0.0) * (printed[days].value or 0.0)
        setting = f"{printed[gpus].value:g} GPUs for {printed[days].value:g} days"
        why = f"{product:g} are GPU-days"
        answers.append(Model(id, (HOURS_PER_DAY * product,), setting, departures=why))
    return answers
