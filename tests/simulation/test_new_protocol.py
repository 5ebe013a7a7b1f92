"""The page on new protocols says the truth: its code runs and shows what it claims."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulation.cli import main
from simulation.protocols import PROTOCOLS, SyncSGD

PAGE = Path(__file__).parents[2] / "simulation" / "NEW_PROTOCOL.md"


def test_the_page_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    said = re.fullmatch(r"coded (\d+\.\d+) of plain\n", capsys.readouterr().out)
    # Stragglers with so heavy a tail are worth four times the work.
    assert 0.0 < float(said[1]) < 1.0
    updates = names["group"].updates()
    assert (updates.read == updates.version).all()
    assert len(updates) == 500


def test_the_page_names_what_exists():
    named = set(re.findall(r"`((?:engines/)?\w+\.py)", PAGE.read_text()))
    assert {"protocols.py", "timing.py", "engines/heap.py"} <= named
    for name in named:
        assert (PAGE.parent / name).is_file(), name
    for name, function in re.findall(r"`((?:engines/)?\w+\.py)`, `(\w+)`", PAGE.read_text()):
        assert f"def {function}(" in (PAGE.parent / name).read_text(), (name, function)


def test_the_page_names_every_place_that_asks_for_the_kind_of_protocol():
    named = set(re.findall(r"`((?:engines/)?\w+\.py)", PAGE.read_text()))
    asks = re.compile(r"(?:case|isinstance\([^)]*)\W.*\b(?:SyncSGD|BackupWorkers|AsyncSGD|StaleSynchronous)\b")
    # Without formula, hence refused by name; no protocol but this one has late workers that finish.
    others = {"engines/closed_form.py"}
    for file in PAGE.parent.rglob("*.py"):
        name = str(file.relative_to(PAGE.parent))
        if asks.search(file.read_text()):
            assert name in named | others, name


@dataclass(frozen=True)
class PatientSGD(SyncSGD):
    """Like SyncSGD to all who match on it, with an option of its own."""

    patience: Literal["little", "much"] = "little"


def test_commands_take_a_new_protocol_without_a_change(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "PatientSGD", PatientSGD)
    asked = ["run", "--cluster", "p100-ethernet", "--workload", "resnet-50", "--workers", "16", "--updates", "30"]
    assert main([*asked, "--protocol", "PatientSGD", "--patience", "much", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["patience"] == "much"
    groups = ["--protocol", "Codistillation", "--groups", "2", "--interval-steps", "5"]
    assert main([*asked, *groups, "--within", "PatientSGD", "--patience", "much", "--json"]) == 0
    within = json.loads(capsys.readouterr().out)["protocol"]["within"]
    assert within == {"kind": "PatientSGD", "workers": 8, "aggregation": "allreduce", "patience": "much"}
    assert main([*asked, "--patience", "much"]) == 2
    assert "SyncSGD has no such key" in capsys.readouterr().err
    sweep = tmp_path / "s.yaml"
    sweep.write_text(
        "{cluster: p100-ethernet, workload: resnet-50, workers: [8], updates: 30, "
        "protocols: [{kind: PatientSGD, patience: much}]}"
    )
    assert main(["sweep", str(sweep)]) == 0
    assert "\nPatientSGD,8," in capsys.readouterr().out
