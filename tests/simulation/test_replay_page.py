"""The page on replay says the truth: its code runs and shows what it claims."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "simulation" / "REPLAY.md"


def test_the_page_runs_and_asynchronous_workers_read_what_is_stale(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    lines = re.findall(r"(\w+): staleness (\S+), (\d+) s, loss (\S+) to (\S+)\n", said)
    assert [name for name, *_ in lines] == ["SyncSGD", "AsyncSGD"]
    (sync, asynchronous) = ([float(value) for value in values] for _, *values in lines)
    assert sync[0] == 0
    assert 20 < asynchronous[0] < 31  # N - 1 of 32 workers, less at the start
    for _, seconds, first, last in (sync, asynchronous):
        assert seconds > 0
        assert last < 0.7 * first


def test_the_page_names_what_exists():
    page = PAGE.read_text()
    for module, name in (("replay", "RMSProp"), ("gradients", "OneByOne"), ("replay", "budget_bytes")):
        assert name in page
        assert name in (PAGE.parent / f"{module}.py").read_text()
