"""The command line: answers, JSON, exit statuses, and one clear line for each mistake."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulation.description import load_cluster
from simulation.schedule import Schedule
from tests.simulation.asked import SWEEP, mistake, output

RUN = ["run", "--cluster", "p100-ethernet", "--workload", "resnet-50"]


def test_run_says_step_bound_bytes_and_staleness(capsys: pytest.CaptureFixture[str]) -> None:
    said = output(capsys, *RUN, "--workers", "64")
    for word in ("step ", "bound ", "compute takes", "bytes/step", "Ethernet", "staleness", "simulated"):
        assert word in said


@pytest.mark.parametrize(
    "options",
    [
        ["--protocol", "SyncSGD", "--workers", "16"],
        ["--protocol", "LocalSGD", "--workers", "16", "--interval-steps", "4", "--momentum", "average"],
        ["--protocol", "Codistillation", "--workers", "16", "--groups", "2", "--interval-steps", "5"],
        [
            *("--protocol", "Codistillation", "--workers", "16", "--groups", "2", "--interval-steps", "1"),
            *("--exchange", "predictions"),
        ],
    ],
)
def test_run_json_holds_everything(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    found: dict[str, Any] = json.loads(output(capsys, *RUN, *options, "--json", "--updates", "40"))
    assert found["step_s"] > 0
    assert found["statistics"]["staleness_mean"] == 0
    assert found["traffic"][1]["level"] == "Ethernet"
    assert sum(found["parts_s"].values()) == pytest.approx(found["step_s"])
    assert found["step_s"] == pytest.approx(found["expected_step_s"], rel=0.05)


@pytest.mark.parametrize(
    "options",
    [
        ["--protocol", "SyncSGD", "--aggregation", "parameter_servers", "--workers", "64"],
        ["--protocol", "SyncSGD", "--aggregation", "parameter_servers", "--workers", "8"],
        ["--protocol", "AsyncSGD", "--workers", "16"],
        ["--protocol", "AsyncSGD", "--workers", "128"],
        ["--protocol", "StaleSynchronous", "--workers", "16", "--bound-steps", "2"],
        ["--protocol", "BackupWorkers", "--workers", "14", "--backups", "2"],
    ],
)
def test_engine_agrees_with_the_expected_step_on_servers(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    found = json.loads(
        output(capsys, "run", "--cluster", "cloud-k80", "--workload", "inception-v3", *options, "--json")
    )
    assert found["step_s"] == pytest.approx(found["expected_step_s"], rel=0.03)
    if options[1] == "AsyncSGD":
        assert found["statistics"]["staleness_mean"] == pytest.approx(int(options[3]) - 1, rel=0.05)


def test_run_writes_its_schedule(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "run.safetensors"
    output(capsys, *RUN, "--workers", "8", "--updates", "30", "--schedule", str(file))
    assert len(Schedule.load(file).updates) == 30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "8", "--bound-steps", "2"], "bound_steps: SyncSGD has no such key"),
        (["--workers", "8", "--within", "SyncSGD"], "--within has no effect under SyncSGD"),
        (["--workers", "60"], "do not fill whole groups of 8"),
        (["--workers", "1024"], "lower workers or raise nodes"),
        (["--workers", "0"], "workers"),
        (["--workers", "8", "--updates", "100000000000"], "more than a schedule holds"),
        (["--workers", "8", "--batch", "1" + 22 * "0"], "s a gradient: longer than 417 days"),
        (["--workers", "8", "--seed", "1"], "seed has no effect: nothing about"),
        (
            [
                *("--protocol", "Codistillation", "--workers", "16", "--groups", "2"),
                *("--interval-steps", "5", "--burn-in-steps", "5"),
            ],
            "burn_in_steps 5 has no effect",
        ),
        (
            ["--protocol", "Codistillation", "--within", "LocalSGD", "--workers", "16", "--groups", "2"],
            "LocalSGD within groups has an --interval-steps of its own",
        ),
        (["--protocol", "Codistillation", "--within", "Gossip"], "no such protocol inside a group"),
        (["--protocol", "Codistillation", "--workers", "8"], "needs --groups and --workers"),
        (
            ["--protocol", "Codistillation", "--workers", "64", "--groups", "3", "--interval-steps", "5"],
            "--groups 3 does not divide 64",
        ),
        (
            [
                *("--protocol", "Codistillation", "--workers", "16", "--groups", "2"),
                *("--interval-steps", "500", "--updates", "100"),
            ],
            "the run ends at 100",
        ),
        (["--protocol", "Hogwild", "--workers", "8"], "no such file; choose one of SyncSGD"),
        (["--workers", "8", "--batch", "0"], "batch must be 1 or more"),
        (["--workers", "8", "--nodes", "0"], "--nodes"),
        (["--workers", "8", "--engine", "closed_form", "--updates", "0"], "updates"),
    ],
)
def test_run_refuses(capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert said in mistake(capsys, *RUN, *options)


def test_servers_are_asked_for_with_the_remedy_that_the_protocol_has(capsys: pytest.CaptureFixture[str]) -> None:
    tpu = ["run", "--cluster", "tpu-v4-torus", "--workload", "resnet-50", "--workers", "8"]
    said = mistake(capsys, *tpu, "--protocol", "AsyncSGD")
    assert "has no parameter_servers, which AsyncSGD sends its gradients to: add them to its file\n" in said
    assert "or use aggregation: allreduce" in mistake(capsys, *tpu, "--aggregation", "parameter_servers")


@pytest.mark.parametrize(
    "name", ["p100-ethernet", "dgx-a100", "dgx2h-infiniband", "h100-infiniband", "pascal-roce", "cloud-k80"]
)
def test_machines_with_a_network_offer_servers(capsys: pytest.CaptureFixture[str], name: str) -> None:
    asked = ["run", "--cluster", name, "--workload", "resnet-50", "--workers", "16", "--protocol", "AsyncSGD"]
    assert json.loads(output(capsys, *asked, "--json"))["step_s"] > 0


def test_outputs_that_cannot_be_written_are_refused_beforehand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, folder, none = tmp_path / "s.yaml", tmp_path / "folder.svg", tmp_path / "none" / "x.svg"
    sweep.write_text(SWEEP)
    folder.mkdir()
    monkeypatch.setattr("simulation.sweep.simulate", lambda *_: pytest.fail("played before its outputs were checked"))
    monkeypatch.setattr("simulation.report.simulate", lambda *_: pytest.fail("played before its outputs were checked"))
    commands = [
        [*RUN, "--workers", "8", "--schedule"],
        [*RUN, "--workers", "8", "--figure"],
        ["trace", *RUN[1:], "--workers", "8", "--output"],
        ["sweep", str(sweep), "--csv"],
        ["sweep", str(sweep), "--csv", str(tmp_path / "kept.csv"), "--figure"],
        ["fit", str(tmp_path / "table.csv"), "--workload", "resnet-50", "--output"],
        ["validate", "--csv"],
        ["validate", "--figure"],
        ["calibrate", "--output"],
    ]
    for command in commands:
        assert f"{folder}: is a folder" in mistake(capsys, *command, str(folder))
        assert f"{none}: its folder does not exist" in mistake(capsys, *command, str(none))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.svg", "s.yaml"]


def test_a_full_disk_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "it")

    monkeypatch.setattr("simulation.schedule.save_file", full)
    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert "it: No space left" in mistake(capsys, *RUN, "--workers", "8", "--schedule", str(tmp_path / "s"))
    asked = ["fit", str(tmp_path / "t.csv"), "--workload", "resnet-50", "--output", str(tmp_path / "fitted.yaml")]
    with (tmp_path / "t.csv").open("w") as file:
        file.write("workers,step_s\n1,1\n2,1.1\n4,1.2\n")
    assert "fitted.yaml: cannot be written (No space left on device)" in mistake(capsys, *asked)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_failures_that_leave_no_progress_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "failing.yaml"
    shelf = output(capsys, "shelf", "p100-ethernet")
    file.write_text(shelf + "failures: {per_node_hour: 9, checkpoint_interval_s: 600, checkpoint_s: 1, restart_s: 9}\n")
    asked = ["run", "--cluster", str(file), "--workload", "resnet-50", "--workers", "352", "--updates", "20000"]
    assert "50 Gbit Ethernet': failures.checkpoint_interval_s: a group fails every 9.09 s" in mistake(capsys, *asked)
    file.write_text(shelf + "failures: {per_node_hour: 9e9, checkpoint_interval_s: 1, checkpoint_s: 1, restart_s: 9}\n")
    assert "failures.per_node_hour: a worker fails" in mistake(capsys, *asked, "--protocol", "AsyncSGD")


def test_what_failures_cost_a_long_run_is_said_though_none_came(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "--cluster", "h100-infiniband", "--workload", "transformer-7b", "--workers", "1024"]
    said = output(capsys, *asked)
    assert "between failures" in said
    assert "between checkpoints" in said
    assert "of a long run, in closed form: one every 48.8 h, a checkpoint every 30 min; Young's interval" in said
    found = json.loads(output(capsys, *asked, "--json"))["failures"]
    # Half an interval lost and a restart at each failure; writing 30 s of every 1830 s.
    assert found["time_share"] == pytest.approx(30 / 1830 + (900 + 300) / 175781, rel=0.01)
    assert found["young_interval_s"] == pytest.approx((2 * 30 * 3600 / (1.6e-4 * 128)) ** 0.5)
    assert "no checkpoint counts" in output(capsys, *asked, "--protocol", "AsyncSGD", "--updates", "3000")


def test_price_is_said_by_the_hour_and_by_the_million_examples(capsys: pytest.CaptureFixture[str]) -> None:
    question = ("run", "--cluster", "cloud-k80", "--workload", "inception-v3", "--workers", "8")
    found = json.loads(output(capsys, *question, "--json"))
    per_hour = 8 * (load_cluster("cloud-k80").device.price_per_hour_usd or 0.0)
    million = per_hour * 1e6 / (3600 * found["examples_per_s"])
    assert found["price_per_hour_usd"] == pytest.approx(per_hour)
    assert f"{per_hour:.2f} USD an hour, {million:.3g} a million examples" in output(capsys, *question)


def test_a_protocol_file_takes_no_options_beside_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("{kind: SyncSGD, workers: 8}")
    assert "step" in output(capsys, *RUN, "--protocol", str(file))
    assert "--workers has no effect" in mistake(capsys, *RUN, "--protocol", str(file), "--workers", "8")
    file.write_text("{kind: SyncSGD, wrokers: 8}")
    assert f"{file}.wrokers" in mistake(capsys, *RUN, "--protocol", str(file))
    file.write_text(
        "{kind: Codistillation, groups: 2, interval_steps: 500, within: {kind: SyncSGD, workers: 8}}", encoding="utf-8"
    )
    assert f"{file}: Codistillation: the first teachers come at" in mistake(
        capsys, *RUN, "--protocol", str(file), "--updates", "100"
    )
    file.write_text("{kind: Codistillation, groups: '2', interval_steps: 5, within: {kind: SyncSGD, workers: 8}}")
    assert f"{file}: Codistillation.groups: '2' must be a whole number" in mistake(
        capsys, *RUN, "--protocol", str(file)
    )


def test_trace_holds_slices_of_a_sample_of_workers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    asked = ["trace", *RUN[1:], "--workers", "16", "--updates", "20", "--output", str(file)]
    assert "slices" in output(capsys, *asked, "--sample", "4")
    events = json.loads(file.read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert len({e["tid"] for e in slices}) == 4
    assert all(e["dur"] > 0 for e in slices)
    assert "a group has only 16 workers" in mistake(capsys, *asked, "--sample", "17")
    assert "draw one worker or more" in mistake(capsys, *asked, "--sample", "0")


def test_run_draws_step_time_and_staleness(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "run.svg"
    output(capsys, *RUN, "--workers", "8", "--figure", str(file))
    assert "staleness" in file.read_text() or "<path" in file.read_text()


def test_shelf_lists_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    listed = output(capsys, "shelf")
    assert "tpu-v4-torus" in listed
    assert "transformer-7b" in listed
    assert "nodes: 96" in output(capsys, "shelf", "dgx-a100")
    assert "not on the shelf" in mistake(capsys, "shelf", "abacus")


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = (
        f"{sys.executable} -c 'import time; from simulation.cli import main; time.sleep(.5); exit(main([\"shelf\"]))'"
    )
    done = subprocess.run(f"{command} | true", shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_fit_reports_law_and_error_and_writes_a_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table, cluster = tmp_path / "t.csv", tmp_path / "fitted.yaml"
    table.write_text("workers,step_s\n" + "".join(f"{n},{max(1.0, 0.1 * n)}\n" for n in (1, 2, 4, 16, 32)))
    said = output(capsys, "fit", str(table), "--workload", "resnet-50", "--output", str(cluster))
    assert "ServerLaw" in said
    found = json.loads(output(capsys, "fit", str(table), "--json"))
    assert found["law"]["per_client_s"] == pytest.approx(0.1)
    run = ["run", "--cluster", str(cluster), "--workload", "resnet-50", "--workers", "32"]
    assert "bound        server" in output(capsys, *run, "--aggregation", "parameter_servers")
    assert "belong together" in mistake(capsys, "fit", str(table), "--workload", "resnet-50")
    assert "no effect without --nccl-tests" in mistake(capsys, "fit", str(table), "--workers", "4")


def test_fit_reads_nccl_tests(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    rows = [(1024 * 4**k, 10.0 + 1024 * 4**k / 1e4) for k in range(6)]
    rates = {b: f"{t} {b / t / 1e3:.2f} {1.5 * b / t / 1e3:.2f} 0" for b, t in rows}  # busbw of four ranks
    lines = (f"{b} {b // 4} float sum -1 {rates[b]} {rates[b]}" for b, _ in rows)
    log.write_text("\n".join(lines))
    found = json.loads(output(capsys, "fit", str(log), "--nccl-tests", "--workers", "4", "--json"))
    assert found["latency_s"] == pytest.approx(10e-6, rel=1e-3)
    assert found["bandwidth_bytes_per_s"] == pytest.approx(1e10, rel=1e-3)
    assert "--batch has no effect" in mistake(capsys, "fit", str(log), "--nccl-tests", "--batch", "4")
    mine = tmp_path / "mine.yaml"
    asked = ["fit", str(log), "--nccl-tests", "--workers", "4", "--output", str(mine)]
    assert "belong together" in mistake(capsys, *asked)
    assert "2 devices" not in output(capsys, *asked, "--into", "p100-ethernet")
    said = output(capsys, "run", "--cluster", str(mine), "--workload", "resnet-50", "--workers", "4")
    assert "all-reduces take as long as the measured table says" in said
    assert load_cluster(str(mine)).measured_collectives[0].seconds_measured == tuple(found["seconds_measured"])
    asked[4] = "16"
    log.write_text(log.read_text().replace("-1", "0"))
    assert "an all-reduce among 16 ranks" in mistake(capsys, *asked, "--into", "p100-ethernet")
    asked[4] = "4"
    assert "4 workers need 4 devices" in mistake(capsys, *asked, "--into", "laptop-two-cores")


def test_a_useless_fit_writes_nothing_and_tables_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table, cluster = tmp_path / "t.csv", tmp_path / "fitted.yaml"
    table.write_text("workers,step_s\n1,4\n2,2\n4,1\n8,0.5\n")
    assert "warning: useless" in output(capsys, "fit", str(table))
    asked = ["fit", str(table), "--workload", "resnet-50", "--output", str(cluster)]
    assert f"{table}: the law misses the data" in mistake(capsys, *asked)
    assert not cluster.exists()
    table.write_text("workers,step_s\n1,1\n2,1\n4,1\n")
    assert "per_client_s               0.25 at most" in output(capsys, "fit", str(table))
    table.write_text("workers,step_s\n1,4\n2,2\n")
    assert f"{table}: 2 different worker counts" in mistake(capsys, "fit", str(table))
    assert "--batch 0: give one example" in mistake(capsys, "fit", str(table), "--batch", "0")


def test_validate_shows_met_and_missed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table, figure = tmp_path / "v.csv", tmp_path / "v.svg"
    said = output(capsys, "validate", "--csv", str(table), "--figure", str(figure))
    assert "met" in said
    assert "MISSED" in said
    assert "not predicted:" in said
    found = json.loads(output(capsys, "validate", "--json"))
    assert len(found["rows"]) == len(table.read_text().splitlines()) - 1
    assert figure.read_text().lstrip().startswith("<?xml")
    assert "figures are .png, .svg or .pdf" in mistake(capsys, "validate", "--figure", str(tmp_path / "v.gif"))


def test_calibrate_needs_torchrun(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(key, raising=False)
    assert "torchrun --nproc-per-node 2" in mistake(capsys, "calibrate", "--output", "x.yaml")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert "one process has nobody" in mistake(capsys, "calibrate", "--output", "x.yaml")


def test_light_commands_do_not_import_torch() -> None:
    code = (
        "import sys; from simulation.cli import main; main(['shelf', 'dgx-a100']);"
        "import simulation, simulation.cluster, simulation.collectives, simulation.costs, simulation.report;"
        "assert 'torch' not in sys.modules, 'torch'; assert 'matplotlib' not in sys.modules, 'matplotlib';"
        "assert not any(m.split('.')[0] == 'repro' for m in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from simulation.cli import _parser; _parser().format_help();"
        "heavy = {'numpy', 'scipy', 'torch', 'pydantic', 'yaml', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
