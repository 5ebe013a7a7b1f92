"""The command line: users' mistakes are status 2 and one line; what it promises it does."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import cli, comparison, published, results
from repro.published import Published

Said = tuple[int, str, str]


@pytest.fixture
def repro(toy_scale, capsys) -> Callable[..., Said]:
    """Runs a command on the toy; gives status, output and what was said beside it."""
    toy_scale()

    def run(*words: str) -> Said:
        capsys.readouterr()
        status = cli.main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def printed(monkeypatch) -> None:
    """Printed numbers of the toy."""
    rows = [
        Published(
            name, "toy", "", "table 1", "coin", "heads", "", 5.0, 4.0, 6.0, "heads", "transcribed", "result"
        )
        for name in ("TOY-1", "TOY-2", "TOY-3")
    ]  # fmt: skip
    monkeypatch.setattr(comparison, "load_published", lambda: {row.id: row for row in rows})


CONFIG = ("--config", "toy.yaml")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "toy.coin", "--config", "absent.yaml"), "absent.yaml: cannot be read (No such file or directory)"),
        (("run", "toy.coins", *CONFIG), "toy.yaml: no experiment toy.coins; did you mean toy.coin?"),
        (("run", "toy", *CONFIG), "toy is a paper; name one of its experiments: toy.coin"),
        (("run", "toy.coin", "--arm", "tos", *CONFIG), "toy.coin: no arm tos; there are mint, toss, toss.fair"),
        (("run", "toy.coin", "--seed", "1", *CONFIG), "--seed names a seed of an arm: add --arm"),
        (("run", "toy.coin", "--arm", "toss", "--seed", "0", "7", *CONFIG), "toy.coin toss: seeds are 0 to 2, not 7"),
        (("run", "toy.coin", "--arm", "toss", "--seed", "-1", *CONFIG), "seeds are 0 to 2, not -1"),
        (("list", "nobody", *CONFIG), "toy.yaml: no experiment nobody"),
        (("draw", "toy.coin", *CONFIG), "toy.coin: no results at scale quick; first python -m repro run toy.coin"),
        (("draw", "toy.gone", *CONFIG), "no experiment toy.gone"),
        (("data", "fetch"), "data fetch: name at least one set"),
        (("data", "fetch", "mnits"), "mnits"),
        (("compare", "--config", "."), "cannot be read (Is a directory)"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(repro, words, told):
    status, out, error = repro(*words)
    assert (status, out) == (2, "")
    assert error.startswith("repro: ")
    assert error.count("\n") == 1
    assert told in error
    assert not Path("results").exists()


@pytest.mark.parametrize("words", [(), ("rnu",), ("run",), ("data", "drop"), ("run", "a.b", "--seed", "x"), ("--no",)])
def test_words_that_mean_nothing_are_explained(repro, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    assert "usage: python -m repro" in capsys.readouterr().err


@pytest.mark.parametrize("command", [(), ("run",), ("list",), ("data",), ("draw",), ("compare",), ("bench",)])
def test_every_command_explains_itself(repro, capsys, command):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command, "--help"])
    assert stopped.value.code == 0
    assert "usage: python -m repro" in capsys.readouterr().out


def test_run_list_draw_compare(repro, printed):
    status, out, _ = repro("list", *CONFIG)
    assert status == 0
    assert "  coin                     0/8 runs, no cost on record, data digits\n      Tosses of minted coins" in out

    status, _, error = repro("run", "toy.coin", "--arm", "toss", "--seed", "2", "0", *CONFIG)
    assert status == 0
    assert [line.partition(":")[0] for line in error.splitlines()] == [
        "toy.coin mint seed 0", "toy.coin toss seed 0", "toy.coin toss seed 2",
    ]  # fmt: skip
    assert "3/8 runs" not in repro("list", *CONFIG)[1], "what was needed is finished and not yet on record"
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    told = "8 of 8 runs are on record in results/quick/toy/coin; --again makes them anew\n"
    assert repro("run", "toy.coin", *CONFIG) == (0, "", told), "finished runs are skipped"
    _, out, _ = repro("list", "toy.coin", *CONFIG)
    assert "8/8 runs" in out
    assert "    toss.fair                  seeds 0-2, 0.0 s a run" in out

    assert repro("draw", "toy.coin", *CONFIG) == (0, "paper_figures/quick/toy/coin.png\n", "")
    assert {path.name for path in Path("paper_figures/quick/toy").iterdir()} == {"coin.png", "coin.csv", "coin.txt"}

    status, out, _ = repro("compare", *CONFIG)
    assert status == 0
    assert out.startswith("results/quick/comparison.csv: ")
    assert out.count("\n") == 1
    rows = {row.id: row for row in comparison.compare.read(Path("results/quick/comparison.csv"))}
    assert set(rows) == {"TOY-1.toss", "TOY-1.fair", "TOY-2", "TOY-3"}
    found = results.load(Path("results/quick/toy/coin"))
    assert found is not None
    heads = list(found.values("toss", "heads").values())
    assert rows["TOY-1.toss"].ours == pytest.approx(sum(heads) / 3, rel=1e-5)
    assert rows["TOY-1.toss"].command == "python -m repro run toy.coin --config " + str(
        found.meta["command"].split()[-1]
    )
    assert rows["TOY-2"].departures == "nobody has such a coin"
    assert rows["TOY-3"].departures == "no experiment of this scale speaks to it"
    before = Path("results/quick/comparison.csv").read_bytes()
    repro("compare", *CONFIG)
    assert Path("results/quick/comparison.csv").read_bytes() == before


def test_comparing_tells_of_rows_with_other_settings_and_of_older_sources(repro, printed, toy_scale):
    toy_scale(scale="paper")
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    toy_scale("tosses: 12", scale="paper")
    out = repro("compare", *CONFIG)[1]
    assert "results/paper/toy/coin: 8 of 8 rows were made with other settings than the config's" in out
    assert repro("run", "toy.coin", "--arm", "toss", *CONFIG)[0] == 0
    repro("compare", *CONFIG)
    timing = Path("results/paper/toy/coin/timing.csv")
    digest = timing.read_text().splitlines()[1].split(",")[-2]
    timing.write_text(timing.read_text().replace(digest, "12345678e901"))
    out = repro("compare", *CONFIG)[1]
    assert "3 of 8 rows were made with other settings" in out
    assert "8 of 8 rows were made by other sources than today's" in out


def test_comparing_tells_of_rows_of_other_hardware(repro, printed):
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    runs = Path("results/quick/toy/coin/runs.csv")
    row = next(line for line in runs.read_text().splitlines(keepends=True) if ",toss,cpu,1" in line)
    runs.write_text(runs.read_text() + row.replace(",cpu,", ",cuda,"))
    out = repro("compare", *CONFIG)[1]
    assert "results/quick/toy/coin: 1 rows do not count, being of other hardware than most" in out


def test_comparing_names_arms_that_are_on_record_of_other_hardware_alone(repro, printed):
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    runs = Path("results/quick/toy/coin/runs.csv")
    assert "not on record of the hardware" not in repro("compare", *CONFIG)[1]
    runs.write_text(runs.read_text().replace(",mint,cpu,", ",mint,cuda,"))
    out = repro("compare", *CONFIG)[1]
    assert "results/quick/toy/coin: mint: not on record of the hardware that most rows are of (cpu)" in out


def test_figures_and_claims_go_by_the_config_as_it_is_now(repro, printed, toy_scale):
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    toy_scale("excuse: lost it")
    assert repro("draw", "toy.coin", *CONFIG)[0] == 0
    assert Path("paper_figures/quick/toy/coin.txt").read_text().startswith("Shares of heads; lost it.")
    assert repro("compare", *CONFIG)[0] == 0
    rows = {row.id: row for row in comparison.compare.read(Path("results/quick/comparison.csv"))}
    assert rows["TOY-2"].departures == "lost it"


def test_a_recorded_config_of_another_version_matters_only_where_nothing_newer_is_asked(repro, printed, toy_scale):
    assert repro("run", "toy.coin", *CONFIG)[0] == 0
    folder = Path("results/quick/toy/coin")
    meta = folder / "meta.json"
    meta.write_text(meta.read_text().replace('"tosses"', '"tozzes"'))
    assert repro("compare", *CONFIG)[0] == 0
    shutil.copytree(folder, "results/quick/toy-other/coin")
    told = "repro: results/quick/toy-other/coin/meta.json: toy.coin.tozzes: unknown key; did you mean tosses?"
    status, _, error = repro("compare", *CONFIG)
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith(told)
    assert "move the folder away" in error


def test_what_is_on_record_or_in_the_cache_is_said_to_be(repro, toy_scale):
    toy_scale()
    words = ("run", "toy.coin", "--arm", "toss", *CONFIG)
    repro(*words)
    folder = Path("results/quick/toy/coin")
    assert repro(*words)[2] == f"3 of 3 runs are on record in {folder}; --again makes them anew\n"
    for path in folder.iterdir():
        path.unlink()
    told = repro(*words)[2].splitlines()
    assert len(told) == 3
    assert all(line.startswith("toy.coin toss seed ") and ": finished before, in " in line for line in told)
    assert not any("other sources" in line for line in told)
    assert "other sources" not in repro(*words, "--again")[2]


def test_a_loss_that_is_no_number_is_one_line(repro, toy_scale):
    toy_scale("trouble: metric")
    status, _, error = repro("run", "toy.coin", "--arm", "toss", *CONFIG)
    assert status == 2
    assert error.splitlines()[-1].startswith("repro: toy.coin toss seed 0: heads is nan; nothing of this run was recor")
    assert "Traceback" not in error


def test_an_interruption_says_how_to_go_on(repro, monkeypatch):
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_list", interrupted)
    status, _, error = repro("list", *CONFIG)
    assert status == 130
    assert error == "repro: interrupted; what was finished is on record, start again to go on\n"


def test_data_list_names_every_public_set(repro, monkeypatch):
    from repro.data import sources

    monkeypatch.delenv("REPRO_DATA", raising=False)
    status, out, _ = repro("data", "list")
    assert status == 0
    for name in sources.PUBLIC_SETS:
        assert f"\n{name} " in f"\n{out}"


def test_a_reader_who_leaves_is_no_error(root):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m repro list --config '{root}/config/quick.yaml' | true"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": "/"},
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1)


TINY = """
scale: quick
device: cpu
hinton2015:
  mnist_students:
    teacher_seeds: 1
    student_seeds: 2
    teacher: {hidden: [8], training: {epochs: 1, batch_size: 64, jitter_pixels: 1, precision: float32}}
    student:
      hidden: [4]
      training: {epochs: 1, batch_size: 64, precision: float32}
      rates: {hard: 0.1, soft: 0.1, soft_hard: 0.1}
      hard_weight: 1
"""


def test_a_paper_shrunk_to_seconds_runs_draws_and_compares(own_place, capsys):
    Path("tiny.yaml").write_text(TINY)
    words = ("hinton2015.mnist_students", "--config", "tiny.yaml")
    assert cli.main(["run", *words]) == 0
    assert capsys.readouterr().err.count("\n") == 7
    assert cli.main(["draw", *words]) == 0
    assert cli.main(["compare", "--config", "tiny.yaml"]) == 0
    rows = comparison.compare.read(Path("results/quick/comparison.csv"))
    assert {row.verdict for row in rows if row.kind == "value"} == set(), "nothing is reproduced on other data"
    assert {row.verdict for row in rows if row.id in ("KD-M01", "KD-M02", "KD-M03.soft")} == {"not_judged"}
    judged = [row for row in rows if row.verdict != "not_run"]
    assert all("on digits" in row.setting for row in judged)
    result = {row.id for row in published.load().values() if row.role == "result" and row.paper == "hinton2015"}
    assert {published.stem_of(row.id, published.load()) for row in rows} >= result
    before = Path("results/quick/hinton2015/mnist_students/runs.csv").read_bytes()
    assert cli.main(["run", *words, "--again"]) == 0
    assert Path("results/quick/hinton2015/mnist_students/runs.csv").read_bytes() == before
