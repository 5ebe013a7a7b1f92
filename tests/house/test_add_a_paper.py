"""The page that says how to add a paper, followed step by step in a copy of the sources."""

import csv
import re

STEP = re.compile(r"^(New file|At the end of) `([^`]+)`[^\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_page_adds_a_paper(root, workflow):
    place = workflow.place
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
    for command in commands.splitlines():
        done = workflow.shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
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
