"""The figures of section 3. They see recorded results only."""

from collections.abc import Mapping, Sequence
from typing import Any

from repro.compare import t_interval
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, band, legend, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import SETTING, Results

CHANCE_PERCENT = 80.0  # test error above which a student of ten classes has learned nothing


def marks(values: Mapping[Any, Sequence[float]]) -> list[Mark]:
    """Mean and 95 % interval of the values at every x that has any."""
    return [(x, *t_interval(found)) for x, found in values.items() if found]


def students(results: Results, labels: Mapping[str, str], printed: Mapping[str, str]) -> Drawing:
    """Test errors of teacher and students, each run a dot, printed numbers and bands behind."""
    figure, (ax,) = axes()
    published = load_published() if results.data == "mnist" else {}
    data: list[dict[str, Any]] = []
    counts = {}
    for position, (arm, _label) in enumerate(labels.items()):
        values = list(results.values(arm, "test_errors").values())
        if not values:
            continue
        mean, low, high = t_interval(values)
        counts[arm] = len(values)
        colour = COLOURS[position]
        spread = [position + 0.06 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        ax.plot(spread, values, MARKERS[position], color=colour, alpha=0.45, ms=6)
        ax.errorbar(
            [position + 0.3], [mean], yerr=None if low is None or high is None else [[mean - low], [high - mean]],
            fmt=MARKERS[position], color=colour, ms=9, capsize=4,
        )  # fmt: skip
        ax.annotate(f"{mean:.0f}", (position + 0.3, mean), (9, -4), textcoords="offset points", color=colour)
        row: dict[str, Any] = {"arm": arm, "mean": mean, "low": low, "high": high, "n": len(values)}
        if (found := published.get(printed[arm])) and found.value is not None:
            ends = (position - 0.38, position + 0.42)
            if found.low is not None and found.high is not None:
                ax.fill_between(ends, found.low, found.high, color="#bbbbbb", alpha=0.4, lw=0, zorder=0)
            ax.plot(ends, [found.value] * 2, "--", color=PRINTED, lw=1.6)
            ax.annotate(
                f"printed {found.value:g}", (ends[0], found.value), (0, 3), textcoords="offset points",
                fontsize=10, color=PRINTED,
            )  # fmt: skip
            row |= {"printed": found.value, "printed_low": found.low, "printed_high": found.high}
        data.append(row)
    ax.set_xticks(range(len(labels)), list(labels.values()))
    ax.set_xlim(-0.5, len(labels) - 0.35)
    ax.set_ylim(bottom=0)
    ax.grid(axis="x", visible=False)
    cases = results.rows[0]["test_cases"]
    ax.set_ylabel(f"test errors of {cases:,}")
    caption = (
        "Test errors of the large net and of small nets that learn from labels, from its soft targets at "
        f"T = {results.config['temperature']:g}, and from both. Small marks: single runs; large marks: mean with "
        f"95 % t-interval over seeds ({number_of(counts.values())}). "
    )
    if published:
        caption += "Dashed: the printed number; grey: the 95 % sampling band of one run. "
    return Drawing(figure, data, caption + results.scope)


def temperatures(results: Results) -> Drawing:
    """Test errors against temperature, a panel a width, the student on labels as a band."""
    from repro.papers.hinton2015.mnist_temperature import Config, arm_name

    config = Config.model_validate(results.config)
    columns = 2 if len(config.widths) > 1 else 1
    rows = -(-len(config.widths) // columns)
    figure, panels = axes(columns, rows, width_in=8.0, height_in=3.1 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, (width, ax) in enumerate(zip(config.widths, panels, strict=False)):
        units = width.hidden[0]
        drawn: list[Mark] = []
        for temperature in (None, *config.temperatures):
            values = list(results.values(arm_name(units, temperature), "test_errors").values())
            if not values:
                continue
            mean, low, high = t_interval(values)
            counts[arm_name(units, temperature)] = len(values)
            row = {"units": units, "temperature": temperature, "mean": mean, "low": low, "high": high}
            data.append(row | {"n": len(values)})
            if temperature is None:
                ax.axhline(mean, ls="--", color=PRINTED, lw=1.5, label="labels")
                if low is not None and high is not None:
                    band(ax, low, high)
            else:
                drawn.append((temperature, mean, low, high))
        if drawn:
            with_intervals(ax, drawn, number, "soft targets")
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, [t for t in config.temperatures if t in (1, 2, 4, 8, 20, 40)])
        ax.set_xlim(0.88 * min(config.temperatures), 1.14 * max(config.temperatures))
        n = sorted({c for name, c in counts.items() if name.startswith(f"units{units}.")})
        if n:
            ax.set_ylim(bottom=max(ax.get_ylim()[0], 0))
        else:
            ax.set_yticks([])
            ax.text(0.5, 0.5, "not run yet", transform=ax.transAxes, ha="center", color=PRINTED)
        ends = str(n[0]) if len(n) == 1 else f"{n[0]} to {n[-1]}" if n else "0"
        ax.set_title(f"2 × {units} units (n = {ends})")
        ax.set_xlabel("temperature T")
        ax.set_ylabel("test errors")
    legend(panels[0])
    for ax in panels[len(config.widths) :]:
        ax.set_visible(False)
    caption = (
        "Test errors of students of two hidden layers against the temperature of the soft targets they learn "
        "from (no labels), and of the same nets on labels (dashed, grey: 95 % interval). Bars: 95 % t-intervals over "
        "seeds. The paper prints that 30 units do best at T of 2.5 to 4, and 300 or more alike above 8, without "
        "numbers. "
    )
    return Drawing(figure, data, caption + results.scope)


def omitted_digits(results: Results) -> Drawing:
    """Errors by digit before and after the shifts, a panel a transfer set."""
    from repro.papers.hinton2015.mnist_omitted_digits import WAYS, Config, describe

    config = Config.model_validate(results.config)
    table = results.table("per_digit")
    names = {
        "raw": "as trained",
        "oracle": "shift chosen on test (paper)",
        "prior": "shift by prior, no labels",
    }
    rows = len(config.transfer_sets)
    figure, panels = axes(1, rows, width_in=8.0, height_in=3.4 * rows)
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
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    caption = (
        "Test error of each digit for students (soft targets alone) whose transfer set lacks digits: as trained, with "
        "the class biases shifted to the best place on the test set as in the paper, and with the shift at which the "
        "predicted mass of the classes matches their prior, which uses no labels. Linear below 1 %, logarithmic above. "
        f"Bars: means with 95 % t-intervals over n = {n} seeds; titles: all test errors, in the "
        "same order. "
    )
    return Drawing(figure, data, caption + results.scope)


def transfer_sizes(results: Results) -> Drawing:
    """Test error against the number of transfer cases, soft and hard."""
    from repro.papers.hinton2015.mnist_transfer_size import KINDS, Config

    config = Config.model_validate(results.config)
    figure, (ax,) = axes()
    names = {"hard": "labels", "soft": f"soft targets, T = {config.temperature:g}"}
    cases = results.rows[0]["test_cases"]
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    dead: list[str] = []
    for number, kind in enumerate(KINDS):
        percent: dict[float, list[float]] = {
            size: [100 * v / cases for v in results.values(f"{kind}.n{size}", "test_errors").values()]
            for size in config.sizes
        }
        drawn = marks(percent)
        for size, mean, low, high in drawn:
            counts[f"{kind}{size}"] = n = len(percent[size])
            row = {"targets": kind, "cases": size, "error_percent": mean, "low": low, "high": high}
            data.append(row | {"n": n})
        if drawn:
            with_intervals(ax, drawn, number, names[kind])
        each = [(size, value) for size, values in percent.items() for value in values]
        ax.scatter([size for size, _ in each], [value for _, value in each], s=16, color=COLOURS[number], alpha=0.4)
        dead += [f"{names[kind].split(',')[0]}, {size:,} cases" for size, value in each if value > CHANCE_PERCENT]
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_ticks(ax.xaxis, config.sizes)
    plain_ticks(ax.yaxis, (0.5, 1, 2, 5, 10, 20, 50))
    means = [row["error_percent"] for row in data]
    ax.set_ylim(0.7 * min(means), 1.6 * max(means))
    ax.set_xlabel("transfer cases")
    ax.set_ylabel("test error, %")
    legend(ax)
    caption = (
        "Test error of the student against the number of cases it learns from, with labels or with the soft targets of "
        "a teacher that saw all training cases. Balanced, nested subsets; small ones are repeated for at least "
        f"{config.least_steps:,} steps. 95 % t-intervals over seeds ({number_of(counts.values())}). The paper prints "
        f"no such curve. Faint: each seed.{_told_of(dead)} "
    )
    return Drawing(figure, data, caption + results.scope)


def _told_of(dead: Sequence[str]) -> str:
    if not dead:
        return ""
    return f" Ended at chance, at the rate tuned for students of all cases, and counted: {'; '.join(dead)}."


def logit_limit(results: Results) -> Drawing:
    """Left: distance of the two gradients over T. Right: distance of trained students from logit regression."""
    from repro.papers.hinton2015.mnist_logit_limit import Config

    config = Config.model_validate(results.config)
    figure, (left, right) = axes(2, width_in=8.6, height_in=3.8)
    data: list[dict[str, Any]] = []
    table = results.table("gradients")
    drawn = marks(
        {
            t: [row["relative_distance"] for row in table if row["temperature"] == t]
            for t in config.gradient_temperatures
        }
    )
    for t, mean, low, high in drawn:
        data.append({"panel": "gradients", "temperature": t, "mean": mean, "low": low, "high": high})
    n = len(results.values("gradients", "slope"))
    if drawn:
        with_intervals(left, drawn, 0, "measured")
        last, at_last = drawn[-1][:2]
        x = [mark[0] for mark in drawn]
        left.plot(x, [at_last * last / t for t in x], "--", color=PRINTED, lw=1.3, label="1/T")
    left.set_xscale("log")
    left.set_yscale("log")
    plain_ticks(left.xaxis, [t for t in config.gradient_temperatures if t in (1, 10, 100, 1000)])
    left.set_xlabel("temperature T")
    left.set_ylabel("|T² eq 2 − eq 4| / |eq 4|")
    legend(left)
    drawn = marks({t: list(results.values(f"t{t:g}", "distance").values()) for t in config.temperatures})
    for t, mean, low, high in drawn:
        data.append({"panel": "students", "temperature": t, "mean": mean, "low": low, "high": high})
    if drawn:
        with_intervals(right, drawn, 1, "student at T")
    if others := list(results.values("other_seed", "distance").values()):
        mean, low, high = t_interval(others)
        right.axhline(mean, ls="--", color=PRINTED, lw=1.5, label="another seed")
        data.append({"panel": "students", "temperature": None, "mean": mean, "low": low, "high": high})
    right.set_xscale("log")
    plain_ticks(right.xaxis, config.temperatures)
    right.set_ylim(bottom=0)
    right.set_xlabel("temperature T")
    right.set_ylabel("rms distance of test logits")
    legend(right)
    caption = (
        "Left: relative distance of the soft cross-entropy's gradient, times T², from that of logit matching, on real "
        "logits in float64. Right: root mean square distance of a student's zero-meaned test logits from those of a "
        "student of the same seed trained by logit regression; dashed: two logit-regression students of different "
        f"seeds. 95 % t-intervals over n = {n} seeds. The paper derives the limit and prints no numbers. "
    )
    return Drawing(figure, data, caption + results.scope)


def tuning(results: Results) -> Drawing:
    """Validation errors over the learning-rate grid, a panel a net, a line a kind of target."""
    rows = results.rows
    widths = sorted({row[f"{SETTING}hidden"] for row in rows}, key=lambda h: int(str(h).split()[0]))
    figure, panels = axes(min(3, len(widths)), -(-len(widths) // 3), width_in=9.5, height_in=3.3 * -(-len(widths) // 3))
    data: list[dict[str, Any]] = []
    for hidden, ax in zip(widths, panels, strict=False):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row[f"{SETTING}hidden"] == hidden:
                kind = str(row["arm"]).split(".rate")[0].split(".", 1)
                rate, errors = row[f"{SETTING}training.learning_rate"], row["validation_errors"]
                name = kind[1] if kind[0].startswith("units") else kind[0]
                lines.setdefault(name, []).append((rate, errors))
                data.append({"hidden": hidden, "net": name, "learning_rate": rate, "validation_errors": errors})
        for number, (name, points) in enumerate(sorted(lines.items())):
            x, y = zip(*sorted(points), strict=True)
            ax.plot(x, y, color=COLOURS[number % 7], marker=MARKERS[number % 7], label=name)
        best = [min(errors for _, errors in points) for points in lines.values()]
        ax.set_ylim(0.9 * min(best), min(ax.get_ylim()[1], max(2.0 * min(best), 1.15 * max(best))))
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({rate for points in lines.values() for rate, _ in points}))
        ax.set_title(f"hidden {' × '.join(str(hidden).split())}")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("validation errors")
        legend(ax, fontsize=8.5)
    for ax in panels[len(widths) :]:
        ax.set_visible(False)
    held_out = results.config["held_out"]
    caption = (
        f"Errors on {held_out:,} training cases held out, over the learning rates tried for every net and kind of "
        "target (tN: soft targets at temperature N). One seed a point. Points above twice the best of a panel are "
        "cut off: there the net did not learn. "
    )
    return Drawing(figure, data, caption + results.scope)


def dark_knowledge(results: Results) -> Drawing:
    """Test images beside the teacher's class probabilities, low T to high."""
    import numpy as np

    table = results.table("examples")
    cases = list(dict.fromkeys(row["case"] for row in table))
    temperatures_shown = sorted({row["temperature"] for row in table})
    columns = 1 + len(temperatures_shown)
    figure, panels = axes(
        columns, len(cases), width_in=1.5 + 2.3 * len(temperatures_shown), height_in=1.25 * len(cases)
    )
    for number, case in enumerate(cases):
        own = [row for row in table if row["case"] == case]
        pixels = next(row["pixels"] for row in own if row["pixels"] is not None)
        height = own[0]["height"]
        image = np.frombuffer(bytes.fromhex(str(pixels)[1:]), np.uint8).reshape(height, -1)
        ax = panels[number * columns]
        ax.imshow(image, cmap="gray_r", interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines[["left", "bottom"]].set_visible(False)
        if own[0]["predicted"] != own[0]["label"]:
            ax.set_ylabel("wrong", color=COLOURS[1])
        for column, temperature in enumerate(temperatures_shown, start=1):
            ax = panels[number * columns + column]
            chosen = [row for row in own if row["temperature"] == temperature]
            colours = [COLOURS[1] if i == own[0]["label"] else COLOURS[0] for i in range(len(chosen))]
            ax.bar(range(len(chosen)), [row["probability"] for row in chosen], color=colours)
            ax.set_xticks(range(len(chosen)), [str(i) for i in range(len(chosen))], fontsize=8)
            ax.set_yscale("log")
            ax.set_ylim(1e-9, 1.5)
            ax.set_yticks([1e-8, 1e-4, 1], ["$10^{-8}$", "$10^{-4}$", "1"], fontsize=8)
            ax.minorticks_off()
            ax.grid(axis="x", visible=False)
            if number == 0:
                ax.set_title(f"T = {temperature:g}")
    panels[(len(cases) - 1) * columns + 1].set_xlabel("class")
    metrics = results.rows[0]
    digit = results.config["digit"]
    caption = (
        f"Test images of class {digit} beside the teacher's probabilities (logarithmic), at growing temperature; the "
        f"true class in orange. Chosen to be near different rival classes; the teacher errs on {metrics['wrong']} of "
        f"{metrics['cases']}, and one it gets wrong is shown first if there is one. On average the other classes "
        f"get {metrics['mass_off_digit_t1']:.2%} of the mass at T = 1, {metrics['mass_off_digit_high_t']:.1%} at the "
        "highest T. One teacher. "
    )
    return Drawing(figure, [{k: v for k, v in row.items() if k != "pixels"} for row in table], caption + results.scope)
