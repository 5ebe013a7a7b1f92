"""Configs of the paper: chosen rates are the best on validation, every one plans."""

import numpy as np
import pytest

from repro import config, results
from repro.codistill.settings import Settings
from repro.machine import ROOT
from repro.papers.anil2018 import (
    _batch,
    churn,
)


def _best_rate(rows, metric, *prefixes):
    """The rate of the lowest mean over runs of the arms ``<prefix>.rate<rate>``, which have equally many seeds."""
    tried = {}
    for row in rows:
        name, _, rate = str(row["arm"]).rpartition(".rate")
        if name in prefixes:
            tried.setdefault(float(rate), []).append(row[metric])
    return min(tried, key=lambda rate: np.mean(tried[rate]))


PAPER = config.load(ROOT / "config" / "paper.yaml")
CHOSEN = {
    "churn": (
        "log_loss",
        lambda c: {tuple(f"tuning.{name}" for name in churn.TUNED): c.training.optimizer.learning_rate},
    ),
    "exchange_interval": ("loss", lambda c: {(f"tuning.{name}",): rate for name, rate in c.rates.items()}),
    "language_model": (
        "loss",
        lambda c: {
            **{(f"tuning.sync{g.workers}",): g.learning_rate for g in c.sync},
            ("tuning.codistilled",): c.codistilled_rate or c.base.learning_rate,
        },
    ),
    **dict.fromkeys(
        ("image_batch", "cifar_batch"),
        ("error_percent", lambda c: {(f"tuning.examples{n}",): r for n, r in c.base_rates.items()}),
    ),
}


@pytest.mark.parametrize("experiment", CHOSEN)
def test_chosen_rates_are_the_best_on_validation(experiment):
    section = PAPER.section(f"anil2018.{experiment}")
    found = results.load(ROOT / "results" / section.folder("paper"))
    asked = {run.arm.name for run in PAPER.runs(section) if run.arm.name.startswith("tuning")}
    if found is None or not asked <= {row["arm"] for row in found.rows}:
        pytest.skip("the tuning is not wholly on record")
    metric, chosen = CHOSEN[experiment]
    for prefixes, rate in chosen(section.config).items():
        assert rate == _best_rate(found.rows, metric, *prefixes), prefixes


def test_every_config_of_the_paper_plans():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        scale = config.load(path)
        for section in scale.papers["anil2018"].values():
            for run in scale.runs(section):
                if "run" in run.arm.settings:
                    Settings.model_validate({"precision": "float32", **run.arm.settings["run"], "device": "cpu"})


def test_cifar_at_scale_cluster_is_the_comparison_at_larger_size():
    scales = {name: config.load(ROOT / "config" / f"{name}.yaml") for name in ("paper", "cluster")}
    small, large = (scale.section("anil2018.cifar_batch").config for scale in scales.values())
    assert min(large.net.widths) > min(small.net.widths)
    assert large.epochs > small.epochs
    assert set(small.batch_sizes) < set(large.batch_sizes)
    assert set(small.kinds) < set(large.kinds)
    assert scales["cluster"].device == "cuda"
    runs = scales["cluster"].runs(scales["cluster"].section("anil2018.cifar_batch"))
    names = {run.arm.name for run in runs}
    assert {_batch.arm_name(kind, 2048) for kind in _batch.KINDS} < names
    assert len(runs) == 3 * 2 * len(_batch.KINDS) + len(large.base_rates) * len(large.tuned_base_rates)
    assert all(run.arm.minutes == large.job.minutes and not run.arm.helpers for run in runs)
    assert {run.data for run in runs} == {"cifar-100"}
