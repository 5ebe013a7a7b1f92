"""The rates in the config of scale paper are those that did best on held-out cases."""

import pytest

from repro import config, results, runner
from repro.machine import ROOT


def test_chosen_rates_of_specialists_are_the_best_on_held_out_cases():
    paper = config.load(ROOT / "config" / "paper.yaml")
    section = paper.section("hinton2015.specialist_tuning")
    found = results.load(ROOT / "results" / section.folder("paper"))
    if found is None or runner.missing(paper, section, ROOT / "results"):
        pytest.skip("the tuning is not wholly on record")
    best = {}
    for row in found.rows:
        name, _, rate = str(row["arm"]).partition(".rate")
        value = row.get("validation_accuracy") if name == "longer" else row["validation_conditional"]
        best.setdefault(name, {})[float(rate)] = value
    chosen = {
        name: {rate for rate, value in tried.items() if value == max(tried.values())} for name, tried in best.items()
    }
    judged = paper.section("hinton2015.specialists").config
    assert judged.specialists.training.learning_rate in chosen["dustbin"]
    assert judged.full_soft_rate in chosen["full_soft"]
    assert judged.longer.learning_rate in chosen["longer"]
