"""Pictures: the same bytes when drawn again, numbers and caption beside them, all or nothing."""

import errno
import os

import pytest

from repro.errors import UserError
from repro.plots.drawing import Drawing
from repro.plots.save import save
from repro.plots.style import axes, band, with_intervals

DATA = [{"x": 1, "mean": 0.1 + 0.2, "low": None}, {"x": 2, "mean": 3, "low": 2.5, "note": "a, b"}]
NAMES = ["coin.csv", "coin.png", "coin.txt"]


def drawing(caption: str = "Shares of heads.\n  n = 3,\tscale quick. " + "Long. " * 30) -> Drawing:
    picture, (ax, _) = axes(2, height_in=2.0)
    with_intervals(ax, [(1, 0.3, None, None), (2, 3, 2.5, 3.5)], 0, label="ours")
    band(ax, 1, 2, label="printed")
    ax.set_xlabel("seed")
    ax.legend()
    return Drawing(picture, DATA, caption)


def test_the_picture_has_the_same_bytes_when_drawn_or_saved_again(tmp_path):
    first = drawing()
    save(first, tmp_path / "a" / "coin.png")
    save(first, tmp_path / "b" / "coin.png")
    save(drawing(), tmp_path / "c" / "coin.png")
    contents = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "abc"]
    assert contents[0] == contents[1] == contents[2]
    assert sorted(contents[0]) == NAMES
    png = contents[0]["coin.png"]
    assert png.startswith(b"\x89PNG\r\n")
    assert b"tEXt" not in png, "neither a date nor a version"


def test_a_picture_that_looks_alike_is_left_as_it_is(tmp_path):
    def drawn(y: float) -> Drawing:
        picture, (ax,) = axes(height_in=2.0)
        ax.plot([1, 2], [3, y])
        ax.set_ylim(2, 5)
        return Drawing(picture, DATA, "A line.")

    def saved(y: float, name: str, there: bytes | None = None) -> bytes:
        path = tmp_path / name
        if there is not None:
            path.write_bytes(there)
        save(drawn(y), path)
        return path.read_bytes()

    first = saved(4, "first.png")
    assert saved(4.0001, "near.png") != first
    assert saved(4.0001, "again.png", first) == first
    assert saved(4.02, "moved.png", first) == saved(4.02, "fresh.png") != first
    assert saved(4, "torn.png", first[: len(first) // 2]) == first
    assert saved(4, "other.png", b"no picture") == first


def test_numbers_and_caption_stand_beside_it(tmp_path):
    save(drawing(), tmp_path / "coin.png")
    assert (tmp_path / "coin.csv").read_text() == 'x,mean,low,note\n1,0.30000000000000004,,\n2,3,2.5,"a, b"\n'
    lines = (tmp_path / "coin.txt").read_text().splitlines()
    assert lines[0].startswith("Shares of heads. n = 3, scale quick. Long. Long.")
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) == 3


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, one_line, fails_at, there):
    if there:
        for name in NAMES:
            (tmp_path / name).write_bytes(b"old")
    calls = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as raised:
        save(drawing(), tmp_path / "coin.png")
    assert "cannot be written (No space left on device)" in one_line(raised.value)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert left == (dict.fromkeys(NAMES, b"old") if there else {})


def test_a_figure_that_cannot_be_drawn_leaves_nothing(tmp_path):
    broken = drawing()
    broken.figure.savefig = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        save(broken, tmp_path / "new" / "coin.png")
    assert not (tmp_path / "new").exists()
