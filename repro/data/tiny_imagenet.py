"""Lays out 25 classes of Tiny ImageNet as a folder of JPEGs: ``python -m repro.data.tiny_imagenet ARCHIVE``.

ARCHIVE is Stanford CS231n's ``tiny-imagenet-200.zip`` (http://cs231n.stanford.edu/tiny-imagenet-200.zip, 248 MB): 200
classes of ImageNet, 64x64. ImageNet's terms hold, non-commercial research and education only, so everybody fetches it
from there. The classes are the first 25 of the archive's own ``wnids.txt``, all their 500 training and 50 validation
pictures, the files as they are: ``$REPRO_DATA/tiny-imagenet-25/{train,val}/<class>/*.JPEG``. Results on them are not
comparable with those on all 200.
"""

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from repro.data import folders
from repro.errors import UserError

NAME = "tiny-imagenet-25"
CLASSES = 25
LISTING = "454bec39fa5e9d1c530559f488c93a39b6eb6af622cb11c432fd0b0bc30911e9"
"""What `folders.read` finds in the folder that the results on record were made with."""


def unpack(archive: Path, folder: Path, listing: str = LISTING) -> None:
    """Make ``folder`` from the archive; it appears when it is complete.

    Raises:
        UserError: the folder is there already, the archive cannot be read, or what is in it is not as published.
    """
    if folder.exists():
        raise UserError(f"{folder}: is there already; move it away to make it anew")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        part = Path(made) / folder.name
        try:
            with zipfile.ZipFile(archive) as opened:
                _lay_out(opened, part)
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            raise UserError(f"{archive}: is not tiny-imagenet-200.zip as published ({error}); fetch it anew") from None
        found = folders.read(part, folder.name).sha256["listing"]
        if found != listing:
            raise UserError(f"{archive}: its first {CLASSES} classes are not as published; fetch it anew")
        part.rename(folder)


def _lay_out(archive: zipfile.ZipFile, folder: Path) -> None:
    root = "tiny-imagenet-200"
    classes = archive.read(f"{root}/wnids.txt").decode().split()[:CLASSES]
    annotations = archive.read(f"{root}/val/val_annotations.txt").decode().splitlines()
    class_of = dict(line.split("\t")[:2] for line in annotations)
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.suffix != ".JPEG":
            continue
        part = path.parts[1]
        label = path.parts[2] if part == "train" else class_of[path.name] if part == "val" else ""
        if label in classes:
            own = folder / part / label
            own.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, (own / path.name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro.data.tiny_imagenet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, help="tiny-imagenet-200.zip, fetched from its publisher")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; mistakes end as one line and status 2."""
    archive: Path = _parser().parse_args(argv).archive
    try:
        root = os.environ.get("REPRO_DATA")
        if not root:
            raise UserError(f"{NAME}: set REPRO_DATA to the folder that {NAME} is to be made in")
        unpack(archive, Path(root) / NAME)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{NAME}: made and verified in {Path(root) / NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
