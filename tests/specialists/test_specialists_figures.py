"""What section 5's figures show: intervals that can be told apart, and what there is of a study half done."""

from pathlib import Path
from typing import Any

import pytest

from repro import config
from repro.machine import ROOT
from repro.papers.hinton2015 import specialist_generalist, specialist_names, specialist_overfitting
from repro.results import Results

PAPER = config.load(ROOT / "config" / "paper.yaml")


def results(
    experiment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, Any]],
    **tables: list[dict[str, Any]],
) -> Results:
    """Rows and tables under the settings of scale paper."""
    monkeypatch.setattr(Results, "table", lambda self, name: tables.get(name, []))
    settings = PAPER.section(f"hinton2015.{experiment}").config.model_dump(mode="json")
    return Results(tmp_path, {"config": settings, "scale": "paper", "data": "cifar-100"}, rows)


def places(ax: Any) -> list[list[float]]:
    """Where the marks of each line with intervals stand."""
    return [[float(x) for x in container.lines[0].get_xdata()] for container in ax.containers]


def test_agreements_of_one_count_stand_side_by_side(tmp_path, monkeypatch):
    agreement = [
        {"seed": seed, "count": count, "clusters_of": of, "ari": 0.1 + 0.01 * seed, "nmi": 0.5 + 0.01 * seed}
        for of in ("covariance", "errors", "random", "covariance_t1")
        for count in (30, 40)
        for seed in (0, 1)
    ]
    rows = [{"arm": "generalist", "seed": seed, "accuracy": 60.0} for seed in (0, 1)]
    drawing = specialist_generalist.figure(
        results("specialist_generalist", tmp_path, monkeypatch, rows, agreement=agreement)
    )
    for ax in drawing.figure.axes[:2]:
        lines = places(ax)
        assert len(lines) == 4
        of_30, of_40 = (sorted(line[i] for line in lines) for i in (0, 1))
        assert len({*of_30, *of_40}) == 8
        assert of_30[0] < 30 < of_30[-1] < of_40[0] < 40 < of_40[-1]
    assert {row["clusters"] for row in drawing.data} == {30, 40}
    assert {row["n"] for row in drawing.data} == {2}


def test_agreements_without_rows_can_be_drawn(tmp_path, monkeypatch):
    drawing = specialist_generalist.figure(results("specialist_generalist", tmp_path, monkeypatch, []))
    drawing.figure.draw_without_rendering()
    assert drawing.data == []


def curves(**last: tuple[float, float]) -> list[dict[str, Any]]:
    """From 70 % before the first pass to so much after the last, by kind and seed, for special test cases."""
    epochs = PAPER.section("hinton2015.specialist_overfitting").config.specialists.training.epochs
    return [
        {"arm": kind, "seed": seed, "epoch": epoch, "split": "test", "metric": "conditional", "value": value}
        for kind, ends in last.items()
        for seed, end in enumerate(ends)
        for epoch, value in ((0, 70.0), (epochs, end))
    ]


def test_a_dustbin_s_wide_intervals_leave_the_other_kinds_readable(tmp_path, monkeypatch):
    found = curves(dustbin=(67.0, 71.0), full=(70.0, 70.2), full_soft=(70.4, 70.6))
    wide = specialist_overfitting.figure(results("specialist_overfitting", tmp_path, monkeypatch, [], curves=found))
    panel = wide.figure.axes[1]
    low, high = panel.get_ylim()
    shown = {row["arm"]: row for row in wide.data if row["passes"]}
    assert low < shown["dustbin"]["mean"] == pytest.approx(-1)
    assert low < shown["full"]["low"] < shown["full_soft"]["high"] < high
    assert shown["dustbin"]["low"] < 3 * low < 3 * high < shown["dustbin"]["high"]
    ends = f"{shown['dustbin']['low']:.1f} and {shown['dustbin']['high']:.1f} (middle)".replace("-", "−")
    assert ends in wide.caption
    assert len({line[-1] for line in places(panel)}) == 3


@pytest.mark.parametrize("kinds", [{"dustbin": (67.0, 71.0)}, {"dustbin": (70.1, 70.2), "full": (70.0, 70.2)}, {}])
def test_intervals_are_whole_where_they_hide_nothing(tmp_path, monkeypatch, kinds):
    found = curves(**kinds)
    drawing = specialist_overfitting.figure(results("specialist_overfitting", tmp_path, monkeypatch, [], curves=found))
    drawing.figure.draw_without_rendering()
    low, high = drawing.figure.axes[1].get_ylim()
    assert all(low < row["low"] <= row["high"] < high for row in drawing.data)
    assert {row["arm"] for row in drawing.data} == kinds.keys()
    assert "run out" not in drawing.caption


def test_correlations_have_a_box_for_every_cluster_and_names_a_bar(tmp_path, monkeypatch):
    clusters = [0, 0, 0, 1, 1, 2]
    table = [
        {"cluster": c, "class": f"class_{i}", "superclass": f"group {c % 2}", "correlations": "0.5 " * 5 + "1"}
        for i, c in enumerate(clusters)
    ]
    drawing = specialist_names.figure(results("specialist_names", tmp_path, monkeypatch, [], names=table))
    drawing.figure.draw_without_rendering()
    matrix, names = drawing.figure.axes[:2]
    assert [line.get_xdata()[:2].tolist() for line in matrix.lines] == [[-0.5, 2.5], [2.5, 4.5], [4.5, 5.5]]
    (image,) = matrix.images
    assert image.get_array().shape == (6, 6)
    assert [text.get_text() for text in names.texts] == [f"class {i}" for i in range(6)]
    assert "The 3 clusters" in drawing.caption
    assert all(set(row) == {"cluster", "class", "superclass"} for row in drawing.data)
