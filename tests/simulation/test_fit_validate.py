"""Fits recover what was planted and say what they cannot know; readers; validation against printed rows."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation import predictions, validate
from simulation.costs import cost
from simulation.description import load_cluster, load_workload, write_yaml
from simulation.errors import UserError
from simulation.fit import AllReduceLaw, ServerLaw, as_cluster, fit, read_table
from simulation.nccl_tests import read_nccl_tests
from simulation.protocols import SyncSGD
from simulation.published_rows import COLUMNS, SCALING_CSV, published_rows, throughputs, value_of
from simulation.specifications import tpu_overhead_s
from simulation.unpredicted import unpredicted

COUNTS = [1, 2, 4, 8, 16, 32, 64, 128]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 10), st.floats(0.001, 0.1), st.floats(0.02, 0.3))
def test_server_fit_recovers_planted_parameters(compute: float, rise: float, load: float) -> None:
    planted = ServerLaw(compute, compute * rise, compute * load)
    found = fit(COUNTS, [planted.step_s(n) for n in COUNTS])
    assert isinstance(found.law, ServerLaw)
    assert found.worst_error < 1e-6
    assert found.law.per_client_s == pytest.approx(planted.per_client_s, rel=1e-4)
    assert found.law.compute_s == pytest.approx(planted.compute_s, rel=1e-4)


def test_all_reduce_fit_recovers_planted_parameters() -> None:
    planted = AllReduceLaw(0.3, 0.004, 0.08)
    found = fit(COUNTS, [planted.step_s(n) for n in COUNTS], "all_reduce").law
    assert isinstance(found, AllReduceLaw)
    assert found.compute_s == pytest.approx(0.3, rel=1e-6)
    assert found.latency_s_per_doubling == pytest.approx(0.004, rel=1e-6)
    assert found.transfer_s == pytest.approx(0.08, rel=1e-6)


def test_no_knee_in_sight_is_said() -> None:
    law = ServerLaw(1.0, 0.05, 0.001)
    found = fit([1, 2, 4, 8], [law.step_s(n) for n in (1, 2, 4, 8)])
    assert any("no knee in sight up to 8 workers" in w for w in found.warnings)


def test_flat_data_show_no_knee() -> None:
    for times in ([1.0, 1.0, 1.0, 1.0], [1.0, 1.02, 0.99, 1.01]):
        found = fit([1, 2, 4, 8], times)
        assert any("no knee in sight up to 8 workers" in w for w in found.warnings)
        assert not any("above the knee" in w for w in found.warnings)
        assert found.upper_bounds == ("per_client_s",)
        assert isinstance(found.law, ServerLaw)
        assert found.law.per_client_s == pytest.approx(times[-1] / 8)
    law = ServerLaw(1.0, 0.05, 0.1)
    assert fit(COUNTS, [law.step_s(n) for n in COUNTS]).upper_bounds == ()


@pytest.mark.parametrize("law", ["servers", "all_reduce"])
def test_a_fit_that_misses_the_data_is_called_useless_and_makes_no_cluster(law: str) -> None:
    found = fit([1, 2, 4, 8], [4.0, 2.0, 1.0, 0.5], law)
    assert "useless: the law misses the data by" in found.warnings[0]
    with pytest.raises(UserError, match="no cluster is written"):
        as_cluster(found, load_workload("resnet-50"), 32, "mine")


def test_one_point_in_a_regime_is_said() -> None:
    law = ServerLaw(1.0, 0.05, 0.1)
    above = fit([1, 2, 4, 64], [law.step_s(n) for n in (1, 2, 4, 64)])
    assert any("only one point lies above the knee" in w for w in above.warnings)
    below = fit([1, 32, 64], [law.step_s(n) for n in (1, 32, 64)])
    assert any("one point lies below the knee" in w for w in below.warnings)
    few = fit([2, 4, 8], [1.0, 1.1, 1.2], "all_reduce")
    assert any("four or more" in w for w in few.warnings)
    assert any("no row for one worker" in w for w in few.warnings)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(UserError, match="give three or more"):
        fit([1, 2], [1.0, 1.0])
    with pytest.raises(UserError, match="above zero"):
        fit([1, 2, 4], [1.0, 0.0, 1.0])
    with pytest.raises(UserError, match="are no measurements"):
        fit([1, 2, 10**400], [1.0, 1.0, 1.0])
    with pytest.raises(UserError, match="are no measurements"):
        fit([1, 2, 4], [1.0, 1.0, 1e308])
    with pytest.raises(UserError, match="choose servers or all_reduce"):
        fit([1, 2, 4], [1.0, 1.0, 1.0], "magic")


@pytest.mark.parametrize(
    ("law", "name", "aggregation"),
    [
        (ServerLaw(1.0, 0.05, 0.1), "servers", "parameter_servers"),
        (AllReduceLaw(0.3, 0.004, 0.08), "all_reduce", "allreduce"),
    ],
)
def test_a_fitted_cluster_gives_the_law_back(law: ServerLaw | AllReduceLaw, name: str, aggregation: str) -> None:
    workload = load_workload("resnet-50")
    found = fit(COUNTS, [law.step_s(n) for n in COUNTS], name)
    cluster = as_cluster(found, workload, 32, "mine")
    for n in COUNTS:
        step = cost(cluster, workload, SyncSGD(n, aggregation), 32).step_s  # type: ignore[arg-type]
        assert step == pytest.approx(law.step_s(n), rel=1e-4)
    for n in (3, 5, 6, 7, 9, 13, 27, 50, 100, 127):
        step = cost(cluster, workload, SyncSGD(n, aggregation), 32).step_s  # type: ignore[arg-type]
        assert step == pytest.approx(law.step_s(n), rel=1e-3)


def test_a_law_of_latency_alone_is_given_back_too(tmp_path: Path) -> None:
    workload, law = load_workload("resnet-50"), AllReduceLaw(1.0, 0.3, 0.0)
    found = fit([1, 2, 4, 8], [law.step_s(n) for n in (1, 2, 4, 8)], "all_reduce")
    write_yaml(as_cluster(found, workload, 32, "mine"), tmp_path / "mine.yaml")
    cluster = load_cluster(str(tmp_path / "mine.yaml"))
    for n in range(1, 9):
        assert cost(cluster, workload, SyncSGD(n), 32).step_s == pytest.approx(law.step_s(n), rel=1e-4)


def test_tables_are_read_with_either_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("workers,step_s\n1,0.5\n2,0.6\n")
    assert read_table(path) == ([1, 2], [0.5, 0.6])
    path.write_text("workers,step_s\n1,0.5\n2,0.6\n", encoding="utf-8-sig")
    assert read_table(path) == ([1, 2], [0.5, 0.6])
    path.write_text("workers,examples_per_s\n1,64\n2,64\n")
    assert read_table(path, 32) == ([1, 2], [0.5, 1.0])


@pytest.mark.parametrize(
    ("text", "batch", "said"),
    [
        ("workers\n1\n", None, "give workers and one of"),
        ("n,step_s\n1,1\n", None, "give workers and one of"),
        ("workers,step_s,examples_per_s\n1,1,1\n", None, "give workers and one of"),
        ("workers,examples_per_s\n1,1\n", None, "give --batch"),
        ("workers,step_s\n1,1\n", 32, "--batch has no effect"),
        ("workers,step_s\n1,fast\n", None, "line 2: workers must be a whole number, step_s a number"),
        ("workers,step_s\n1,1\n2\n", None, "line 3: "),
        ("workers,step_s\n0,1\n", None, "must be above zero"),
        ("workers,step_s\n1,inf\n", None, "line 2: workers and step_s must be above zero"),
        ("workers,step_s\n", None, "no rows below the header"),
        ("workers,examples_per_s\n1" + 300 * "0" + ",1\n", 32, "line 2: more than 1e.09 workers"),
        ("", None, "columns none"),
    ],
)
def test_bad_tables_are_one_line(text: str, batch: int | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_table(path, batch)
    assert "\n" not in str(caught.value)


NCCL_HEAD = """# nThread 1 nGpus 2 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20
# Using devices
#  Rank  0 Group  0 Pid  11 on  host device  0 [0x07] Some GPU
#  Rank  1 Group  0 Pid  11 on  host device  1 [0x0f] Some GPU
#
#                                         out-of-place                    in-place
#     size    count   type  redop root   time  algbw  busbw #wrong   time  algbw  busbw #wrong
#      (B) (elements)                    (us) (GB/s) (GB/s)          (us) (GB/s) (GB/s)
"""
NCCL_NEW = """         8         2  float   sum  -1  10.00   0.00   0.00      0  10.10   0.00   0.00      0
   1048576    262144  float   sum  -1  50.00  20.97  20.97      0  49.00  21.40  21.40      0
 134217728  33554432  float   sum  -1   1200 111.85 111.85    N/A   1190 112.79 112.79    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 40.0
"""


def test_nccl_tests_output_keeps_bytes_and_seconds(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(NCCL_HEAD + NCCL_NEW)
    found = read_nccl_tests(path)
    assert found.workers == 2
    assert found.bytes == (8, 1048576, 134217728)
    assert found.seconds_measured == pytest.approx((10e-6, 50e-6, 1.2e-3))
    assert found.table.bytes[-1] / found.seconds_measured[-1] / 1e9 == pytest.approx(111.85, rel=1e-3)


def test_nccl_tests_old_lines_have_no_root(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    lines = [
        "  1024  256  float  sum  20.0  0.05  0.08  1e-7  20.0  0.05  0.08  1e-7",
        "  1048576  262144  float  sum  50.0  20.97  31.46  1e-7  50.0  20.97  31.46  1e-7",
    ]
    path.write_text("\n".join(lines))
    assert read_nccl_tests(path, workers=4).seconds_measured == pytest.approx((20e-6, 50e-6))


@pytest.mark.parametrize("tag", ["[1,0]<stdout>:", "[1,0]<stdout>: ", "[prterun-a-7@1,0]<stdout>: ", "0: ", " 0: "])
def test_nccl_tests_under_a_launcher_are_the_same(tag: str, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(tag + line for line in (NCCL_HEAD + NCCL_NEW).splitlines(keepends=True)))
    assert (read_nccl_tests(path).workers, read_nccl_tests(path).bytes) == (2, (8, 1048576, 134217728))


def test_the_number_of_ranks_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(NCCL_HEAD + NCCL_NEW)
    assert read_nccl_tests(path, 2).workers == 2
    with pytest.raises(UserError, match="2 '# Rank' lines, but --workers 16: leave"):
        read_nccl_tests(path, 16)
    with pytest.raises(UserError, match="--workers 1: an all-reduce needs two"):
        read_nccl_tests(path, 1)
    path.write_text(NCCL_NEW)
    with pytest.raises(UserError, match="an all-reduce among 4 ranks has 31"):
        read_nccl_tests(path, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NCCL_NEW, "give it with --workers"),
        ("# Collective test starting: all_gather_perf\n" + NCCL_HEAD + NCCL_NEW, "output of all_gather_perf: only"),
        (NCCL_HEAD + NCCL_NEW.replace(" sum", "none"), "line 9: reduces nothing: only all-reduces"),
        (NCCL_HEAD + NCCL_NEW.replace("20.97  20.97", "20.97  10.49"), "line 10: busbw 10.49 GB/s, an all-reduce"),
        (NCCL_HEAD + NCCL_NEW.replace("20.97      0", "20.97      7"), "line 10: 7 and 0 values came out wrong"),
        (NCCL_HEAD + NCCL_NEW.replace("  50.00", "    nan"), "line 10: time nan us is not above zero"),
        (NCCL_HEAD.replace("#  Rank  1", "#") + NCCL_NEW, "a run of one rank"),
        (NCCL_HEAD, "no lines of measurements"),
        (
            NCCL_HEAD + NCCL_NEW.replace("20.97", "22.51"),
            "line 10: 1.04858e.06 bytes in 50 us is not 22.51 GB/s",
        ),
        (NCCL_HEAD + "  8  2  float  sum\n  9 9 float sum\n", "not a line of nccl-tests"),
    ],
)
def test_bad_nccl_output_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_nccl_tests(path)


def test_published_rows_are_whole() -> None:
    rows = published_rows()
    assert len(rows) > 300
    assert rows["SC001"].value == 0.9
    assert rows["SC280"].batch_per_worker == 45


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("0.9,,,fraction", "0.9-1,,,fraction"), "is not one number: split the row"),
        (("0.9,,,fraction", ",,,fraction"), "give one value, or low and high"),
        (("transcribed,result", "rumour,result"), "confidence 'rumour'"),
        (("transcribed,result", "transcribed,guess"), "role 'guess'"),
        (("SC002,", "SC001,"), "id SC001 is given twice"),
        (("confidence,role", "confidence,rolle"), "columns must be"),
    ],
)
def test_bad_published_rows_name_the_line(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    head = "".join(SCALING_CSV.read_text().splitlines(keepends=True)[:3])
    assert head.startswith(",".join(COLUMNS))
    path = tmp_path / "rows.csv"
    path.write_text(head.replace(*change, 1))
    with pytest.raises(UserError, match=said):
        published_rows(path)


def test_validation_reaches_the_targets_it_is_known_to_reach() -> None:
    found = {s.check: s for s in predictions.summaries(validate.predictions()) if s.system == "all"}
    assert found[predictions.TABLES].met
    assert found[predictions.SERVERS_CARRIED].met
    # Missed, and shown: no specification says how a TPU slows down at 32 images a chip; another TPU does.
    assert found[predictions.SPECIFICATIONS].met is False
    assert 0.10 < found[predictions.SPECIFICATIONS].mean_error < 0.13
    assert found[predictions.TPU_CARRIED].worst_error < 0.08


def test_every_printed_result_is_predicted_or_has_a_reason() -> None:
    predicted = {row.id for row in validate.predictions()}
    reasons = unpredicted(predicted)
    results = {row.id for row in published_rows().values() if row.role == "result"}
    assert set(reasons) == results - predicted
    assert {reasons[name] for name in ("SC032", "SC087", "SC040")} == {"the input pipeline is not modelled"}
    with pytest.raises(LookupError, match="SC018"):
        unpredicted(predicted - {"SC018"})


def test_the_tpu_overhead_is_what_its_predecessors_step_leaves_over() -> None:
    step_s = 4096 * 16 / value_of("SC401")
    compute_s = 16 * 3 * load_workload("resnet-50").forward_flop_per_example / (0.4 * 1.23e14)
    assert 0 < step_s - compute_s - tpu_overhead_s() < 0.002  # an all-reduce of 102 MB in a mesh


def test_no_out_of_sample_row_helped_to_make_its_prediction() -> None:
    rows = validate.predictions()
    fitted = {r.id for r in rows if r.check == predictions.SERVERS_FITTED}
    assert not fitted & {r.id for r in rows if r.sample == "out"}
    ids = published_rows()
    assert all(ids[r.id].confidence != "unverified" for r in rows)


def test_the_shelfs_cloud_is_what_fit_finds() -> None:
    cloud, workload = load_cluster("cloud-k80"), load_workload("inception-v3")
    rows = throughputs("CSCS", "AWS p2.xlarge")
    law, servers = validate.server_fit(rows).law, cloud.parameter_servers
    assert isinstance(law, ServerLaw)
    assert servers is not None
    assert servers.incast_s_per_doubling == pytest.approx(law.incast_s_per_doubling, rel=0.01)
    assert servers.bandwidth_bytes_per_s == pytest.approx(2 * workload.gradient_bytes / law.per_client_s, rel=0.01)
    for row in rows:
        assert row.workers is not None
        step = cost(cloud, workload, SyncSGD(row.workers, "parameter_servers")).step_s
        assert step == pytest.approx(validate._step_s(row), rel=0.05)


def test_tables_hold_out_every_interior_point_once() -> None:
    rows = [r for r in validate.table_predictions() if "thread 3484" in r.system]
    assert len(rows) == len({r.id for r in rows}) == 9
