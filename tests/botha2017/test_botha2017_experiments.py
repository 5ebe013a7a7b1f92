"""Small nets for language: arms, learning above the baselines' floor, and what is said of 8 bits."""

from dataclasses import replace
from pathlib import Path

import pytest

from repro import config, results, runner
from repro.compare import judge
from repro.machine import ROOT
from repro.papers.botha2017 import languages, tagging
from repro.papers.botha2017._arms import Config, arms, base_name, rate_name
from repro.published import load

TINY = "seeds: 2, sizes: [2, 3], reach: 0, base: {buckets: 100, dimension: 4}, buckets: [20], dimensions: [2], "
TINY += "hidden: 16, rates: [0.5], linear: {buckets: [100], seeds: 2, penalties: [0.00001], epochs: 2}, "
TINY += "training: {epochs: 10, batch_size: 128, learning_rate: 1.0, precision: float32}"


def test_one_record_of_a_task(record):
    found = record("botha2017.languages", TINY)
    names = {"v100.d4", "v20.d4", "v100.d2", "v100.d4.rate0.5", "linear.v100", "most_frequent"}
    assert {row["arm"] for row in found.rows} == names
    floor = found.values("most_frequent", "test_accuracy")[0]
    for seed, value in found.values("v100.d4", "test_accuracy").items():
        assert value > floor, seed
    assert found.values("v100.d4", "bytes")[0] < found.values("v100.d4", "float_bytes")[0]
    answers = {answer.id: answer for answer in languages.claims(found)}
    exact, coarse = (found.values("v100.d4", f"test_accuracy{bits}") for bits in ("", "_8bit"))
    assert answers["PS360.loss_languages"].differences == pytest.approx([coarse[s] - exact[s] for s in (0, 1)])
    assert answers["PS374.micro"].ours == tuple(coarse.values())
    linear = found.values("linear.v100", "test_accuracy")
    assert answers["PS365.languages.linear100"].differences == tuple(coarse[seed] - linear[seed] for seed in (0, 1))
    swapped = replace(answers["PS365.languages.linear100"], differences=(-5.0, -6.0, -5.5))
    assert judge(swapped, load(), same_data=False).verdict == "fails"
    panels = {row["panel"] for row in languages.figure(found).data}
    assert panels == {"buckets", "dimension", "size", "operations"}
    assert "docutils.parsers.rst.languages" in found.meta["data_sha256"]


def test_arms_vary_one_thing_at_a_time():
    section = config.load(ROOT / "config" / "paper.yaml").section("botha2017.tagging").config
    listed = arms(section)
    base = next(arm for arm in listed if arm.name == base_name(section)).settings
    for arm in listed:
        if "hidden" in arm.settings:
            flat = {**arm.settings, "rate": arm.settings["training"]["learning_rate"]}
            own = {**base, "rate": base["training"]["learning_rate"]}
            assert sum(flat[key] != own[key] for key in ("buckets", "dimension", "hidden", "reach", "rate")) <= 1


@pytest.mark.parametrize("module", [tagging, languages])
def test_the_rate_in_the_config_is_the_best_on_record(module):
    """As soon as all rates are on record at scale ``paper``."""
    scale = config.load(ROOT / "config" / "paper.yaml")
    section = scale.section(f"botha2017.{module.__name__.rpartition('.')[2]}")
    settings: Config = section.config
    found = results.load(ROOT / "results" / section.folder("paper"))
    if found is None or runner.missing(scale, section, ROOT / "results"):
        pytest.skip("the rates are not all on record")
    means = {
        rate: sum(found.values(rate_name(settings, rate), "valid_accuracy").values())
        for rate in {*settings.rates, settings.training.learning_rate}
    }
    assert means[settings.training.learning_rate] == max(means.values())


def test_the_tagger_fits_into_a_megabyte(tmp_path: Path):
    from repro.data.ngrams import hashed_ngrams
    from repro.models.ngram_net import NgramNet, pack
    from repro.training.checkpoint import write_tensors

    settings = config.load(ROOT / "config" / "paper.yaml").section("botha2017.tagging").config
    bags = [hashed_ngrams(["a"], size, settings.base.buckets) for size in settings.sizes]
    window = 2 * settings.reach + 1
    net = NgramNet(bags, **settings.base.model_dump(), window=window, hidden=settings.hidden, classes=17, seed=0)
    write_tensors(tmp_path / "tagger.safetensors", pack(net))
    assert (tmp_path / "tagger.safetensors").stat().st_size <= 1_000_000
