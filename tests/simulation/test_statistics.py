"""Statistics of schedules whose answers are known."""

import json

import numpy as np
import pytest

from simulation.cycles import free_cycles
from simulation.distributions import Constant, LogNormal, ShiftedExponential
from simulation.engines import run
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    StaleSynchronous,
    SyncSGD,
)
from simulation.statistics import statistics, time_shares
from simulation.timing import Timing

SKEWED = ShiftedExponential(8e5, 2e5)


@pytest.mark.parametrize(
    ("protocol", "fields", "bound"),
    [
        (SyncSGD(8), {}, "compute"),
        (SyncSGD(8), {"allreduce_ns": 5_000_000}, "link"),
        (SyncSGD(8, "parameter_servers"), {"server_service_ns": 900_000}, "server"),
        (SyncSGD(200), {"pause_probability": 0.01, "pause_ns": 9_000_000}, "straggler"),
        (BackupWorkers(8, 2), {"push_ns": 9_000_000}, "link"),
        (LocalSGD(8, 10), {"averaging_ns": 100}, "compute"),
        (AsyncSGD(8), {}, "compute"),
        (AsyncSGD(8), {"server_service_ns": 800_000}, "server"),
        (AsyncSGD(8), {"pull_ns": 3_000_000}, "link"),
        (StaleSynchronous(8, 0), {"slowdown_sigma": 2.0}, "straggler"),
        (SyncSGD(1), {"failures_per_hour": 3e5, "restart_ns": 20_000_000}, "failure"),
        (Codistillation(6, SyncSGD(1), 5), {"slowdown_sigma": 2.0, "publish_ns": 1}, "peers"),
        (Codistillation(2, AsyncSGD(3), 5), {"adopt_ns": 9_000_000}, "peers"),
        (Codistillation(2, AsyncSGD(3), 5), {"teacher_forward_ns": 9_000_000}, "compute"),
    ],
)
def test_the_bound_is_what_was_made_slow(protocol, fields, bound):
    timing = Timing(SKEWED, **fields)
    result = statistics(run(protocol, timing, 60, seed=1), timing)
    assert result.bound == bound
    assert sum(result.shares.values()) == pytest.approx(1.0)
    assert min(result.shares.values()) >= -1e-12
    assert json.loads(json.dumps(result.to_dict()))["bound"] == bound


def test_sync_shares_add_up_to_the_clock():
    timing = Timing(Constant(600.0), allreduce_ns=400)
    schedule = run(SyncSGD(4), timing, 50)
    shares = time_shares(schedule, timing)
    assert shares["compute"] == pytest.approx(0.6)
    assert shares["link"] == pytest.approx(0.4)
    assert shares["straggler"] == 0.0
    assert statistics(schedule).time_per_update_ns == 1000.0
    assert statistics(schedule).bound == "unknown"


@pytest.mark.parametrize("protocol", [AsyncSGD(7), StaleSynchronous(7, 1), Codistillation(2, AsyncSGD(7), 9)])
def test_cycles_tile_every_workers_time(protocol):
    fields = {"publish_ns": 50_000, "adopt_ns": 70_000, "teacher_forward_ns": 30_000}
    codistilling = isinstance(protocol, Codistillation)
    timing = Timing(LogNormal(1e6, 0.6), server_service_ns=60_000, push_ns=5, **(fields if codistilling else {}))
    schedule = run(protocol, timing, 400)
    for group in range(protocol.groups):
        c = free_cycles(schedule, timing, group)
        assert len(c.row) == 400
        assert (c.begun >= c.previous).all()
        assert (c.departure - c.arrival >= timing.service_ns).all()
        assert (c.held_ns >= 0).all()
        if not codistilling:
            assert (c.held_ns == 0).all()
        # The servers' queue, from the arrivals alone.
        order = np.argsort(c.row)
        if not codistilling:
            done = 0
            for a, d in zip(c.arrival[order].tolist(), c.departure[order].tolist(), strict=True):
                done = max(done, a) + timing.service_ns
                assert done == d


def test_lost_work_is_counted():
    timing = Timing(SKEWED)
    backup = statistics(run(BackupWorkers(8, 2), timing, 100), timing)
    assert backup.dropped_gradients == 200
    assert backup.lost_share == pytest.approx(0.2)
    failing = Timing(Constant(1e9), failures_per_hour=100.0)
    result = statistics(run(SyncSGD(2), failing, 40, seed=2), failing)
    assert result.lost_updates > 0
    assert result.lost_share == pytest.approx(result.lost_updates / (result.lost_updates + 40))
    # Constant rounds, no restart: all time beyond forty rounds went to failures.
    assert result.shares["failure"] == pytest.approx(1 - 40e9 / result.duration_ns, abs=1e-9)


def test_staleness_and_teacher_age():
    timing = Timing(SKEWED)
    stale = statistics(run(AsyncSGD(10), timing, 5000))
    assert stale.staleness_mean == pytest.approx(9, abs=0.1)
    assert 9 <= stale.staleness_quantiles[0.9] <= stale.staleness_quantiles[1.0]
    assert stale.teacher_age_mean is None
    pair = statistics(run(Codistillation(2, SyncSGD(2), 10), timing, 100))
    assert (pair.teacher_age_mean, pair.teacher_age_min, pair.staleness_mean) == (10.0, 10, 0.0)


def test_the_frontier_is_the_first_time_anything_was_so_low():
    from matplotlib.figure import Figure

    from simulation.figures import frontier, improvements

    assert improvements([1, 2, 3, 4], [5.0, 6.0, 4.0, 4.0]) == ([1, 3], [5.0, 4.0])
    axes = Figure().subplots()
    frontier(axes, {"slow": ([1, 4], [5.0, 1.0]), "quick": ([2, 3], [3.0, 2.0])}, "loss")
    broad, slow, quick = axes.get_lines()
    assert list(zip(broad.get_xdata(), broad.get_ydata(), strict=True)) == [(5.0, 1), (3.0, 2), (2.0, 3), (1.0, 4)]
    assert list(slow.get_ydata()) == [1, 4]
    assert [line.get_label() for line in (broad, slow, quick)] == ["frontier", "slow", "quick"]


def test_many_protocols_can_be_told_apart():
    """No line is so broad that it hides others, and no two look alike; the sweep's legend covers no curve."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from simulation.cli_ask import _sweep_figure
    from simulation.figures import PARTS

    names = [f"protocol number {i}" for i in range(17)]
    rows = [
        {"protocol": name, "workers": n, "step_s": 0.1 * n, "examples_per_s": 100.0 * n}
        | {f"{part}_s": 0.01 for part in PARTS}
        for name in names
        for n in (8, 64, 512)
    ]
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    _sweep_figure(figure, rows)
    figure.canvas.draw()
    time = figure.axes[0]
    lines = time.get_lines()
    assert len(lines) == len({(x.get_color(), x.get_marker()) for x in lines}) == len(names)
    assert {line.get_linewidth() for line in lines} == {1.5}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    for axes in figure.axes:
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert "512 workers" in figure.axes[2].get_xlabel()
    assert "simulated" in figure.axes[2].get_xlabel()
