"""Proof that a file is the one published: its size and its sha256.

No sum is remembered from one start to the next: hashing the largest set takes a fraction of a second, and so
every tensor of every run is known to come from the published bytes.
"""

import hashlib
from pathlib import Path

from repro.data.sources import File


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fault(path: Path, expected: File) -> str | None:
    """What is wrong with the file at `path`, or None if size and sha256 are as expected.

    Raises OSError if the file is there but cannot be read.
    """
    try:
        size_bytes = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is missing"
    if size_bytes != expected.size_bytes:
        return f"{path} has {size_bytes} bytes, expected {expected.size_bytes}"
    digest = sha256_of(path)
    if digest != expected.sha256:
        return f"{path} has sha256 {digest}, expected {expected.sha256}"
    return None
