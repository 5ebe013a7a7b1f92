"""The page that says how to add a paper, followed step by step in a copy of the sources."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = ("Snakefile", "workflow", "profiles", "config", "repro", "simulation")
STEP = re.compile(r"^(New file|At the end of) `([^`]+)`[^\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def copy_of(root: Path, place: Path) -> Path:
    place.mkdir()
    for name in SOURCES:
        whole = root / name
        if whole.is_dir():
            shutil.copytree(whole, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(whole, place / name)
    return place


def test_the_page_adds_a_paper(root, tmp_path):
    place = copy_of(root, tmp_path / "copy")
    page = (root / "repro" / "papers" / "README.md").read_text(encoding="utf-8")
    steps = STEP.findall(page)
    assert [action for action, _, _ in steps] == ["New file"] * 3 + ["At the end of"]
    for action, name, text in steps:
        path = place / name
        assert path.exists() == (action == "At the end of")
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(("\n" if action == "At the end of" else "") + text)
    (commands,) = COMMANDS.findall(page)
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": str(place),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "REPRO_CACHE": str(tmp_path / "cache"),
    }
    for command in commands.splitlines():
        done = subprocess.run(command, shell=True, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    for figure in re.findall(r"`(paper_figures/[^`]+\.png)`", page):
        made = place / figure
        assert made.stat().st_size > 5000
        assert made.with_suffix(".csv").exists()
        assert "n = 5 seeds" in made.with_suffix(".txt").read_text()
    with (place / "results/quick/breiman1996/born_again/runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    errors = {arm: [int(row["test_errors"]) for row in rows if row["arm"] == arm] for arm in ("forest", "labels")}
    assert {arm: len(found) for arm, found in errors.items()} == {"forest": 5, "labels": 5}
    assert sum(errors["forest"]) < sum(errors["labels"])
    with (place / "results/quick/comparison.csv").open() as file:
        compared = {row["id"]: row for row in csv.DictReader(file)}
    assert compared["BA-1"]["verdict"] == "not_judged"
