"""The simulator's bench on record beside the others."""

import csv

from repro import bench
from repro.bench import Measurement, simulation
from simulation import bench as measured


def test_rows_of_the_simulator_become_measurements():
    row = measured.row("simulation.trace", "rate", 5e5, "slices/CPU-s", ">= 400000")
    made = simulation.measurement(row)
    assert made == Measurement("simulation.trace", "rate", 5e5, "slices/CPU-s", ">= 400000")
    assert made.met == "yes"
    missed = simulation.measurement(measured.row("replay.async_256", "ratio", 3, "x", ">= 12"))
    assert missed.met == "no"


def test_both_names_of_one_module_replace_their_old_rows_and_no_others(tmp_path, monkeypatch):
    path = tmp_path / "bench.csv"
    bench._record(path, [Measurement("training.memory", "peak", 1.0, "GB")])
    bench._record(path, [Measurement("simulation.a", "old", 1.0, "s"), Measurement("replay.b", "old", 1.0, "s")])
    found = [measured.row("simulation.a", "new", 2.0, "s", ""), measured.row("replay.b", "new", 3.0, "s", "")]
    monkeypatch.setattr(measured, "rows", lambda: found)
    bench.run_all(["simulation"], path)
    with path.open() as file:
        rows = [(row["benchmark"], row["quantity"]) for row in csv.DictReader(file)]
    assert rows == [("replay.b", "new"), ("simulation.a", "new"), ("training.memory", "peak")]
