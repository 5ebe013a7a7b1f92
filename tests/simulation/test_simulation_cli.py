"""The command line: answers, JSON, exit statuses, and one clear line for each mistake."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulation.cli import main
from simulation.schedule import Schedule

RUN = ["run", "--cluster", "p100-ethernet", "--workload", "resnet-50"]


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("error: ")
    assert caught.err.count("\n") == 1
    return caught.err


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
        (["--protocol", "AsyncSGD", "--workers", "8"], "has no parameter_servers"),
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


def test_a_protocol_file_takes_no_options_beside_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("{kind: SyncSGD, workers: 8}")
    assert "step" in output(capsys, *RUN, "--protocol", str(file))
    assert "--workers has no effect" in mistake(capsys, *RUN, "--protocol", str(file), "--workers", "8")
    file.write_text("{kind: SyncSGD, wrokers: 8}")
    assert f"{file}.wrokers" in mistake(capsys, *RUN, "--protocol", str(file))


def test_trace_holds_slices_of_a_sample_of_workers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    asked = ["trace", *RUN[1:], "--workers", "16", "--updates", "20", "--output", str(file)]
    assert "slices" in output(capsys, *asked, "--sample", "4")
    events = json.loads(file.read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert len({e["tid"] for e in slices}) == 4
    assert all(e["dur"] > 0 for e in slices)
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


SWEEP = """cluster: p100-ethernet
workload: resnet-50
workers: [8, 16]
updates: 30
protocols:
  - {name: sync, kind: SyncSGD}
  - {name: pair, kind: Codistillation, groups: 2, interval_steps: 5, within: {kind: SyncSGD}}
"""


def test_sweep_gives_a_table_and_a_figure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, table, figure = tmp_path / "s.yaml", tmp_path / "s.csv", tmp_path / "s.png"
    file.write_text(SWEEP)
    output(capsys, "sweep", str(file), "--csv", str(table), "--figure", str(figure))
    lines = table.read_text().splitlines()
    assert lines[0].startswith("protocol,workers,step_s")
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["sync", "8"],
        ["sync", "16"],
        ["pair", "8"],
        ["pair", "16"],
    ]
    assert figure.read_bytes().startswith(b"\x89PNG")
    first = figure.read_bytes()
    output(capsys, "sweep", str(file), "--csv", str(table), "--figure", str(figure))
    assert figure.read_bytes() == first
    assert output(capsys, "sweep", str(file)) == table.read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("workers: [8, 16]", "workers: []", "at least one entry"),
        ("workers: [8, 16]", "workers: [8, 8]", "different numbers"),
        ("workers: [8, 16]", "workers: [7]", "groups: 2 does not divide 7"),
        ("updates: 30", "update: 30", "did you mean updates?"),
        ("kind: SyncSGD}\n  -", "kind: SyncSGD, workers: 8}\n  -", "leave workers out"),
        ("kind: SyncSGD}\n  -", "kind: Sync}\n  -", "unknown 'Sync'"),
        ("name: pair", "name: sync", "two are called 'sync'"),
        ("interval_steps: 5", "interval_steps: 100", "the run ends at 30"),
        (", within: {kind: SyncSGD}", "", "within: describe"),
        ("resnet-50", "resnet-5", "did you mean resnet-50?"),
    ],
)
def test_sweep_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "s.yaml"
    assert old in SWEEP
    file.write_text(SWEEP.replace(old, new))
    assert said in mistake(capsys, "sweep", str(file))


def test_a_sweep_finds_files_beside_it_and_grows_the_cluster(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(output(capsys, "shelf", "p100-ethernet"))
    file = tmp_path / "s.yaml"
    file.write_text(SWEEP.replace("p100-ethernet", "mine.yaml").replace("[8, 16]", "[512]"))
    assert "sync,512," in output(capsys, "sweep", str(file))


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
    lines = (f"{b} {b // 4} float sum -1 {t} {b / t / 1e3:.2f} 0.00 0 {t} 0.00 0.00 0" for b, t in rows)
    log.write_text("\n".join(lines))
    found = json.loads(output(capsys, "fit", str(log), "--nccl-tests", "--workers", "4", "--json"))
    assert found["latency_s"] == pytest.approx(10e-6, rel=1e-3)
    assert found["bandwidth_bytes_per_s"] == pytest.approx(1e10, rel=1e-3)
    assert "--batch has no effect" in mistake(capsys, "fit", str(log), "--nccl-tests", "--batch", "4")


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
