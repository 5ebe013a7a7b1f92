"""The page on new protocols says the truth: its code runs and shows what it claims."""

import re
from pathlib import Path

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
    for name in named - {"window.py"}:
        assert (PAGE.parent / name).is_file(), name
