"""sha256 of files, remembered while a file stays as it was, so that a start does not hash hundreds of megabytes."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from repro.data.sources import File


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fault(path: Path, expected: File, stamps: Path, *, rehash: bool = False) -> str | None:
    """What is wrong with the file at `path`, or None if size and sha256 are as expected.

    `stamps` is a folder of ours that remembers the sums of files whose size and times have not changed since;
    `rehash` ignores it. A folder that cannot be written costs time, not correctness.
    Raises OSError if the file is there but cannot be read.
    """
    try:
        before = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is missing"
    if before.st_size != expected.size_bytes:
        return f"{path} has {before.st_size} bytes, expected {expected.size_bytes}"
    stamp = stamps / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]}.json"
    digest = None if rehash else _remembered(stamp, before)
    if digest is None:
        digest = sha256_of(path)
        _remember(stamp, path, before, digest)
    if digest != expected.sha256:
        return f"{path} has sha256 {digest}, expected {expected.sha256}"
    return None


def _times(status: os.stat_result) -> list[int]:
    # The change time too: `cp -p` and `touch -r` restore the modification time, not this one.
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _remembered(stamp: Path, status: os.stat_result) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(stamp.read_text())
        if content["size_and_times"] == _times(status):
            return str(content["sha256"])
    return None


def _remember(stamp: Path, path: Path, before: os.stat_result, digest: str) -> None:
    with suppress(OSError):
        if _times(path.stat()) != _times(before):  # written to while it was being hashed
            return
        stamp.parent.mkdir(parents=True, exist_ok=True)
        aside = stamp.with_suffix(f".{os.getpid()}.part")
        try:
            aside.write_text(
                json.dumps({"path": str(path), "size_and_times": _times(before), "sha256": digest})
            )
            aside.replace(stamp)
        finally:
            aside.unlink(missing_ok=True)
