"""The exchange interval: its arms, what it measures, and what it claims."""

import numpy as np
import pytest
import yaml

from repro.papers.anil2018 import (
    exchange_interval,
)
from tests.anil.judged import judged

SGD = "optimizer: {kind: sgd, learning_rate: 0.1}"
EXCHANGE = (
    f"seeds: 2, cases: 50, hidden: [4], training: {{updates: 120, batch_size: 8, {SGD}}}, "
    "rates: {single: 0.1, codistilled: 0.1}, interval_steps: 10, intervals: [10, 40], delays: [50], burn_ins: [30], "
    "copies: [2, 3], tuned_rates: [0.1], held_out: 100, momentum: 0.75"
)


def test_every_point_of_a_sweep_is_run_once():
    config = exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}"))
    names = [arm.name for arm in exchange_interval.arms(config)]
    assert len(names) == len(set(names))
    middle = exchange_interval.arm_name(10)
    assert names.count(middle) == 1
    assert {"single", middle, exchange_interval.arm_name(10, 50), exchange_interval.arm_name(10, 0, 30)} < set(names)


def test_the_second_sweep_has_momentum_at_a_rate_as_much_lower():
    config = exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}"))
    runs = {arm.name: arm.settings["run"] for arm in exchange_interval.arms(config)}
    for name in ("single", *map(exchange_interval.arm_name, config.intervals)):
        quicker, slower = runs[name], runs[exchange_interval.with_momentum(name)]
        assert {k: v for k, v in quicker.items() if k != "optimizer"} == {
            k: v for k, v in slower.items() if k != "optimizer"
        }
        assert slower["optimizer"]["momentum"] == 0.75
        assert slower["optimizer"]["learning_rate"] == 0.25 * quicker["optimizer"]["learning_rate"]
    plain = config.model_copy(update={"momentum": 0})
    assert len(exchange_interval.arms(plain)) == len(runs) - 1 - len(config.intervals)


def test_exchange_interval_runs_draws_and_answers(record):
    found = record("anil2018.exchange_interval", EXCHANGE)
    drawn = exchange_interval.figure(found)
    assert {row["sweep"] for row in drawn.data} >= {"exchange interval", "single"}
    rows = judged(exchange_interval.claims(found))
    assert set(rows) == {"CO-19", "SD-03", "CO-21.steps", "CO-32", "CO-20", "CO-21.examples"}
    assert "60 steps of 8 examples old, 480 examples" in rows["CO-21.examples"].departures
    assert "a whole run of 120" in rows["CO-20"].departures
    assert rows["CO-19"].ours == pytest.approx(
        np.mean(found.paired(exchange_interval.arm_name(40), exchange_interval.arm_name(10), "loss"))
    )
    late, fresh = (found.values(exchange_interval.arm_name(10, d), "loss") for d in (50, 0))
    assert late[0] != fresh[0]


def test_rates_of_both_recipes_are_asked_for():
    with pytest.raises(ValueError, match="give single and codistilled"):
        exchange_interval.Config.model_validate(yaml.safe_load(f"{{{EXCHANGE}}}") | {"rates": {"single": 1}})
