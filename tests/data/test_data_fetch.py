"""Finding, fetching and verifying, against a server that breaks every promise in turn."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from repro.data import fetch, sources
from repro.errors import UserError

ROOT = Path(__file__).parents[2]


# --- the plain course


def test_downloads_once_then_finds_the_cache(toy, server):
    assert fetch.locate("toy") == toy.cached
    assert toy.whole(toy.cached)
    assert server.requests == [("/one/a.bin", None), ("/one/b.bin", None)]
    assert fetch.locate("toy") == fetch.verify("toy") == toy.cached
    assert len(server.requests) == 2


def test_archive_gives_its_wanted_members_only(archived, server, tmp_path):
    assert fetch.locate("toy") == archived.cached
    found = {
        str(path.relative_to(archived.cached)): path.read_bytes()
        for path in archived.cached.rglob("*")
        if path.is_file()
    }
    assert found == archived.contents  # neither the archive nor `readme` nor anything aside
    assert not list(tmp_path.rglob("outside.txt"))
    fetch.locate("toy")
    assert len(server.requests) == 1


def test_archive_is_fetched_again_when_a_member_is_lost(archived, server):
    fetch.locate("toy")
    (archived.cached / "inner/b.bin").unlink()
    assert (fetch.locate("toy") / "inner/b.bin").read_bytes() == archived.contents["inner/b.bin"]
    assert len(server.requests) == 2


def test_progress_is_shown_on_request_and_never_in_logs(toy, capsys):
    fetch.locate("toy")
    assert capsys.readouterr() == ("", "")
    shutil.rmtree(toy.cached)
    fetch.locate("toy", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "a.bin: 100%" in err


def test_a_relative_cache_home_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert fetch.cache_folder() == Path.home() / ".cache/learning-from-models/data"


# --- REPRO_DATA


def test_repro_data_comes_first_and_is_only_read(toy, server, tmp_path, monkeypatch):
    folder = toy.put(tmp_path / "mine/toy")
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "mine"))
    assert fetch.locate("toy") == fetch.verify("toy") == folder
    assert toy.whole(folder)
    assert server.requests == []
    assert not (tmp_path / "cache").exists()


def test_repro_data_without_the_set_falls_back_to_the_cache(toy, tmp_path, monkeypatch):
    (tmp_path / "mine/toy").mkdir(parents=True)
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "mine"))
    assert fetch.locate("toy") == toy.cached
    assert list((tmp_path / "mine/toy").iterdir()) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"a": b"\0" * 600_000}, ["a.bin has sha256 ", "expected "]),
        ({"a": b"short"}, ["a.bin has 5 bytes, expected 600000"]),
        ({"b": None}, ["b.bin is missing"]),
        ({"a": b"x" * 5_000, "b": b"y" * 600_000}, ["a.bin has 5000 bytes, expected 600000"]),
    ],
    ids=["altered", "truncated", "incomplete", "exchanged"],
)
def test_a_wrong_file_in_repro_data_is_named_and_left_alone(toy, server, tmp_path, monkeypatch, other, words, refusal):
    folder = toy.put(tmp_path / "mine/toy", **other)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "mine"))
    line = refusal()
    assert all(word in line for word in [*words, str(folder)])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert server.requests == []


def test_repro_data_that_does_not_exist(toy, tmp_path, monkeypatch, refusal):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "typo"))
    assert f"REPRO_DATA is {tmp_path}/typo, which is not a directory" in refusal()


# --- the disk


def test_a_damaged_cache_is_mended_file_by_file(toy, server):
    toy.put(toy.cached, a=b"\0" * 600_000)
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert server.requests == [("/one/a.bin", None)]


def test_an_overlong_leftover_is_thrown_away(toy):
    toy.cached.mkdir(parents=True)
    (toy.cached / ".a.bin.part").write_bytes(b"x" * 700_000)
    fetch.locate("toy")
    assert toy.whole(toy.cached)


def test_a_complete_leftover_needs_no_transfer(toy, server):
    toy.cached.mkdir(parents=True)
    (toy.cached / ".a.bin.part").write_bytes(toy.contents["a.bin"])
    fetch.locate("toy")
    assert toy.whole(toy.cached)
    assert server.requests == [("/one/b.bin", None)]


def test_too_little_space_is_said_before_the_transfer(toy, server, monkeypatch, refusal):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10_000, 10_000))
    line = refusal()
    assert f"needs 0.6 MB in {toy.cached}, where 0.0 MB are free" in line
    assert "XDG_CACHE_HOME" in line
    assert server.requests == []
    (toy.cached / ".a.bin.part").write_bytes(toy.contents["a.bin"])  # what is already here needs no space
    fetch.locate("toy")
    assert toy.whole(toy.cached)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["a.bin", "b.bin"])  # beyond and within one write buffer
def test_a_disk_that_fills_up_is_left_clean(toy, name, refusal):
    toy.cached.mkdir(parents=True)
    (toy.cached / f".{name}.part").symlink_to("/dev/full")  # every write fails with "no space left"
    line = refusal()
    assert "No space left on device" in line
    assert "free some space" in line
    assert str(toy.cached) in line
    assert name not in [path.name for path in toy.cached.iterdir()]
    assert not [path for path in toy.cached.iterdir() if path.name.endswith(".part")]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_unpacking_is_left_clean(archived, refusal):
    (archived.cached / "inner").mkdir(parents=True)
    (archived.cached / "inner/.b.bin.part").symlink_to("/dev/full")
    assert "No space left on device" in refusal()
    assert [path.name for path in archived.cached.rglob("*")] == ["inner", "a.bin"]


def test_a_cache_that_cannot_be_made(toy, server, tmp_path, refusal):
    (tmp_path / "cache").write_text("a file where the folder should be")
    line = refusal()
    assert "Not a directory" in line
    assert "point XDG_CACHE_HOME or REPRO_DATA elsewhere" in line
    assert server.requests == []


def test_a_read_only_cache(toy, server, monkeypatch, refusal):
    # Tests may run as root, whom no permission bit stops: the refusal is played.
    def refuse(self: Path, *_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    line = refusal()
    assert f"{toy.cached}: Permission denied: make it accessible" in line
    assert server.requests == []


def test_a_file_that_cannot_be_read(toy, tmp_path, monkeypatch, refusal):
    folder = toy.put(tmp_path / "mine/toy")
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "mine"))
    monkeypatch.setattr(fetch.checksum, "sha256_of", lambda path: _denied(path))
    assert f"{folder}/a.bin: Permission denied" in refusal()


def _denied(path: Path) -> str:
    raise PermissionError(13, "Permission denied", str(path))


# --- other processes


def locate_elsewhere(toy, *, progress: bool = False) -> subprocess.Popen[str]:
    """`locate("toy")` in another process."""
    program = (
        "import sys; from repro.data import fetch, sources, transfer; from repro.data.sources import *\n"
        f"sources.PUBLIC_SETS = {{'toy': {toy.public!r}}}\n"
        f"print(fetch.locate('toy', progress={progress}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(happened) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_process_transfers_while_the_other_waits(toy, server):
    server.routes["/one/a.bin"].stalls_after = 1_000
    first = locate_elsewhere(toy)
    wait_until(lambda: server.requests)
    second = locate_elsewhere(toy, progress=True)
    assert second.stderr is not None
    assert second.stderr.readline() == "toy: another process is downloading it; waiting\n"
    server.go_on.set()
    for process in (first, second):
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, f"{toy.cached}\n", "")
    assert server.requests == [("/one/a.bin", None), ("/one/b.bin", None)]
    assert toy.whole(toy.cached)


def test_a_killed_download_is_resumed(toy, server):
    server.routes["/one/a.bin"].stalls_after = 300_000
    victim = locate_elsewhere(toy)
    part = toy.cached / ".a.bin.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    assert [path.name for path in toy.cached.iterdir()] == [".a.bin.part"]
    have = part.stat().st_size
    server.routes["/one/a.bin"].stalls_after = None
    fetch.locate("toy")
    assert server.requests[1] == ("/one/a.bin", f"bytes={have}-")
    assert toy.whole(toy.cached)


# --- the list


def test_describe_says_where_each_set_lies(toy, tmp_path, monkeypatch):
    (row,) = fetch.describe()
    assert (row.name, row.files, row.size_bytes) == ("toy", ("a.bin", "b.bin"), 605_000)
    assert (row.licence, row.folder) == ("public domain", None)
    fetch.locate("toy")
    assert fetch.describe()[0].folder == toy.cached
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "mine"))
    toy.put(tmp_path / "mine/toy")
    assert fetch.describe()[0].folder == tmp_path / "mine/toy"
    (tmp_path / "mine/toy/b.bin").unlink()
    assert fetch.describe()[0].folder is None


def test_verify_downloads_nothing(toy, server):
    with pytest.raises(UserError, match=r"a\.bin is missing"):
        fetch.verify("toy")
    assert server.requests == []


def test_an_unknown_name_lists_the_names(toy, refusal):
    assert refusal("tiy") == "no public data set is called 'tiy': choose one of toy"


def test_the_table_is_whole():
    for name, public in sources.PUBLIC_SETS.items():
        assert public.name == name
        assert public.licence
        assert public.homepage
        assert public.read_by
        paths = [file.path for file in public.files]
        assert len(set(paths)) == len(paths) > 0
        for item in (*public.downloads, *public.files):
            assert len(item.sha256) == 64
            assert set(item.sha256) <= set("0123456789abcdef")
            assert item.size_bytes > 0
        for download in public.downloads:
            assert download.urls
            for url in download.urls:
                assert url.startswith(("https://", "http://"))
                assert url.endswith(f"/{download.name}")
                # what lies on a branch may move: a raw address names a commit
                assert "raw.githubusercontent" not in url or len(url.split("/")[5]) == 40
    for name in ("mnist", "fashion-mnist"):
        assert all(len(download.urls) >= 2 for download in sources.PUBLIC_SETS[name].downloads)


def test_the_list_needs_neither_torch_nor_numpy():
    program = "import sys, repro.data.fetch; print({'torch', 'numpy'} & set(sys.modules), end='')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()"


def test_no_pickle_anywhere():
    for module in (ROOT / "repro/data").glob("*.py"):
        text = module.read_text()
        assert not any(word in text for word in ("pickle", "np.load(", "torch.load", "joblib"))


def test_a_user_without_a_home(toy, monkeypatch, refusal):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert refusal() == "this user has no home directory: set XDG_CACHE_HOME or REPRO_DATA"
