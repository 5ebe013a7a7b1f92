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

from pydantic import BaseModel, ConfigDict, Field, field_validator

from repro.compare import Answer, Model, NotRun
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results

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
UNVERIFIED = (
    "PS381", "PS381.parameters", "PS382", "PS382.parameters",
    *(f"PS{row}.{what}" for row in (389, 390) for what in ("top1", "top5", PARAMETERS, MULTIPLY_ADDS)),
)  # fmt: skip


class Config(BaseModel):
    """``nets`` are of the tables; ``searched_on`` and ``priced_on`` clusters of the simulator's shelf, or files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    return [Arm(ARM, config.model_dump(mode="json"), 1)]


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
    from repro.papers.zoph2017._figures import complexity

    return complexity(results, {name: rows[0] for name, rows in _rows(results).items()})


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
