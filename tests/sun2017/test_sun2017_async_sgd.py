"""The paper's asynchronous SGD: its machines and net, staleness, equal examples, and the months."""

import pytest
from pydantic import ValidationError

from repro.compare import judge
from repro.papers.sun2017 import async_sgd
from repro.papers.sun2017._cluster import machines, net, priced
from repro.papers.sun2017._ways import WAYS
from repro.papers.sun2017.async_sgd import Config, arms, chosen_rate, clock_name
from repro.published import load
from simulation.description import load_workload

SMALL = {
    "seeds": 2,
    "networks": [{"name": "slow", "bytes_per_s": 1.55e8}, {"name": "fast", "bytes_per_s": 1.25e9}],
    "sides_pixels": [224],
    "steps": 60,
    "gradients": 100,
    "points": 2,
    "hidden": [8],
    "held_out": 297,
    "rates": {"sgd": [0.05, 0.0001], "rmsprop": [0.001]},
}


@pytest.fixture(scope="module")
def printed():
    return load()


def test_the_shelfs_net_is_itself_and_another_last_layer_has_its_weights():
    shelf = load_workload("resnet-101")
    assert net(224, 1000) == shelf
    wide = net(448, 18291)
    assert wide.parameters - shelf.parameters == (18291 - 1000) * (2048 + 1)
    convolutions = shelf.forward_flop_per_example - shelf.layers[-1].forward_flop_per_example
    assert wide.forward_flop_per_example == pytest.approx(4 * convolutions + 2 * 2048 * 18291)


def test_every_node_has_the_same_link_and_each_server_holds_its_share():
    cluster = machines(17, 2e8, 0.1)
    assert cluster.links[0].bandwidth_bytes_per_s == 2e8
    assert (cluster.parameter_servers.count, cluster.parameter_servers.bandwidth_bytes_per_s) == (17, 2e8)


def test_busy_servers_set_the_pace():
    found = priced(
        WAYS["async"](50), servers=17, bytes_per_s=1.55e8, straggler_extra_fraction=0.1, side_pixels=224,
        categories=18291, batch_size=32,
    )  # fmt: skip
    assert found.bound == "server"
    assert found.examples_per_s == pytest.approx(32 * 17 * 1.55e8 / net(224, 18291).gradient_bytes, rel=1e-3)


def test_arms_have_the_printed_settings(printed):
    listed = {arm.name: arm.settings for arm in arms(Config.model_validate(SMALL))}
    for settings in listed.values():
        assert all(settings[name] == printed[id].value for name, id in async_sgd.PRINTED.items())
    learning = {name.partition(".rate")[0] for name in listed if not name.startswith("clock")}
    ways = ("async.slow", "async.fast", "sync.slow", "one.slow")
    assert learning == {f"{way}.{rule}" for way in ways for rule in ("sgd", "rmsprop")}


@pytest.mark.parametrize("gradients", [75, 150])
def test_examples_that_no_whole_rounds_make_are_refused(gradients):
    with pytest.raises(ValidationError, match="multiple of 50 workers times 2 points"):
        Config.model_validate(SMALL | {"gradients": gradients})


def test_what_is_recorded(record, printed):
    results = record("sun2017.async_sgd", SMALL)
    config = Config.model_validate(results.config)

    # A worker that reads right after its own update is 49 updates behind when it next arrives, on average.
    for network in ("slow", "fast"):
        for value in results.values(clock_name("async", network, 224), "mean_staleness").values():
            assert value == pytest.approx(49, abs=0.5)
    spread = [results.values(clock_name("async", network, 224), "sd_staleness")[0] for network in ("slow", "fast")]
    assert spread[0] < spread[1]  # behind busy servers workers come in turn
    assert set(results.values(clock_name("sync", "fast", 224), "most_staleness").values()) == {0}

    # All ways are judged after equally many examples.
    ends: dict[str, int] = {}
    for row in results.curves:
        ends[row["arm"]] = max(ends.get(row["arm"], 0), row["step"])
    assert set(ends.values()) == {100 * 32}
    assert chosen_rate(results, config, "one", "slow", "sgd") == 0.05

    pace = results.values(clock_name("async", "slow", 224), "examples_per_s")[0]
    seconds = async_sgd.months(results, "async", "slow", 224)[0] * async_sgd.MONTH_S
    assert seconds * pace == pytest.approx(4 * 300e6)

    rows = {row.id: row for row in (judge(a, printed, same_data=False) for a in async_sgd.claims(results))}
    assert {row.verdict for row in rows.values()} == {"not_judged"}  # all of it is recollected
    assert rows["PS307.gpus.sgd.async_one"].ours > 0
    assert rows["PS308.months.async.fast.224px"].ours < rows["PS308.months.async.slow.224px"].ours
    panels = {row["panel"] for row in async_sgd.figure(results).data}
    assert panels == {"staleness", "months", "loss"}


def test_a_figure_of_one_rule_and_of_a_study_half_done(record):
    results = record("sun2017.async_sgd", SMALL | {"rates": {"rmsprop": [0.001]}, "seeds": 2})
    drawing = async_sgd.figure(results)
    assert [ax.get_visible() for ax in drawing.figure.axes] == [True, True, True, False]
    results.rows[:] = [row for row in results.rows if row["arm"].startswith("clock")]
    assert {row["panel"] for row in async_sgd.figure(results).data} == {"staleness", "months"}
