"""Section 3: a student recognises digits it never saw, once its biases are put right.

The paper: without any 3 in the transfer set the student makes 206 errors, 133 of them on the 1010 threes; with
the bias of class 3 raised by 3.5 (chosen on the test set) 109 errors, 14 on threes. With only 7s and 8s in the
transfer set it errs on 47.3 % of the test cases, and on 13.2 % once the biases of 7 and 8 are lowered by 7.6.

Here: both transfer sets, soft targets alone and beside labels, each judged three ways: as trained; with the
shift that is best on the test set (the paper's way, an oracle); and with the shift at which the mean predicted
mass of the shifted classes over the unlabelled training inputs equals their share of the training set, which
looks at no label.

Departures: the temperature of these runs is not printed: T = 20 here as in the headline; schedule as in
``mnist_students``. Cost at scale ``paper``: 1 to 3 minutes of one core a run, 12 runs.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from repro.compare import Answer, Claim, Value
from repro.contrasts import one_per_teacher
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Student
from repro.papers.hinton2015._teachers import teachers
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
WAYS = ("raw", "oracle", "prior")
DEPARTURES = "T of these runs and the labels' weight are not printed: T = 20 here; shorter schedule"
TARGETS = {"soft": "soft targets alone", "soft_hard": "soft targets and labels"}


class TransferSet(Options):
    """Classes left out (``shifted`` upwards later) or the only ones kept (``shifted`` downwards)."""

    name: str
    omit: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()
    epochs: int = Field(gt=0)

    @field_validator("omit", "keep")
    @classmethod
    def _are_digits(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if not all(0 <= c <= 9 for c in classes):
            raise ValueError("classes are digits 0 to 9")
        return classes

    @property
    def shifted(self) -> tuple[int, ...]:
        return self.omit or self.keep


class Config(Options):
    seeds: int = Field(3, ge=1)
    temperature: float = Field(20.0, gt=0)
    student: Student
    transfer_sets: tuple[TransferSet, ...] = Field(min_length=1)

    @field_validator("transfer_sets")
    @classmethod
    def _either_or(cls, sets: tuple[TransferSet, ...]) -> tuple[TransferSet, ...]:
        if any(bool(s.omit) == bool(s.keep) for s in sets):
            raise ValueError("each transfer set has either omit or keep, with at least one digit")
        if any(set(s.omit) >= set(range(10)) for s in sets):
            raise ValueError("a transfer set without any digit is empty; omit fewer")
        return sets


def arms(config: Config) -> list[Arm]:
    needs = (Need("teacher", experiment="mnist_students"),)
    listed = []
    for chosen in config.transfer_sets:
        classes = {"omit": list(chosen.omit), "keep": list(chosen.keep)}
        for kind in ("soft", "soft_hard"):
            settings = getattr(config.student, kind)(config.temperature, epochs=chosen.epochs) | classes
            listed.append(Arm(f"{chosen.name}.{kind}", settings, config.seeds, needs))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import load_once
    from repro.distill import bias, transfer
    from repro.papers.hinton2015 import _nets as nets

    data = load_once(context.data)
    omit, keep = arm.settings["omit"], arm.settings["keep"]
    labels = data.train.labels
    index = transfer.without_classes(labels, omit) if omit else transfer.only_classes(labels, keep)
    classes = omit or keep
    model, points = nets.fit_student(arm.settings, seed, context, index)

    test = nets.logits_of(model, data.test.images)
    train = nets.logits_of(model, data.train.images)
    prior = sum(int((labels == c).sum()) for c in classes) / len(labels)
    shifts = {
        "raw": 0.0,
        "oracle": bias.best_shift(test, data.test.labels, classes)[0],
        "prior": bias.prior_matched_shift(train, classes, prior),
    }
    metrics: dict[str, float | int | str] = {
        "transfer_cases": len(index),
        "test_cases": len(data.test.labels),
    }
    per_digit = []
    for way, shift in shifts.items():
        logits = bias.shifted(test, classes, shift)
        metrics[f"{way}_shift"] = shift
        metrics[f"{way}_errors"] = nets.errors(logits, data.test.labels)
        wrong = logits.argmax(1) != data.test.labels
        for digit in range(len(data.classes)):
            of_digit = data.test.labels == digit
            counts = {"cases": int(of_digit.sum()), "errors": int((wrong & of_digit).sum())}
            per_digit.append({"way": way, "digit": digit, **counts})
        of_shifted = torch.isin(data.test.labels, torch.tensor(classes))
        metrics[f"{way}_errors_shifted_classes"] = int((wrong & of_shifted).sum())
    return Result(metrics | nets.precision(arm.settings, context), points, {"per_digit": per_digit})


def figure(results: Results) -> Drawing:
    """Errors by digit before and after the shifts, a panel a transfer set."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import COLOURS, axes

    config = Config.model_validate(results.config)
    table = results.table("per_digit")
    names = {
        "raw": "as trained",
        "oracle": "shift chosen on test (paper)",
        "prior": "shift by prior, no labels",
    }
    rows = len(config.transfer_sets)
    drawn, panels = axes(1, rows, width_in=8.0, height_in=3.4 * rows)
    data: list[dict[str, Any]] = []
    n = 0
    for chosen, ax in zip(config.transfer_sets, panels, strict=True):
        arm = f"{chosen.name}.soft"
        digits = sorted({row["digit"] for row in table})
        totals = []
        for number, way in enumerate(WAYS):
            cells = [row for row in table if row["arm"] == arm and row["way"] == way]
            percent = {d: [100 * r["errors"] / r["cases"] for r in cells if r["digit"] == d] for d in digits}
            for digit, mean, low, high in marks(percent):
                n = len(percent[digit])
                data.append(
                    {"transfer_set": chosen.name, "way": way, "digit": digit, "error_percent": mean}
                    | {"low": low, "high": high, "n": n}
                )
                x = digit + 0.27 * (number - 1)
                ax.bar(x, mean, 0.26, color=COLOURS[number], label=names[way] if digit == digits[0] else None)
                if low is not None and high is not None:
                    ends = [[mean - max(low, 0)], [min(high, 100) - mean]]
                    ax.errorbar([x], [mean], yerr=ends, fmt="none", color="black", capsize=2, lw=1)
            found = list(results.values(arm, f"{way}_errors").values())
            if found:
                totals.append(f"{sum(found) / len(found):.0f}")
        title = describe(chosen)
        ax.set_title(f"{title}: {', '.join(totals)} test errors")
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        ax.set_ylim(0, 105)
        ax.set_xticks(digits)
        ax.set_ylabel("test error of the digit, %")
        ax.grid(axis="x", visible=False)
    panels[-1].set_xlabel("digit")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    caption = (
        "Test error of each digit for students (soft targets alone) whose transfer set lacks digits: as trained, with "
        "the class biases shifted to the best place on the test set as in the paper, and with the shift at which the "
        "predicted mass of the classes matches their prior, which uses no labels. Linear below 1 %, logarithmic above. "
        f"Bars: means with 95 % t-intervals over n = {n} seeds; titles: all test errors, in the "
        "same order. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for chosen in config.transfer_sets:
        for kind in ("soft", "soft_hard"):
            arm = f"{chosen.name}.{kind}"

            def metric(name: str, arm: str = arm) -> tuple[float, ...]:
                return tuple(one_per_teacher(results.values(arm, name), teachers(results)).values())

            setting = f"{TARGETS[kind]}; {describe(chosen)}"
            if chosen.omit == (3,):
                answers += [
                    Value(f"KD-M07.{kind}", metric("raw_errors"), setting=setting, departures=DEPARTURES),
                    Value(
                        f"KD-M08.{kind}", metric("raw_errors_shifted_classes"), setting=setting, departures=DEPARTURES
                    ),
                    Value(f"KD-M09.{kind}", metric("oracle_shift"), setting=setting, departures=DEPARTURES),
                    Value(f"KD-M10.{kind}", metric("oracle_errors"), setting=setting, departures=DEPARTURES),
                    Value(
                        f"KD-M11.{kind}",
                        metric("oracle_errors_shifted_classes"),
                        setting=setting,
                        departures=DEPARTURES,
                    ),
                    Value(f"KD-M12.{kind}", _percent_right(results, arm), setting=setting, departures=DEPARTURES),
                    Value(
                        f"KD-M10.{kind}_prior",
                        metric("prior_errors"),
                        setting=f"{setting}; shift chosen without labels",
                        departures="the shift matches the class's prior instead of being chosen on the test set",
                    ),
                ]
            if chosen.keep == (7, 8):
                percent = 100.0 / results.rows[0]["test_cases"]
                raw, oracle, prior = (tuple(percent * e for e in metric(f"{way}_errors")) for way in WAYS)
                lowered = tuple(-shift for shift in metric("oracle_shift"))
                answers += [
                    Value(f"KD-M13.{kind}", raw, setting=setting, departures=DEPARTURES),
                    Value(f"KD-M14.{kind}", lowered, setting=setting, departures=DEPARTURES),
                    Value(f"KD-M15.{kind}", oracle, setting=setting, departures=DEPARTURES),
                    Value(
                        f"KD-M15.{kind}_prior",
                        prior,
                        setting=f"{setting}; shift chosen without labels",
                        departures="the shift matches the classes' prior instead of being chosen on the test set",
                    ),
                ]
            stem = "KD-M10" if chosen.omit else "KD-M15"
            for way in ("oracle", "prior"):
                gained = [a - b for a, b in zip(metric(f"{way}_errors"), metric("raw_errors"), strict=True)]
                answers.append(
                    Claim(
                        f"{stem}.{kind}_{way}_gain",
                        f"test errors after the {way} shift minus before",
                        tuple(gained),
                        direction="less",
                        setting=setting,
                        unit="errors",
                    )
                )
    return answers


def describe(chosen: TransferSet) -> str:
    """A transfer set in words."""
    digits = " and ".join(f"{digit}s" for digit in chosen.shifted)
    return f"no {digits} in the transfer set" if chosen.omit else f"only {digits} in the transfer set"


def _percent_right(results: Results, arm: str) -> tuple[float, ...]:
    """Share of the omitted digits' test cases that are right after the oracle's shift, one number a teacher."""
    rows = [r for r in results.table("per_digit") if r["arm"] == arm and r["way"] == "oracle" and r["digit"] == 3]
    right = {row["seed"]: 100.0 * (1 - row["errors"] / row["cases"]) for row in rows}
    return tuple(one_per_teacher(right, teachers(results)).values())
