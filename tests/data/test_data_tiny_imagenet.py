"""The folder of 25 classes of Tiny ImageNet, made from the publisher's archive."""

import io
import json
import zipfile

import pytest

from repro.data import folders, tiny_imagenet
from repro.errors import UserError
from repro.machine import ROOT

image = pytest.importorskip("PIL.Image")
WNIDS = [f"n{number:02}" for number in range(30, 0, -1)]


@pytest.fixture
def archive(tmp_path):
    """30 classes, laid out as the publisher lays out 200."""
    content = io.BytesIO()
    image.new("RGB", (4, 4)).save(content, "JPEG")
    path = tmp_path / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("tiny-imagenet-200/wnids.txt", "\n".join(WNIDS) + "\n")
        lines = [f"val_{i}.JPEG\t{wnid}\t0\t0\t3\t3" for i, wnid in enumerate(WNIDS)]
        made.writestr("tiny-imagenet-200/val/val_annotations.txt", "\n".join(lines) + "\n")
        made.writestr("tiny-imagenet-200/test/images/test_0.JPEG", content.getvalue())
        for i, wnid in enumerate(WNIDS):
            made.writestr(f"tiny-imagenet-200/train/{wnid}/{wnid}_boxes.txt", "")
            made.writestr(f"tiny-imagenet-200/train/{wnid}/images/{wnid}_0.JPEG", content.getvalue())
            made.writestr(f"tiny-imagenet-200/val/images/val_{i}.JPEG", content.getvalue())
    return path


def test_the_first_classes_of_the_archives_own_list_are_laid_out(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    assert tiny_imagenet.main([str(archive)]) == 2
    assert "its first 25 classes are not as published" in capsys.readouterr().err
    assert not any((tmp_path / "data").iterdir()), "nothing half made is left"
    made = tmp_path / "data" / "made"
    with pytest.raises(UserError):
        tiny_imagenet.unpack(archive, made, listing="other")
    with zipfile.ZipFile(archive) as opened:
        tiny_imagenet._lay_out(opened, tmp_path / "expected")
    tiny_imagenet.unpack(archive, made, folders.read(tmp_path / "expected", "any").sha256["listing"])
    found = folders.read(made, "any")
    assert set(found.classes) == set(WNIDS[:25])
    assert len(found.train) == len(found.val) == 25
    for i, wnid in enumerate(WNIDS[:25]):
        assert [file.name for file in (made / "val" / wnid).iterdir()] == [f"val_{i}.JPEG"]
    with pytest.raises(UserError, match="is there already"):
        tiny_imagenet.unpack(archive, made)


def test_what_is_no_such_archive_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("REPRO_DATA", raising=False)
    assert tiny_imagenet.main(["absent.zip"]) == 2
    assert "set REPRO_DATA" in capsys.readouterr().err
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a", "b")
    (tmp_path / "torn.zip").write_bytes(b"PK")
    for name in ("absent.zip", "other.zip", "torn.zip"):
        assert tiny_imagenet.main([str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert "is not tiny-imagenet-200.zip as published" in said
        assert said.count("\n") == 1


def test_the_record_was_made_with_these_files():
    meta = ROOT / "results" / "paper" / "anil2018" / "imagenet" / "meta.json"
    if not meta.exists():
        pytest.skip("not on record")
    assert json.loads(meta.read_text())["data_sha256"] == {"listing": tiny_imagenet.LISTING}
