"""One question asked of several protocols and numbers of workers: its table, its figure, and mistakes in its file."""

from pathlib import Path

import pytest

from tests.simulation.asked import SWEEP, mistake, output


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
        ("workers: [8, 16]", "workers: [7]", "protocols.1.groups: 2 does not divide 7"),
        ("groups: 2", "groups: '2'", "protocols.1.groups: '2' must be a whole number"),
        ("updates: 30", "updates: 0", "updates must be 1 or more, not 0"),
        ("updates: 30", "batch_per_worker_examples: 0", "batch_per_worker_examples must be 1 or more, not 0"),
        ("updates: 30", "engine: simpy", "engine: Input should be"),
        ("updates: 30", "seed: 3", "seed has no effect"),
        ("p100-ethernet", "nope", "cluster: nope: no such file"),
        ("interval_steps: 5", "interval_steps: 5, burn_in_steps: 2", "protocols.1: burn_in_steps 2 has no effect"),
        ("updates: 30", "update: 30", "did you mean updates?"),
        ("kind: SyncSGD}\n  -", "kind: SyncSGD, workers: 8}\n  -", "leave workers out"),
        ("kind: SyncSGD}\n  -", "kind: Sync}\n  -", "unknown 'Sync'"),
        ("name: pair", "name: sync", "two are called 'sync'"),
        ("interval_steps: 5", "interval_steps: 100", "protocols.1, 8 workers: Codistillation: the first"),
        (", within: {kind: SyncSGD}", "", "within: describe"),
        ("resnet-50", "resnet-5", "did you mean resnet-50?"),
    ],
)
def test_sweep_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "s.yaml"
    assert old in SWEEP
    file.write_text(SWEEP.replace(old, new))
    found = mistake(capsys, "sweep", str(file))
    assert f"error: {file}" in found
    assert said in found


def test_a_sweep_finds_files_beside_it_and_grows_the_cluster(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(output(capsys, "shelf", "p100-ethernet"))
    file = tmp_path / "s.yaml"
    file.write_text(SWEEP.replace("p100-ethernet", "mine.yaml").replace("[8, 16]", "[512]"))
    assert "sync,512," in output(capsys, "sweep", str(file))
