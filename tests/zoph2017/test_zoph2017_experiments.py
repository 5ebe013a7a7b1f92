"""NASNet's experiments: printed digits, the search's cost, cells of equal cost, rates chosen on held-out cases."""

from types import SimpleNamespace

import pytest

from repro import compare
from repro.errors import UserError
from repro.models.counting import Counts, LayerCount, total
from repro.papers.zoph2017 import cells, complexity
from repro.published import load

COUNTED = 'nets: ["4 @ 1056", "5 @ 1538", "6 @ 768"]'


@pytest.fixture
def counted(record):
    return record("zoph2017.complexity", COUNTED)


def test_counts_are_judged_by_the_printed_digits(counted):
    printed = load()
    rows = {row.id: row for row in (compare.judge(answer, printed) for answer in complexity.claims(counted))}
    verdicts = {id: row.verdict for id, row in rows.items() if row.verdict != "not_run"}
    assert verdicts == {
        "PS388.multiply_adds": "within",
        "PS388.parameters": "within",
        "PS377.parameters": "within",
        # Counted with the stem of the large net; with that of the mobile one it is outside too.
        "PS387.multiply_adds": "outside",
        "PS387.parameters": "outside",
        # Printed as hours, but days.
        "PS395.final": "outside",
        "PS395.previous": "outside",
    }
    small_stem = float(rows["PS387.multiply_adds"].departures.split()[0])
    assert small_stem < rows["PS387.multiply_adds"].ours
    assert small_stem > printed["PS387.multiply_adds"].high
    assert {id for id, row in rows.items() if row.verdict == "not_run"} == set(complexity.UNVERIFIED)
    assert set(complexity.UNVERIFIED) < set(printed)


def test_the_search_is_counted_in_hours_and_priced(counted):
    rows = {answer.id: answer for answer in complexity.claims(counted)}
    assert rows["PS395.final"].ours == (500 * 4 * 24,)
    assert rows["PS395.previous"].ours == (800 * 28 * 24,)
    (found,) = counted.rows
    assert found["gpu_hours"] == 48_000
    # By the shelf: 10.6 TFLOP/s of which 40 % are attained, against 4.37 of which 25 % are, at 0.90 an hour.
    assert found["priced_hours"] == pytest.approx(48_000 * 10.6 * 0.4 / (4.37 * 0.25))
    assert found["usd"] == pytest.approx(0.9 * found["priced_hours"])


def test_kinds_of_layers_add_up_to_the_whole(counted):
    for row in counted.table(complexity.ARM):
        for quantity in (complexity.MULTIPLY_ADDS, complexity.PARAMETERS):
            assert sum(row[f"{quantity}_{kind}"] for kind in complexity.KINDS) == row[quantity]
        assert row["multiply_adds_normalisation"] == 0
        assert row["parameters_normalisation"] + 2 * row["stem"] == row["stored"]
    shares = [row for row in complexity.figure(counted).data if "share_percent" in row]
    for net in ("4 @ 1056", "5 @ 1538", "6 @ 768"):
        own = [row["share_percent"] for row in shares if row["net"] == net and row["quantity"] == "parameters"]
        assert sum(own) == pytest.approx(100)
    drawn = {row["net"]: row for row in complexity.figure(counted).data if "printed_M" in row}
    assert set(drawn) == {"4 @ 1056", "5 @ 1538", "SENet", "ShuffleNet 2x", "MobileNet"}
    assert drawn["4 @ 1056"]["top1_error"] == pytest.approx(26.0)


def test_nets_and_clusters_that_cannot_be_are_refused(record):
    with pytest.raises(UserError, match="no net '3 @ 7'"):
        record("zoph2017.complexity", 'nets: ["3 @ 7"]')
    with pytest.raises(UserError, match="p100-ethernet: its device has no price"):
        record("zoph2017.complexity", 'nets: ["6 @ 768"], priced_on: p100-ethernet')


def test_a_sum_over_no_layers_is_nothing():
    assert total([]) == Counts(0, 0, 0)
    assert complexity.kind_of(LayerCount("stem.0", None, 5, 5, 0)) == complexity.STEM
    assert complexity.kind_of(LayerCount("cells.0.fit_now.1", None, 5, 5, 0)) == complexity.FITS
    assert complexity.kind_of(LayerCount("cells.0.x", SimpleNamespace(groups=3), 5, 5, 0)) == complexity.DEPTHWISE


@pytest.mark.parametrize("number", range(5))
def test_random_cells_get_the_multiply_adds_of_the_searched_one(number):
    net = (1, 8, 2)  # repeats, filters and stride of config/paper.yaml
    _, wanted = cells.matched(None, *net, 0.05, (3, 32, 32), 10)
    architecture, has = cells.matched(number, *net, 0.05, (3, 32, 32), 10)
    assert has == pytest.approx(wanted, rel=0.05)
    first, _, last = architecture.filters
    assert last == pytest.approx(4 * first, abs=3)


def test_cells_that_cannot_be_matched_are_refused():
    with pytest.raises(UserError, match=r"random cells 0: no filters give .* to 0%, .* are nearest"):
        cells.matched(0, 1, 4, 1, 1e-6, (1, 8, 8), 2)


TWO = {
    "seeds": 3, "random_cells": 2, "filters": 4, "held_out": 50, "rates": [0.1, 0.4],
    "training": {"epochs": 1, "batch_size": 25},
}  # fmt: skip


class Synthetic:
    """Results of these errors by arm: (held-out, test) of each seed."""

    config = TWO
    scope = "Scale none."

    def __init__(self, errors):
        self.errors = errors
        self.rows = [
            {"settings.cells": arm.split(".rate")[0], "multiply_adds": 2e6, "test_cases": 200, "arm": arm}
            for arm in errors
        ]

    def values(self, arm, metric):
        column = ("held_out_errors", "test_errors").index(metric)
        return {seed: pair[column] for seed, pair in enumerate(self.errors.get(arm, ()))}


ERRORS = {
    "nasnet_a.rate0.1": [(9, 20), (9, 22), (9, 18)],
    "nasnet_a.rate0.4": [(8, 30), (9, 32), (9, 34)],  # fewer held-out errors: its own rate
    "random_0.rate0.1": [(12, 40), (12, 44), (12, 40)],  # a tie: the smaller rate
    "random_0.rate0.4": [(12, 10), (12, 10), (12, 10)],
    "random_1.rate0.1": [(10, 36), (10, 36), (10, 40)],  # the best random pair by held-out errors
    "random_1.rate0.4": [(30, 10), (30, 10), (30, 10)],
}


def test_cells_are_compared_at_their_own_rates_by_seed():
    results = Synthetic(ERRORS)
    config = cells.Config.model_validate(TWO)
    assert cells.own_rate(results, config, cells.SEARCHED) == (0.4, 26)
    assert cells.own_rate(results, config, "random_0") == (0.1, 36)
    assert cells.best_random(results, config) == "random_1"
    mean, best = cells.claims(results)
    # In % of 200 cases: searched 15, 16, 17; random_0 20, 22, 20; random_1 18, 18, 20.
    assert mean.differences == pytest.approx([15 - 19, 16 - 20, 17 - 20])
    assert best.differences == pytest.approx([15 - 18, 16 - 18, 17 - 20])
    assert (mean.id, best.id) == ("PS377.cells", "PS377.cells.best")
    assert [compare.judge(claim, load()).verdict for claim in (mean, best)] == ["holds", "holds"]
    drawn = {row["cells"]: row["mean"] for row in cells.figure(results).data}
    assert drawn == pytest.approx({"nasnet_a": 16, "random_0": 62 / 3, "random_1": 56 / 3, "random": 118 / 6})


def test_nothing_is_claimed_before_all_cells_ran():
    results = Synthetic({arm: errors for arm, errors in ERRORS.items() if arm != "random_1.rate0.4"})
    assert [claim.differences for claim in cells.claims(results)] == [(), ()]
    assert {row["cells"] for row in cells.figure(results).data} == {"nasnet_a", "random_0", "random"}


def test_arms_are_cells_by_rates():
    listed = cells.arms(cells.Config.model_validate(TWO))
    assert [arm.name for arm in listed] == list(ERRORS)
    assert {arm.settings["random_cells"] for arm in listed} == {None, 0, 1}
    assert {arm.seeds for arm in listed} == {3}
    assert [arm.settings["training"]["learning_rate"] for arm in listed] == [0.1, 0.4] * 3


def test_a_run_records_what_was_learned_and_counted(record):
    settings = "seeds: 1, random_cells: 1, filters: 3, tolerance: 0.3, every_class: 5, held_out: 160, rates: [0.1], "
    results = record("zoph2017.cells", settings + "training: {epochs: 1, batch_size: 50, precision: float32}")
    searched, random = results.rows
    assert (searched["test_cases"], searched["held_out_cases"]) == (101, 160)
    assert random["multiply_adds"] == pytest.approx(searched["multiply_adds"], rel=0.3)
    assert 0 < searched["train_loss"] < 3
    assert searched["parameters"] > 0
