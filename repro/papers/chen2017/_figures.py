"""The figures of the document retriever. They see recorded results only."""

from typing import Any

from repro.compare import t_interval
from repro.papers.chen2017 import bins as bins_module
from repro.papers.chen2017 import collection_size as size_module
from repro.papers.chen2017 import retriever as retriever_module
from repro.papers.chen2017._collection import DATA, UNITS, scope
from repro.plots.drawing import Drawing
from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend, with_intervals
from repro.published import load as load_published
from repro.results import Results

SHOWN = {
    "gold_at_1": "asked about, top 1",
    "gold_at_5": "asked about, top 5",
    "answer_at_1": "answer string, top 1",
    "answer_at_5": "answer string, top 5",
}

_LINES: tuple[tuple[str, float, Any], ...] = (("answer_at_5", 0.97, "-"), ("gold_at_5", 1.03, ":"))  # and a shift


def _spread(values: list[float]) -> tuple[float, float | None, float | None]:
    return t_interval(values) if values else (float("nan"), None, None)


def retriever(results: Results) -> Drawing:
    """A row a method, a mark a metric, a panel a kind of document."""
    figure, panels = axes(2, width_in=13.0, height_in=5.6)
    data: list[dict[str, Any]] = []
    methods = list(retriever_module.METHODS)
    for unit, ax in zip(UNITS, panels, strict=True):
        for number, (metric, label) in enumerate(SHOWN.items()):
            for place, method in enumerate(methods):
                values = list(results.values(f"{unit}.{method}", metric).values())
                if not values:
                    continue
                mean, low, high = _spread(values)
                ends = None if low is None or high is None else [[mean - low], [high - mean]]
                ax.errorbar(
                    [mean], [-place + 0.16 * (1.5 - number)], xerr=ends, fmt=MARKERS[number], color=COLOURS[number],
                    capsize=2.5, ms=6, label=label if method == methods[0] else None,
                )  # fmt: skip
                row = {"unit": unit, "method": method, "metric": metric, "mean": mean, "low": low, "high": high}
                data.append(row | {"n": len(values)})
        ax.set_ylim(0.6 - len(methods), 0.6)
        ax.set_yticks([-i for i in range(len(methods))], list(retriever_module.METHODS.values()))
        counts = {row["documents"] for row in results.rows if row["arm"].startswith(f"{unit}.")}
        ax.set_title(f"{', '.join(f'{c:,}' for c in sorted(counts))} {unit}")
        ax.set_xlabel("questions, %")
        ax.set_xlim(0, 101)
    panels[1].tick_params(labelleft=False)
    printed = load_published()["PS402.squad"]
    of_squad = results.data == DATA["paper"]
    if of_squad and printed.value is not None:
        panels[1].axvline(printed.value, ls="--", color=PRINTED, lw=1.5, label="printed P@5, 5 million articles")
    figure.legend(*_both(panels), loc="outside lower center", ncols=3)
    parts = results.config["parts"]
    caption = (
        "Questions of which the first or the first five documents include the one asked about, or contain an answer "
        "string (the paper's P@1 and P@5). Mean and 95 % t-interval over "
        f"n = {parts} parts of the articles; all documents are searched. "
    )
    if of_squad:
        caption += (
            "Dashed: the released model's P@5 over Wikipedia; over so few articles it is no goal, as random documents "
            "show. "
        )
    return Drawing(figure, data, caption + scope(results))


def _both(panels: Any) -> tuple[list[Any], list[str]]:
    handles, labels = [], []
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    return handles, labels


def bins(results: Results) -> Drawing:
    """Recall against the number of bins, and how many bins the n-grams fall into."""
    config = bins_module.Config.model_validate(results.config)
    figure, (left, right) = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    for number, order in enumerate(config.orders):
        name = "unigrams" if order == 1 else f"up to {order} words"
        marks, filled = [], []
        for bits in config.bits:
            arm = bins_module.arm_name(order, bits)
            values = list(results.values(arm, "gold_at_5").values())
            if values:
                marks.append((2.0**bits, *t_interval(values)))
                used = next(iter(results.values(arm, "bins_in_use").values()))
                filled.append((2.0**bits, used))
                row = {"order": order, "bins": 2**bits, "bins_in_use": used, "gold_at_5": marks[-1][1]}
                data.append(row | {"low": marks[-1][2], "high": marks[-1][3], "n": len(values)})
        with_intervals(left, marks, number, name)
        style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number]}
        right.plot([x for x, _ in filled], [y for _, y in filled], label=name, **style)
        exact = list(results.values(bins_module.arm_name(order, None), "gold_at_5").values())
        if exact:
            grams = next(iter(results.values(bins_module.arm_name(order, None), "bins_in_use").values()))
            left.axhline(t_interval(exact)[0], color=COLOURS[number], ls="--", lw=1.3)
            right.axhline(grams, color=COLOURS[number], ls="--", lw=1.3)
            data.append({"order": order, "bins": None, "bins_in_use": grams, "gold_at_5": t_interval(exact)[0]})
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xlabel("bins")
        legend(ax)
    left.set_ylim(bottom=0)
    left.set_ylabel("document asked about in top 5, %")
    right.set_yscale("log")
    right.set_ylabel("bins in use")
    caption = (
        f"Left: questions with the one of the {config.unit} asked about among the first five, against the number of "
        f"bins; mean and 95 % t-interval over n = {config.parts} parts of the articles. Right: bins that the n-grams "
        "of all documents fall into. Dashed: n-grams numbered one by one, none of which meet. "
    )
    return Drawing(figure, data, caption + scope(results))


def collection_size(results: Results) -> Drawing:
    """Answer strings and documents found against the number of articles searched."""
    config = size_module.Config.model_validate(results.config)
    figure, panels = axes(2, width_in=11.0, height_in=5.0)
    data: list[dict[str, Any]] = []
    for unit, ax in zip(UNITS, panels, strict=True):
        for number, method in enumerate(size_module.METHODS):
            for metric, shift, line in _LINES:
                marks = []
                for articles in config.articles:
                    values = list(results.values(size_module.arm_name(unit, method, articles), metric).values())
                    if values:
                        marks.append((articles * shift, *t_interval(values)))
                        row = {"unit": unit, "method": method, "metric": metric, "articles": articles}
                        low, high = marks[-1][2:]
                        data.append(row | {"mean": marks[-1][1], "low": low, "high": high, "n": len(values)})
                what = "answer string" if metric == "answer_at_5" else "document asked about"
                drawn = len(ax.get_lines())  # the line itself is the first that error bars add
                with_intervals(ax, marks, number, f"{method}, {what}")
                ax.get_lines()[drawn].set_linestyle(line)
        ax.set_title(f"five {unit}")
        ax.set_xscale("log")
        ax.set_xticks(config.articles, [str(n) for n in config.articles])
        ax.minorticks_off()
        ax.set_ylim(0, 103)
        ax.set_xlabel("articles in the collection")
    panels[0].set_ylabel("questions, %")
    figure.legend(*_both(panels), loc="outside lower center", ncols=3, fontsize=10)
    caption = (
        f"The same questions, about {config.articles[0]} articles, asked of collections of more and more articles. "
        "Full lines: an answer string stands in one of the first five documents (the paper's P@5); dotted: the one "
        f"asked about is among them. Mean and 95 % t-interval over n = {config.seeds} draws of the articles. "
    )
    return Drawing(figure, data, caption + scope(results))
