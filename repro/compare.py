"""The one place that compares ours with the printed numbers, by rules that stand before any run.

An experiment's ``claims`` returns answers: ``Value`` (the paper's own quantity, same protocol), ``Claim`` (a
direction, ordering or ratio, as paired differences over seeds), ``Model`` (a simulated number) or ``NotRun``.
``judge`` turns each into a row of ``comparison.csv``. Verdicts by kind, mean and 95 % t-interval over seeds:

value
    ``reproduced`` if the mean of at least three seeds lies in the printed band; ``differs`` if our whole
    interval lies outside it; else ``undecided``, also where nothing is printed to serve as a band.
claim
    ``holds`` if our whole interval lies on the claimed side of the null, ``fails`` if on the other; else
    ``undecided``, always so with fewer than two seeds.
model
    ``within`` if the mean lies in the printed band, ``outside`` if our whole interval (a deterministic
    model's single number) lies outside it; else ``undecided``. A model never reproduces anything. Where no band
    is printed, a model may bring a relative error, declared before the run, that serves as one.
not_run
    ``not_run``: the experiment says so, has no runs on record, or nothing speaks to a printed result; why not is
    what the experiment, or its paper's ``beyond``, says.

``not_judged`` is a verdict of its own, for what is shown and must not pass for undecided: numbers of
confidence ``unverified`` (whatever the kind), values on another data set than the paper's (of kind ``claim``:
the printed band does not apply), and values against printed settings or derived numbers. A claim brings its
own null and may cite any row. The reason for a verdict that is no judgement stands in ``departures``.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from repro.comparison_rows import COLUMNS, KINDS, VERDICTS, Row, counts, read, write
from repro.errors import UserError
from repro.published import Published, stem_of

__all__ = [
    "COLUMNS", "KINDS", "VERDICTS", "Answer", "Claim", "Model", "NotRun", "Row", "Value",
    "complete", "counts", "factor_interval", "judge", "read", "reason_beyond", "t_interval", "write",
]  # fmt: skip

LEAST_SEEDS = 3  # for a value to count as reproduced


@dataclass(frozen=True)
class Value:
    """The paper's own quantity under its own protocol, one number a seed, in the printed unit.

    ``id`` is the printed row's, or ``<row>.<which>`` for one of several answers to it. Sizes, times and other positive
    numbers that vary ``by_factors`` have the geometric mean and the interval of their logarithms.
    """

    id: str
    ours: tuple[float, ...]
    setting: str = ""
    unit: str = ""
    departures: str = ""
    quantity: str | None = None
    by_factors: bool = False


@dataclass(frozen=True)
class Claim:
    """What a paper says must show in ours: ``differences``, one a seed, all to one side of ``null``.

    Differences are paired by seed; they may be ratios, with another null than zero, and vary ``by_factors`` as those of
    a ``Value``. A printed number of the same
    quantity is shown and not judged: the printed row's own (``shows_printed``), or ``published``, made of several rows.
    """

    id: str
    quantity: str
    differences: tuple[float, ...]
    null: float = 0.0
    direction: Literal["greater", "less"] = "greater"
    setting: str = ""
    unit: str = ""
    departures: str = ""
    shows_printed: bool = False
    published: float | None = None
    by_factors: bool = False

    def __post_init__(self) -> None:
        if self.direction not in ("greater", "less"):
            raise ValueError(f"{self.id}: direction is greater or less, not {self.direction!r}")


@dataclass(frozen=True)
class Model:
    """A number only the simulator can speak about: one a simulated seed, or a single one.

    ``tolerance`` is a relative error declared in code before the run; it judges where no band is printed.
    """

    id: str
    ours: tuple[float, ...]
    setting: str = ""
    unit: str = ""
    departures: str = ""
    quantity: str | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"{self.id}: a tolerance is a relative error above 0, not {self.tolerance}")


@dataclass(frozen=True)
class NotRun:
    """A printed result that was not run here, and why."""

    id: str
    reason: str


Answer = Value | Claim | Model | NotRun
Reasons = Sequence[tuple[str, str]]  # a pattern over a printed row's words, and why no experiment speaks to such rows
NOBODY_SPEAKS = "no experiment of this scale speaks to it"


def t_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95 % t-interval of independent seeds; the ends are None for a single one.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if not n:
        raise ValueError("an interval needs at least one value")
    # Clamped, for the rounded mean of equal values can differ from them and leave the band they lie on.
    mean = min(max(math.fsum(values) / n, min(values)), max(values))
    if n == 1:
        return mean, None, None
    from scipy.special import stdtrit  # the t quantile alone: scipy.stats takes a second to import

    distance = math.dist(values, [mean] * n)  # root of the sum of squares, without overflow
    half = float(stdtrit(n - 1, 0.975)) * distance / math.sqrt(n * (n - 1))
    return mean, mean - half, mean + half


def factor_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Geometric mean and the 95 % t-interval of the logarithms, of positive numbers that vary by factors.

    Raises:
        ValueError: no values, or one that is not positive.
    """
    mean, low, high = t_interval([math.log(value) for value in values])
    return math.exp(mean), None if low is None else math.exp(low), None if high is None else math.exp(high)


Interval = Callable[[Sequence[float]], tuple[float, float | None, float | None]]


def _interval(answer: Answer) -> Interval:
    return factor_interval if isinstance(answer, Value | Claim) and answer.by_factors else t_interval


def judge(
    answer: Answer,
    published: Mapping[str, Published],
    *,
    same_data: bool = True,
    data: str = "",
    suffix: str = "",
    command: str = "",
    hardware: str = "",
    commit: str = "",
) -> Row:
    """The comparison row of one answer.

    Args:
        same_data: it was run on the paper's own data set; only then is a value held against the printed band.
        data: name of the data set, told in ``setting`` where it is not the paper's.
        suffix: appended to the id, to set rows of a swapped data set apart.

    Raises:
        UserError: the id belongs to no printed row, or the unit is not the printed one.
    """
    printed = _printed(answer, published)
    name = f"{answer.id}.{suffix}" if suffix else answer.id
    if isinstance(answer, NotRun):
        return _not_run(name, printed, answer.reason)
    ours = answer.differences if isinstance(answer, Claim) else answer.ours
    if not ours:
        return _not_run(name, printed, "no runs on record", answer.quantity)
    interval, averaged = _interval(answer), "geometric mean" if _interval(answer) is factor_interval else ""
    own_data = "" if same_data else f"on {data or 'another data set'}"
    if isinstance(answer, Claim):
        verdict, reason = _claim_verdict(answer, printed)
        shown = (printed.value, printed.low, printed.high) if answer.shows_printed else (answer.published, None, None)
        side = f"claimed {'>' if answer.direction == 'greater' else '<'} {answer.null:g}"
        kind, setting, unit = "claim", _words(answer.setting, averaged, own_data, side), answer.unit
    else:
        shown = (printed.value, printed.low, printed.high)
        setting, unit = _words(answer.setting or printed.setting, averaged, own_data), printed.unit
        if isinstance(answer, Model):
            printed, declared = _with_declared_band(answer, printed)
            kind, (verdict, reason) = "model", _model_verdict(ours, printed)
            setting = _words(setting, declared)
        elif same_data:
            kind, (verdict, reason) = "value", _value_verdict(ours, printed, interval)
        else:
            kind, verdict, reason = "claim", "not_judged", "the printed band holds for the paper's own data"
    mean, low, high = interval(ours) if all(map(math.isfinite, ours)) else (None, None, None)
    return Row(
        name, printed.paper, printed.where, answer.quantity or printed.quantity, setting, unit, *shown,
        printed.confidence, mean, low, high, len(ours), kind, verdict, _words(answer.departures, reason),
        command, hardware, commit,
    )  # fmt: skip


def complete(
    rows: Iterable[Row],
    published: Mapping[str, Published],
    waiting: Mapping[str, Sequence[str]],
    beyond: Mapping[str, Reasons],
) -> list[Row]:
    """A ``not_run`` row for each printed result that none of ``rows`` speaks to.

    ``waiting`` maps each paper of the scale to its experiments that have no run on record yet: one of them may speak
    to it one day. ``beyond`` maps papers to why results are left to none of them.
    """
    spoken = {stem_of(row.id, published) for row in rows}

    def reason(printed: Published) -> str:
        if why := reason_beyond(printed, beyond.get(printed.paper, ())):
            return why
        if not waiting[printed.paper]:
            return NOBODY_SPEAKS
        return f"no experiment on record speaks to it; not run yet: {', '.join(waiting[printed.paper])}"

    return [
        _not_run(printed.id, printed, reason(printed))
        for printed in published.values()
        if printed.role == "result" and printed.paper in waiting and printed.id not in spoken
    ]


def reason_beyond(printed: Published, reasons: Reasons) -> str | None:
    """The reason of the first pattern found in ``<id> | <where> | <experiment> | <quantity> | <setting>``."""
    told = f"{printed.id} | {printed.where} | {printed.experiment} | {printed.quantity} | {printed.setting}"
    return next((reason for pattern, reason in reasons if re.search(pattern, told)), None)


def _printed(answer: Answer, published: Mapping[str, Published]) -> Published:
    stem = stem_of(answer.id, published)
    if stem is None:
        raise UserError(f"{answer.id}: no printed row has this id; add one to repro/published or mend the id")
    printed = published[stem]
    if isinstance(answer, Value | Model) and answer.unit and answer.unit != printed.unit:
        raise UserError(f"{answer.id}: printed in {printed.unit or 'no unit'}, ours in {answer.unit}; convert ours")
    return printed


Verdict = tuple[str, str]  # and the reason, where it is not a judgement


def _value_verdict(ours: Sequence[float], printed: Published, interval: Interval) -> Verdict:
    if withheld := _withheld(ours, printed):
        return withheld
    low, high = _band(printed)
    if len(ours) >= LEAST_SEEDS and low <= interval(ours)[0] <= high:
        return "reproduced", ""
    if _outside(interval(ours), low, high) and len(ours) > 1:
        return "differs", ""
    return "undecided", "" if len(ours) >= LEAST_SEEDS else f"fewer than {LEAST_SEEDS} seeds"


def _model_verdict(ours: Sequence[float], printed: Published) -> Verdict:
    if withheld := _withheld(ours, printed):
        return withheld
    low, high = _band(printed)
    found = t_interval(ours)
    if low <= found[0] <= high:
        return "within", ""
    return ("outside" if _outside(found, low, high) else "undecided"), ""


def _with_declared_band(model: Model, printed: Published) -> tuple[Published, str]:
    """The printed row with the model's tolerance as its band, and words for it, where none is printed."""
    if model.tolerance is None or printed.value is None or (printed.low, printed.high) != (None, None):
        return printed, ""
    half = model.tolerance * abs(printed.value)
    band = replace(printed, low=printed.value - half, high=printed.value + half)
    return band, f"declared: within {model.tolerance:.0%}"


def _claim_verdict(claim: Claim, printed: Published) -> Verdict:
    if printed.confidence == "unverified":
        return "not_judged", "what the paper says is unverified"
    if not all(map(math.isfinite, claim.differences)):
        return "undecided", "not all of ours are finite"
    _, low, high = _interval(claim)(claim.differences)
    if low is None or high is None:
        return "undecided", "fewer than 2 seeds"
    below, above = high < claim.null, low > claim.null
    holds, fails = (above, below) if claim.direction == "greater" else (below, above)
    return ("holds" if holds else "fails" if fails else "undecided"), ""


def _withheld(ours: Sequence[float], printed: Published) -> Verdict | None:
    """Why a value or a model cannot be held against the printed number at all."""
    if printed.confidence == "unverified":
        return "not_judged", "the printed number is unverified"
    if printed.role != "result":
        return "not_judged", f"the printed number is no result (role {printed.role})"
    if printed.low is None and printed.high is None:
        return "undecided", "no band is printed"
    if not all(map(math.isfinite, ours)):
        return "undecided", "not all of ours are finite"
    return None


def _band(printed: Published) -> tuple[float, float]:
    """The printed band; an end that is not printed ('>8') is open."""
    low = -math.inf if printed.low is None else printed.low
    high = math.inf if printed.high is None else printed.high
    return low, high


def _outside(ours: tuple[float, float | None, float | None], band_low: float, band_high: float) -> bool:
    """The whole interval, or the single number, lies on one side of the band."""
    mean, low, high = ours
    return (mean if high is None else high) < band_low or (mean if low is None else low) > band_high


def _not_run(name: str, printed: Published, reason: str, quantity: str | None = None) -> Row:
    return Row(
        name, printed.paper, printed.where, quantity or printed.quantity, printed.setting, printed.unit,
        printed.value, printed.low, printed.high, printed.confidence, None, None, None, 0,
        "not_run", "not_run", reason, "", "", "",
    )  # fmt: skip


def _words(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
