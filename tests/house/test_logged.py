"""Logs: what is said, without what a progress bar overwrites; the terminal sees all of it."""

import io
import sys

import pytest
from tqdm import tqdm

from repro.cli import main
from repro.errors import UserError
from repro.logged import logged


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_terminal_stays_one_and_the_log_has_finished_lines(monkeypatch, own_place):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log = own_place / "logs" / "one.log"
    with logged(log):
        assert sys.stderr.isatty()
        for _ in tqdm(range(3), desc="net", mininterval=0, leave=False):
            pass
        print("done", file=sys.stderr)
        print("figure.png")
    assert "net" in terminal.getvalue()
    assert log.read_text() == "done\nfigure.png\n"
    assert sys.stderr is terminal


def test_a_traceback_is_in_the_log(own_place):
    with pytest.raises(ZeroDivisionError), logged(own_place / "one.log"):
        print(1 // 0)
    assert "ZeroDivisionError" in (own_place / "one.log").read_text()


def test_a_users_mistake_is_in_the_log_and_on_the_terminal(own_place, capsys):
    assert main(["--log", "logs/run.log", "run", "hinton2015.nothing", "--config", "none.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("repro: none.yaml")
    assert (own_place / "logs" / "run.log").read_text() == said


def test_a_log_that_cannot_be_written_is_one_line(own_place, capsys, one_line):
    (own_place / "logs").write_text("in the way")
    assert main(["--log", "logs/run.log", "list"]) == 2
    assert capsys.readouterr().err.startswith("repro: logs/run.log: cannot be written (")
    with pytest.raises(UserError) as raised, logged(own_place / "logs" / "run.log"):
        pass
    one_line(raised.value)
