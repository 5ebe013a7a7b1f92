"""Bytes of an exchange against formulas written out by hand."""

import pytest

from repro.papers.scaling import exchange_bytes
from repro.papers.scaling.exchange_bytes import break_even_steps, exchanged_bytes
from simulation.description import load_workload
from simulation.errors import UserError

RESNET = load_workload("resnet-50")


@pytest.mark.parametrize("workers", [2, 16, 128, 1024, 100_000])
def test_bytes_are_those_of_the_formulas(workers):
    """An all-reduce moves 2 (n - 1) B; two groups swap B each and hand it to n/2 - 1 others; every
    counterpart sends its batch's outputs to one other."""
    found = exchanged_bytes("p100-ethernet", "resnet-50", 2, workers)
    size = RESNET.gradient_bytes
    assert found["gradients"] == pytest.approx(2 * (workers - 1) * size)
    assert found["checkpoints"] == pytest.approx(2 * size + 2 * (workers // 2 - 1) * size)
    assert found["predictions"] == pytest.approx(workers * 32 * 4000)


def test_the_break_even_interval_makes_the_bytes_a_step_equal():
    found = exchanged_bytes("p100-ethernet", "resnet-50", 2, 128)
    interval = break_even_steps(found["checkpoints"], found["predictions"])
    assert found["checkpoints"] / interval == pytest.approx(found["predictions"])
    assert interval == pytest.approx(RESNET.gradient_bytes / (32 * 4000))


@pytest.mark.parametrize(("groups", "workers"), [(2, 3), (2, 12), (4, 2)])
def test_workers_that_do_not_fit_are_refused(groups, workers):
    with pytest.raises(UserError):
        exchanged_bytes("p100-ethernet", "resnet-50", groups, workers)


def test_the_record_holds_every_count_and_draws(record):
    results = record("scaling.exchange_bytes", "workers: [2, 16], workloads: [resnet-50]")
    drawing = exchange_bytes.figure(results)
    assert [row["workers"] for row in drawing.data] == [2, 16]
    assert results.data == "none"
    assert exchange_bytes.claims(results) == []
