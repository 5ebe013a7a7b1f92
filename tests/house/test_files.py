"""Files that are whole or absent, and CSV that gives back what was put in."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.files import csv_text, locked, read_csv, write_files, write_text


def read(text: str, folder: Path, **options) -> tuple[list[str], list[dict]]:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return read_csv(path, **options)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scratch")


words = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1).filter(
    lambda text: text[0].isalpha() and text not in ("inf", "nan")
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False).filter(lambda x: x == 0 or abs(x) < 1e308)


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": words | numbers | st.none(), "b": numbers}), max_size=6))
def test_numbers_words_and_gaps_come_back_exactly(scratch, rows):
    text = csv_text(("a", "b"), rows)
    header, back = read(text, scratch)
    assert header == ["a", "b"]
    assert [{k: (type(v), repr(v)) for k, v in row.items()} for row in back] == [
        {k: (type(v), repr(v)) for k, v in row.items()} for row in rows
    ]
    assert csv_text(header, back) == text


@settings(deadline=None)
@given(st.text("0123456789abcdef", min_size=10, max_size=16))
def test_a_digest_is_never_taken_for_another_number(scratch, digest):
    _, ((row),) = read(f"digest\n{digest}\n", scratch)
    assert str(row["digest"]) == digest
    assert read(f"digest\n{digest}\n", scratch, words=("digest",))[1] == [{"digest": digest}]


@pytest.mark.parametrize("word", ["12345678e9012345", "007", "1_000", " 5", "5 ", "+5", "0x10", "٣", "1e5", "Infinity"])
def test_what_python_would_not_write_as_a_number_is_a_word(tmp_path, word):
    assert read(f"a\n{word}\n", tmp_path)[1] == [{"a": word}]


@pytest.mark.parametrize(
    ("cell", "number"), [("0", 0), ("-3", -3), ("0.10", 0.1), ("1e-05", 1e-5), ("1.5e+06", 1.5e6), ("-0.0", -0.0)]
)
def test_numbers_are_read_as_numbers(tmp_path, cell, number):
    ((row),) = read(f"a\n{cell}\n", tmp_path)[1]
    assert repr(row["a"]) == repr(number)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 cells, the header 2"),
        (b"a,b\n1,2\n3,4.12", "its last line is cut off"),
        (b'a,b\n1,"2\n', "is not a CSV file"),
        (b"a,b\n1,\r2\n", "line 3 has 1 cells"),
        (b"a,b\n1,\xff\n", "cannot be read"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, one_line, content, told):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_csv(path)
    assert one_line(raised.value).startswith(f"{path}: ")
    assert told in str(raised.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_csv(path)


def test_text_is_written_as_it_is_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_text(path, "α\r\nβ\n")
    assert path.read_bytes() == "α\r\nβ\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "write"])
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, one_line, step):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    write_files(dict.fromkeys(paths[:2], b"old"))
    calls = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        opened = Path.open

        def open_(path: Path, *words, **options):
            full()
            return opened(path, *words, **options)

        monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(UserError) as raised:
        write_files(dict.fromkeys(paths, b"new"))
    monkeypatch.undo()
    assert one_line(raised.value) == f"{paths[2]}: cannot be written (No space left on device); nothing was changed"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {"a": b"old", "b": b"old"}


def test_a_failure_between_two_replacements_says_what_is_new(tmp_path, monkeypatch, one_line):
    paths = [tmp_path / name for name in ("a", "b")]
    write_files(dict.fromkeys(paths, b"old"))
    replace = Path.replace

    def failing(part: Path, target: Path) -> Path:
        if target == paths[1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(UserError) as raised:
        write_files(dict.fromkeys(paths, b"new"))
    assert one_line(raised.value) == f"{paths[1]}: cannot be written (Input/output error); a already replaced"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {"a": b"new", "b": b"old"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, one_line):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as raised:
        write_text(tmp_path / "file" / "a.csv", "text")
    assert "cannot be written" in one_line(raised.value)
    with pytest.raises(UserError) as raised, locked(tmp_path / "file" / "lock"):
        pass
    assert "cannot be written" in one_line(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_folder_is_one_line(tmp_path, one_line):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError) as raised:
        write_text(tmp_path / "a.csv", "text")
    tmp_path.chmod(0o700)
    assert "Permission denied" in one_line(raised.value)


def test_an_error_is_one_line_whatever_it_names():
    assert str(UserError("a\nb\r\nc: cannot be read")) == "a b c: cannot be read"
