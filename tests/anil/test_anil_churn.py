"""Churn: its arms, what it measures, and what it claims."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn import metrics as sklearn_metrics

from repro.experiment import Context
from repro.papers.anil2018 import (
    _learning,
    _tasks,
    churn,
)
from tests.anil.judged import judged

SGD = "optimizer: {kind: sgd, learning_rate: 0.1}"
CHURN = (
    "seeds: 2, validation: 69, test: 200, hidden: [4], interval_steps: 5, tuned_rates: [0.1], tuning_seeds: 1, "
    f"training: {{updates: 20, batch_size: 10, {SGD}}}"
)


def test_churn_runs_draws_and_answers(record):
    found = record("anil2018.churn", CHURN)
    assert {row["arm"] for row in found.rows} == {*churn.LABELS, *(churn.tuning_name(n, 0.1) for n in churn.TUNED)}
    assert all(0 < row["churn"] < 1 for row in found.rows)
    # The tuning looks at validation cases, the others at test cases.
    assert {row["cases"] for row in found.rows if str(row["arm"]).startswith("tuning")} == {69}
    assert {row["cases"] for row in found.rows if row["arm"] in churn.LABELS} == {200}
    assert len(churn.figure(found).data) == 2 * len(churn.LABELS) + len(churn.TUNED)
    by_rate = churn.churn_by_rate(found)
    assert by_rate["codistilled"] == {0.1: tuple(found.values("tuning.codistilled.rate0.1", "churn").values())}
    rows = judged(churn.claims(found))
    assert rows["CO-22"].published == 35
    single, codistilled = found.values("single", "churn"), found.values("codistilled", "churn")
    mean = np.mean([100 * (1 - codistilled[seed] / single[seed]) for seed in (0, 1)])
    assert rows["CO-22"].ours == pytest.approx(mean)
    assert rows["CO-23"].verdict == rows["CO-24"].verdict == "not_judged"


def test_log_loss_is_scikit_learns():
    p, y = torch.rand(50, dtype=torch.float64), torch.randint(2, (50,))
    assert churn.log_loss(p, y) == pytest.approx(sklearn_metrics.log_loss(y, p))


def test_a_table_is_split_once_and_standardised_by_its_training_cases():
    cases = _tasks.table_cases("breast-cancer", 69, 200, 8)
    sizes = [len(part) for part in (cases.train_y, cases.validation_y, cases.test_y)]
    assert sizes == [300, 69, 200]
    continuous = cases.train_x[:, :30]
    assert torch.allclose(continuous.mean(0), torch.zeros(30), atol=1e-5)
    assert torch.allclose(continuous.std(0, correction=0), torch.ones(30), atol=1e-4)
    everything = torch.cat([cases.train_x, cases.validation_x, cases.test_x])
    assert len(torch.unique(everything, dim=0)) == 569


def test_a_pairs_nets_are_the_groups_of_one_run():
    task, cases = _tasks.table("breast-cancer", (4,), validation=69, test=200, buckets=0)
    config = churn.Config.model_validate(yaml.safe_load(f"{{{CHURN}}}"))
    run = config.training.together(2, 5, learning_rate=0.1)
    learned = _learning.train(task, run, 0, Context("breast-cancer", {}, Path(".")))
    nets = [_learning.net_of(task, learned, group) for group in (0, 1)]
    for net, row in zip(nets, learned.weights, strict=True):
        assert torch.equal(torch.cat([p.detach().flatten() for p in net.parameters()]), row)
    both = _learning.MeanOf(nets)(cases.test_x)
    mean = sum(_learning.probabilities(net, cases.test_x) for net in nets) / 2
    assert torch.allclose(both.exp(), mean, atol=1e-6)
