"""The figure of section 4. It sees recorded results only."""

from typing import Any

from repro.compare import t_interval
from repro.papers.hinton2015.ensembles import (
    Config,
    chosen_temperature,
    percent_right,
    printed_share,
    shares_kept,
    student_name,
    words,
)
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, axes
from repro.results import Results

ONE_COLOUR, ENSEMBLE_COLOUR, STUDENT_COLOUR, CONTROL_COLOUR = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3]


def ensembles(results: Results) -> Drawing:
    """Test error of single nets, of their means, and of nets distilled from them at each temperature."""
    config = Config.model_validate(results.config)
    figure, panels = axes(len(config.tasks), width_in=5.4 * len(config.tasks), height_in=4.6)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    shares = []
    for task, ax in zip(config.tasks, panels, strict=True):
        name = task.data
        ensemble = f"{name}.ensemble"
        lines: list[tuple[str, dict[int, float], str, str]] = [
            ("single", percent_right(results, ensemble, "members_test_errors"), ONE_COLOUR, MARKERS[0]),
            ("mean of p", percent_right(results, ensemble), ENSEMBLE_COLOUR, MARKERS[1]),
            ("mean of log p", percent_right(results, ensemble, "geometric_test_errors"), ENSEMBLE_COLOUR, MARKERS[1]),
        ]
        for temperature in config.temperatures:
            for source, colour, marker in (
                ("ensemble", STUDENT_COLOUR, MARKERS[2]), ("one", CONTROL_COLOUR, MARKERS[3]),
            ):  # fmt: skip
                found = percent_right(results, student_name(task, source, temperature))
                is_chosen = temperature == chosen_temperature(results, task, source, config)
                lines.append((f"T = {temperature:g}{' *' if is_chosen else ''}", found, colour, marker))
        ticks: list[str] = []
        for label, found, colour, marker in lines:
            bare = label.removesuffix(" *")
            if not ticks or ticks[-1].removesuffix(" *") != bare:
                ticks.append(bare)
            if not found:
                continue
            is_control = colour == CONTROL_COLOUR
            x = len(ticks) - 1 + (0.28 if is_control else 0.0)
            mean, low, high = t_interval([100 - right for right in found.values()])
            counts[f"{name} {label}"] = len(found)
            ends = None if low is None or high is None else [[mean - low], [high - mean]]
            ax.errorbar([x], [mean], yerr=ends, fmt=marker, color=colour, ms=8, capsize=4,
                        mfc=colour if label.endswith("*") or not label.startswith("T") else "white")  # fmt: skip
            row = {
                "data": name,
                "net": bare,
                "learns_from": "one" if is_control else "ensemble",
                "chosen": label != bare,
            }
            data.append(row | {"test_error_percent": mean, "low": low, "high": high, "n": len(found)})
        ax.set_xticks(range(len(ticks)), ticks, rotation=35, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.5, len(ticks) - 0.3)
        ax.grid(axis="x", visible=False)
        ax.set_title(words(task))
        kept = shares_kept(results, task, "ensemble", config)
        if kept:
            mean, low, high = t_interval(kept)
            ends_told = "" if low is None else f" ({low:.0f} to {high:.0f})"
            shares.append(f"{mean:.0f} %{ends_told} on {words(task)}")
    panels[0].set_ylabel("test error, %")
    handles = [
        panels[0].errorbar([], [], fmt=marker, color=colour, ms=8, label=label)
        for label, colour, marker in (
            ("single net", ONE_COLOUR, MARKERS[0]),
            (f"ensemble of {config.members}", ENSEMBLE_COLOUR, MARKERS[1]),
            ("student of the ensemble", STUDENT_COLOUR, MARKERS[2]),
            ("student of one net", CONTROL_COLOUR, MARKERS[3]),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(panels) > 1 else 2)
    caption = (
        f"Test error of single nets (mean of {config.members}), of ensembles that differ in initial weights alone, "
        "with the arithmetic (mean of p) and geometric (mean of log p) mean of their predictions, and of nets of the "
        "same size that learn from the soft targets of the ensemble, or of one net of it, at temperature T. Filled: "
        "the temperature with the fewest errors on held-out cases. 95 % t-intervals over ensembles "
        f"({number_of(counts.values())}). Share of the ensemble's gain that its student keeps: {'; '.join(shares)}; "
        f"printed for speech: {printed_share('KD-S10', 'KD-S08', 'KD-S06'):.0f} %. "
    )
    return Drawing(figure, data, caption + results.scope)
