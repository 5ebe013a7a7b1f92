"""The rates in the config of scale paper are those that did best on held-out cases."""

import pytest

from repro import config, results, runner
from repro.machine import ROOT
from repro.papers.hinton2015._specialist_arms import TARGETS


def test_chosen_rates_of_specialists_are_the_best_on_held_out_cases():
    paper = config.load(ROOT / "config" / "paper.yaml")
    section = paper.section("hinton2015.specialist_tuning")
    found = results.load(ROOT / "results" / section.folder("paper"))
    if found is None or runner.missing(paper, section, ROOT / "results"):
        pytest.skip("the tuning is not wholly on record")
    best = {}
    for row in found.rows:
        name, _, rate = str(row["arm"]).partition(".rate")
        value = row.get("validation_accuracy")
        best.setdefault(name, {})[float(rate)] = -1.0 if value is None else value  # it diverged
    chosen = {
        name: {rate for rate, value in tried.items() if value == max(tried.values())} for name, tried in best.items()
    }
    judged, distilled, overfitted = (
        paper.section(f"hinton2015.{name}").config
        for name in ("specialists", "specialist_distilled", "specialist_overfitting")
    )
    assert judged.specialists.training.learning_rate in chosen["dustbin"]
    assert judged.full_soft_rate in chosen["full_soft"]
    assert judged.longer.learning_rate in chosen["longer"]
    for targets in TARGETS:
        assert getattr(distilled.rates, targets) in chosen[targets], targets
    assert overfitted.specialists.training.learning_rate in chosen["dustbin"]
    assert overfitted.full_rate in chosen["full"]
    assert overfitted.full_soft_rate in chosen["full_soft"]
    swept = paper.section("hinton2015.specialist_sweep").config.training
    assert swept.learning_rate in chosen["sweep"]
    assert section.config.sweep == swept.model_copy(update={"learning_rate": section.config.sweep.learning_rate})
    assert section.config.longer == judged.longer.model_copy(
        update={"learning_rate": section.config.longer.learning_rate}
    )


def test_all_of_section_5_is_built_on_the_same_generalists():
    paper = config.load(ROOT / "config" / "paper.yaml")
    found: dict[int, set[str]] = {}
    for section in paper.sections():
        if section.experiment.startswith("specialist") and (
            rows := results.load(ROOT / "results" / section.folder("paper"))
        ):
            for row in rows.rows:
                if row["arm"] != "generalist" and not row.get("diverged"):
                    found.setdefault(row["seed"], set()).add(row["generalist"])
    assert {seed: len(names) for seed, names in found.items()} == dict.fromkeys(found, 1)
    assert len(set().union(*found.values())) == len(found) >= 3
