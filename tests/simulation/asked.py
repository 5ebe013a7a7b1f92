"""The command line asked from a test: what it says, or the one line of its mistake."""

import pytest

from simulation.cli import main

SWEEP = """cluster: p100-ethernet
workload: resnet-50
workers: [8, 16]
updates: 30
protocols:
  - {name: sync, kind: SyncSGD}
  - {name: pair, kind: Codistillation, groups: 2, interval_steps: 5, within: {kind: SyncSGD}}
"""


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
