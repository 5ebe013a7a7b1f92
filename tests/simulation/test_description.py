"""YAML in and out: round trips, the shelf, and every mistake as one line with file and key."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulation.cluster import Cluster, resized
from simulation.costs import cost
from simulation.description import (
    as_yaml,
    load_cluster,
    load_workload,
    shelf_names,
    validated,
    write_atomically,
    write_yaml,
)
from simulation.errors import UserError
from simulation.protocols import SyncSGD
from simulation.workload import Workload, compute_time

CLUSTER: dict[str, Any] = {
    "name": "small",
    "source": "a test",
    "confidence": "measured",
    "nodes": 2,
    "devices_per_node": 4,
    "device": {"name": "d", "peak_flop_per_s": 1e12, "attained_fraction": 0.5},
    "links": [
        {"level": "inside", "members": 4, "latency_s": 1e-6, "bandwidth_bytes_per_s": 1e10},
        {"level": "outside", "members": 2, "bytes": [1e3, 1e6], "seconds_measured": [1e-5, 1e-3]},
    ],
    "parameter_servers": {"count": 2, "bandwidth_bytes_per_s": 1e9},
    "straggler": {"kind": "lognormal", "sigma": 0.1},
    "pauses": {"probability_per_step": 0.01, "pause_s": 1.0},
    "failures": {"per_node_hour": 0.01, "checkpoint_interval_s": 60, "checkpoint_s": 1, "restart_s": 5},
    "measured_collectives": [
        {"operation": "all_reduce", "workers": 8, "bytes": [1e3, 1e6], "seconds_measured": [1e-4, 2e-3]}
    ],
}
WORKLOAD: dict[str, Any] = {
    "name": "net",
    "source": "a test",
    "confidence": "derived",
    "layers": [{"name": "fc", "parameters": 10, "forward_flop_per_example": 20.0}],
    "batch_per_worker_examples": 8,
}


def written(tmp_path: Path, content: Any, name: str = "it.yaml") -> str:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def changed(base: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """A copy with one key set (or removed, with ``...``), ``where`` like ``links.0.level``."""
    result = copy.deepcopy(base)
    *path, last = [int(p) if p.isdigit() else p for p in where.split(".")]
    place: Any = result
    for part in path:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


def test_cluster_and_workload_survive_a_round_trip(tmp_path: Path) -> None:
    cluster = load_cluster(written(tmp_path, CLUSTER))
    assert load_cluster(written(tmp_path, as_yaml(cluster), "again.yaml")) == cluster
    workload = load_workload(written(tmp_path, WORKLOAD))
    write_yaml(workload, tmp_path / "again.yaml")
    assert load_workload(str(tmp_path / "again.yaml")) == workload


@pytest.mark.parametrize("name", shelf_names()["clusters"])
def test_every_shelf_cluster_reads_and_round_trips(name: str, tmp_path: Path) -> None:
    cluster = load_cluster(name)
    assert cluster.shape(cluster.devices)
    assert len(cluster.source) > 20
    assert load_cluster(written(tmp_path, as_yaml(cluster))) == cluster


PUBLISHED_PARAMETERS = {
    "resnet-50": 25_557_032,
    "resnet-101": 44_549_160,
    "resnet-152": 60_192_808,
    "alexnet": 61_100_840,
    "inception-v3": 23_834_568,
    "vgg-16": 138_357_544,
    "transformer-7b": 6_738_415_616,
    "anil-lstm": 44_411_846,
}


@pytest.mark.parametrize("name", shelf_names()["workloads"])
def test_every_shelf_workload_has_its_published_size(name: str, tmp_path: Path) -> None:
    workload = load_workload(name)
    assert workload.parameters == PUBLISHED_PARAMETERS[name]
    assert load_workload(written(tmp_path, as_yaml(workload))) == workload


CLUSTER_MISTAKES = [
    ("links", [], "links is empty"),
    ("links", ..., "links: missing"),
    ("links.0.bandwidth_bytes_per_s", 0, "links.0: bandwidth_bytes_per_s must be above zero"),
    ("links.0.latency_s", -1e-6, "links.0: latency_s must be zero or more"),
    ("links.0.latency_s", ..., "needs latency_s and bandwidth_bytes_per_s, or"),
    ("links.1.seconds_measured", [1e-5], "as many seconds as bytes"),
    ("links.1.seconds_measured", ..., "columns bytes and seconds_measured"),
    ("links.1.bytes", [1e6, 1e3], "bytes must grow"),
    ("nodes", 3, "make the two agree"),
    ("nodes", 0, "nodes must be 1 or more"),
    ("nodes", "three", "nodes: "),
    ("nodez", 3, "nodez: unknown key, did you mean nodes?"),
    ("device.colour", "red", "device.colour: unknown key: remove it, or give one of name, peak_flop_per_s"),
    ("straggler.tail_index", 2.0, "straggler.tail_index: unknown key: remove it, or give one of kind, sigma"),
    ("straggler.sgima", 2.0, "straggler.sgima: unknown key, did you mean sigma?"),
    ("operation", "all_reduce", "operation: unknown key: remove it, or give one of name"),
    ("measured_collectives.0.worker", 8, "unknown key, did you mean workers?"),
    ("device.attained_fraction", 1.5, "at most 1"),
    ("confidence", "sure", "confidence: "),
    ("parameter_servers.count", 0, "count must be 1 or more"),
    ("straggler.kind", "lognorm", "straggler.kind: 'lognorm' is not one of shifted_exponential"),
    ("straggler.sigma", ..., "straggler.sigma: missing"),
    ("straggler", {"kind": "pareto", "tail_index": 1.0}, "tail_index must be above 1"),
    ("pauses.probability_per_step", 0.0, "must lie between 0 and 1"),
    ("pauses.probability_per_step", 1.0, "must lie between 0 and 1"),
    ("pauses.pause_s", 1e300, "pause_s must lie between 1e-09 and 3.6e+07 s"),
    ("pauses.pause_s", 1e-12, "pause_s must lie between 1e-09 and 3.6e+07 s"),
    ("failures.restart_s", 1e300, "restart_s must lie between"),
    ("failures.checkpoint_interval_s", 0, "checkpoint_interval_s must be above zero"),
    ("straggler.sigma", 50, "straggler: sigma must be at most 5"),
    ("slowdown_sigma", 50, "slowdown_sigma must be at most 5"),
    ("measured_collectives.0.operation", "all_gather", "operation: Input should be 'all_reduce' (it is 'all_gather')"),
    ("measured_collectives.0.workers", 1, "workers must be 2 or more"),
    ("measured_collectives", CLUSTER["measured_collectives"] * 2, "two tables of all_reduce among 8 workers"),
    ("measured_collectives.0.bytes", ..., "measured_collectives.0.bytes: missing"),
]


def test_of_a_misspelt_key_the_spelling_is_told_not_the_absence(tmp_path: Path) -> None:
    content = CLUSTER | {"nodez": CLUSTER["nodes"]}
    del content["nodes"]
    with pytest.raises(UserError, match="nodez: unknown key, did you mean nodes"):
        load_cluster(written(tmp_path, content))


@pytest.mark.parametrize(("where", "value", "said"), CLUSTER_MISTAKES)
def test_each_mistake_in_a_cluster_is_one_line(where: str, value: Any, said: str, tmp_path: Path) -> None:
    file = written(tmp_path, changed(CLUSTER, where, value))
    with pytest.raises(UserError) as caught:
        load_cluster(file)
    message = str(caught.value)
    assert message.startswith(file)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("layers", [], "layers is empty"),
        ("layers.0.parameters", 0, "no layer has parameters"),
        ("layers.0.parameters", -1, "parameters must be zero or more"),
        ("batch_per_worker_examples", 0, "batch_per_worker_examples must be above zero"),
        ("measured", [{"device": "d", "batch_examples": 8, "step_s": 0}], "step_s must be above zero"),
        ("bytes_per_paramter", 2, "did you mean bytes_per_parameter?"),
    ],
)
def test_each_mistake_in_a_workload_is_one_line(where: str, value: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_workload(written(tmp_path, changed(WORKLOAD, where, value)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("name: a\nname: b\n", "line 2: not valid YAML: key 'name' is given twice"),
        ("", "must be a mapping"),
        ("? [a, b]\n: 1\n", "line 1: not valid YAML: a key is a list or a mapping"),
        ("? {a: b}\n: 1\n", "line 1: not valid YAML: a key is a list or a mapping"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_cluster(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "it.yaml"
    file.write_text(yaml.safe_dump(CLUSTER), encoding="utf-8-sig")
    assert load_cluster(str(file)).name == "small"


def test_bucket_bytes_need_overlap(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="bucket_bytes: has no effect with overlap: false"):
        load_cluster(written(tmp_path, CLUSTER | {"overlap": False, "bucket_bytes": 1e6}))
    assert not load_cluster(written(tmp_path, CLUSTER | {"overlap": False})).overlap


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean dgx-a100"):
        load_cluster("dgx-a1000")
    with pytest.raises(UserError, match="cannot be read"):
        load_workload("nowhere/it.yaml")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "kept.yaml"
    target.write_text("old")

    def breaks(aside: Path) -> None:
        aside.write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_atomically(target, breaks)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(UserError, match="cannot be written"):
        write_yaml(load_cluster("dgx-a100"), tmp_path / "no" / "it.yaml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be written"):
        write_yaml(load_cluster("dgx-a100"), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "kept.yaml"]


def test_a_file_of_step_times_is_found_beside_the_cluster(tmp_path: Path) -> None:
    cluster = changed(CLUSTER, "straggler", {"kind": "empirical", "file": "times.txt"})
    with pytest.raises(UserError, match=r"straggler\.file"):
        load_cluster(written(tmp_path, cluster))
    (tmp_path / "times.txt").write_text("1.0\n-2.0\n4.0\n")
    with pytest.raises(UserError, match=r"times\.txt:2: -2\.0 is not a time of zero or more"):
        cost(load_cluster(written(tmp_path, cluster)), load_workload("resnet-50"), SyncSGD(1))
    (tmp_path / "times.txt").write_text("1.0\n2.0\n4.0\n", encoding="utf-8-sig")
    found = load_cluster(written(tmp_path, cluster))
    compute = cost(found, load_workload("resnet-50"), SyncSGD(1)).timing.compute
    assert compute.mean_ns * 2 / 7 * 3 == pytest.approx(
        compute_time(load_workload("resnet-50"), found.device).step_s * 1e9
    )


def test_workers_fill_whole_nodes() -> None:
    cluster = validated(CLUSTER, Cluster, "test")
    assert cluster.shape(3) == (3, 1)
    assert cluster.shape(8) == (4, 2)
    with pytest.raises(ValueError, match="do not fill whole groups of 4"):
        cluster.shape(6)
    with pytest.raises(ValueError, match="lower workers or raise nodes"):
        cluster.shape(12)
    assert resized(cluster, 3).shape(12) == (4, 3)
    servers = resized(cluster, 3).parameter_servers
    assert servers is not None
    assert servers.count == 3  # one a node, as before


def test_compute_time_prefers_measurements() -> None:
    device = validated(CLUSTER, Cluster, "test").device
    modelled = compute_time(validated(WORKLOAD, Workload, "test"), device)
    assert modelled.step_s == pytest.approx(20 * 8 * 3 / 5e11)
    assert modelled.backward_s == pytest.approx(2 * modelled.forward_s)
    rows = [{"device": "d", "batch_examples": b, "step_s": 0.01 + 0.001 * b} for b in (8, 64)]
    measured = validated(changed(WORKLOAD, "measured", rows), Workload, "test")
    assert compute_time(measured, device).step_s == pytest.approx(0.018)
    assert compute_time(measured, device, 32).step_s == pytest.approx(0.042)
    one = validated(changed(WORKLOAD, "measured", rows[:1]), Workload, "test")
    assert compute_time(one, device, 16).step_s == pytest.approx(0.036)
