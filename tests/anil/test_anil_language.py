"""The language model: its arms, what it measures, and what it claims."""

import numpy as np
import pytest
import torch
import yaml

from repro import config
from repro.machine import ROOT
from repro.papers.anil2018 import (
    _language_answers,
    _steps,
    _tasks,
    language_model,
)
from tests.anil.judged import judged

LANGUAGE = (
    "seeds: 2, net: {words: 30, embedding: 4, hidden: 4, layers: 1}, length: 8, optimizer: {kind: adam, "
    "learning_rate: 0.01}, sync: [{workers: 2, updates: 12, learning_rate: 0.01}, {workers: 4, updates: 12, "
    "learning_rate: 0.01}], group_workers: 4, interval_steps: 3, evaluate_updates: 4, judged_tokens: 200, "
    "tuned_rates: [0.01], smaller_groups: {group_workers: 2, burn_in_steps: 3}"
)


def test_language_model_runs_draws_and_answers(record):
    found = record("anil2018.language_model", LANGUAGE)
    assert len(found.rows) == 2 * 8 + 3
    two_phase = found.values("two_phase", "updates")
    assert set(two_phase.values()) == {24}
    steps = {row["step"] for row in found.curves if row["arm"] == "two_phase"}
    assert min(steps) == 16  # the second phase begins where the first ends
    assert max(found.values("sync2", "loss").values()) < np.log(30) + 0.2
    drawn = language_model.figure(found)
    assert {row["arm"] for row in drawn.data} == {"sync2", "sync4", language_model.SMALLER, *language_model.CONTROLS}
    rows = judged(language_model.claims(found))
    assert {
        "CO-06.disjoint",
        "CO-06.same",
        "CO-09",
        "CO-10.uniform",
        "CO-10.unigram",
        "CO-08",
        "CO-03.2to4",
        "CO-06.smaller",
    } <= set(rows)
    assert rows["CO-06.disjoint"].published == 2
    assert rows["CO-04"].verdict == rows["CO-05"].verdict == "not_run"
    assert "4 workers of 16 tokens" in rows["CO-04"].departures
    ensemble, student = found.values("two_phase", "ensemble_loss"), found.values("two_phase", "loss")
    both = found.values("codistilled.disjoint", "loss")
    assert rows["CO-08.ensemble"].ours == pytest.approx(np.mean([both[s] - ensemble[s] for s in (0, 1)]))
    assert rows["CO-08.two_phase_ensemble"].ours == pytest.approx(np.mean([student[s] - ensemble[s] for s in (0, 1)]))
    second = [_steps.steps_to(_steps.curve_of(found, "two_phase", s, "test", "loss"), both[s]) for s in (0, 1)]
    assert rows["CO-07"].verdict == "not_run"
    if min(second) < np.inf:
        reached = [n for n in second if n < np.inf]
        assert f"after {np.mean(reached):.0f} steps of both phases, that group after 12" in rows["CO-07"].departures
    more = [_steps.curve_of(found, "sync4", seed, "test", "loss") for seed in (0, 1)]
    ends = found.values("sync2", "loss")
    needed = [_steps.steps_to(more[seed], ends[seed]) for seed in (0, 1)]
    assert rows["CO-03.2to4.steps"].ours == pytest.approx(np.mean([12 / n if n < np.inf else 0 for n in needed]))


def test_what_two_phases_took_is_told_for_the_seeds_that_got_there():
    said = _language_answers._two_phase_steps([30.0, np.inf, 34.0], 20).reason
    assert "after 32 steps of both phases, that group after 20 (mean of the 2 of 3 seeds that reach it)" in said
    assert "on record" not in _language_answers._two_phase_steps([np.inf], 20).reason


def test_a_baseline_that_learns_longer_is_met_where_the_shorter_run_ends(monkeypatch):
    curves = {"long": [(0, 8.0), (10, 6.0), (20, 4.0)], "short": [(0, 8.0), (5, 5.0), (15, 3.0)]}

    class Recorded:
        def values(self, arm, metric):
            return {0: curves[arm][-1][1]}

    monkeypatch.setattr(_steps, "curve_of", lambda results, arm, seed, split, metric: curves[arm])
    assert [_steps.value_at(curves["long"], step) for step in (0, 15, 20, 30)] == [8.0, 5.0, 4.0, 4.0]
    assert _steps.times_fewer(Recorded(), "short", "long", "test", "loss", 15) == (3.0,)
    assert _steps.times_fewer(Recorded(), "short", "long", "test", "loss", 20) == (2.0,)
    assert _steps.times_fewer(Recorded(), "long", "short", "test", "loss", 15) == (0.0,)


def test_twice_the_workers_for_other_steps_are_refused():
    text = LANGUAGE.replace("group_workers: 4, ", "group_workers: 2, ").replace(
        "{workers: 4, updates: 12", "{workers: 4, updates: 6"
    )
    with pytest.raises(ValueError, match="held against two groups of 2 after equal steps; give both 12 updates, not 6"):
        language_model.Config.model_validate(yaml.safe_load(f"{{{text}}}"))


@pytest.mark.parametrize("scale", ["paper", "cluster"])
def test_no_group_sees_a_token_of_the_treebank_twice(scale):
    section = config.load(ROOT / "config" / f"{scale}.yaml").section("anil2018.language_model").config
    tokens = 929_589  # to train on
    pairs = [section.base, section.group(section.smaller_groups.group_workers)]
    for group in pairs:
        assert group.workers * section.sequences_per_worker * section.length * group.updates <= tokens / 2
    assert section.group(2 * section.group_workers).updates == section.base.updates
    for group in section.sync:
        seen = group.workers * section.sequences_per_worker * section.length * group.updates
        assert seen <= (tokens if group.workers <= 64 else 2 * tokens)


def test_groups_on_disjoint_halves_see_every_stretch_once():
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    arm = next(arm for arm in language_model.arms(config) if arm.name == "codistilled.disjoint")
    assert arm.settings["run"]["split"] == "disjoint"
    options = {"words": 30, "embedding": 4, "hidden": 4, "layers": 1, "length": 8}
    whole = _tasks.language("pydoc", **options)
    halves = [_tasks.language("pydoc", **options, half=half) for half in (0, 1)]
    assert sum(half.examples for half in halves) == whole.examples
    assert torch.equal(halves[1].batch(torch.tensor([2]), 0)[0], whole.batch(torch.tensor([5]), 0)[0])


def test_one_groups_loss_is_the_mean_over_its_workers():
    """Why a group can be one worker: two workers' mean gradient is that of their examples together."""
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    task = _tasks.language("pydoc", words=30, embedding=4, hidden=4, layers=1, length=8)
    net = task.model(0)
    rows = torch.arange(8)
    gradients = []
    for parts in ([rows], rows.split(4)):
        net.zero_grad()
        for part in parts:
            batch = task.batch(part, 0)
            (task.loss(task.forward(net, batch), batch) / len(parts)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.allclose(*gradients, atol=1e-7)
    assert config.base.workers == 4


def test_groups_of_a_size_that_is_not_trained_alone_are_refused():
    for known, unknown in (("group_workers: 4", "group_workers: 3"), ("{group_workers: 2", "{group_workers: 3")):
        content = yaml.safe_load(f"{{{LANGUAGE.replace(known, unknown)}}}")
        with pytest.raises(ValueError, match="group_workers: 3 is none of sync's workers"):
            language_model.Config.model_validate(content)


def test_more_workers_take_longer_simulated_steps():
    config = language_model.Config.model_validate(yaml.safe_load(f"{{{LANGUAGE}}}"))
    by_name = {arm.name: language_model.simulated_step_s(arm.settings) for arm in language_model.arms(config)}
    assert by_name["sync2"] <= by_name["sync4"]
    assert by_name["codistilled.disjoint"] > by_name["sync4"]  # the teacher's forward pass
