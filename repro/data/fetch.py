"""Where a data set lies on this machine: in REPRO_DATA, else in the user's cache, else downloaded into it.

`$REPRO_DATA/<set>/` is the user's and only read: what lies there must be right. The cache,
`$XDG_CACHE_HOME/learning-from-models/data/<set>/` (`~/.cache/...` if unset), is ours and is mended.
A file appears under its name only when it is complete and verified.
"""

import errno
import fcntl
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro.data import checksum, sources, transfer
from repro.data.sources import Download, File, PublicSet
from repro.errors import UserError
from repro.files import user_cache

CHUNK_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


def cache_folder() -> Path:
    """The folder that holds downloaded sets, one folder each; it need not exist yet."""
    return user_cache("REPRO_DATA") / "data"


def locate(name: str, *, progress: bool | None = None) -> Path:
    """The folder that holds the public set `name`, every file verified; downloads what cannot be found.

    `progress` shows a bar on stderr (default: if that is a terminal). One process downloads a set while
    others wait for it; an interrupted download is resumed.

    Raises:
        UserError: one line, on an unknown name, a wrong file in REPRO_DATA, no network, no space or no
            permission.
    """
    public = sources.named(name)
    show_progress = sys.stderr.isatty() if progress is None else progress
    with _one_line(public):
        folder = _provided(public)
        if folder is not None:
            _demand(public, folder)
            return folder
        folder = cache_folder() / name
        if _missing(public, folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder, announce=show_progress):
                missing = _missing(public, folder)  # another process may have brought them meanwhile
                _demand_space(public, missing, folder)
                for download in missing:
                    _obtain(public, download, folder, show_progress)
        return folder


def verify(name: str) -> Path:
    """The folder of the set `name`, every file verified where it lies. Downloads nothing.

    Raises UserError, naming the file and both sums, if one is missing or differs.
    """
    public = sources.named(name)
    with _one_line(public):
        folder = _provided(public) or cache_folder() / name
        _demand(public, folder)
        return folder


@dataclass(frozen=True)
class SetRow:
    """A line of the list of data sets. `folder` is None if the set would have to be downloaded."""

    name: str
    title: str
    files: tuple[str, ...]
    size_bytes: int
    licence: str
    folder: Path | None


def describe() -> list[SetRow]:
    """All public sets, and where each lies (by presence and size of its files, without hashing)."""
    rows = []
    for public in sources.PUBLIC_SETS.values():
        with _one_line(public):
            folder = _provided(public) or cache_folder() / public.name
            complete = all(_has_size(folder / file.path, file.size_bytes) for file in _expected(public, folder))
        paths = tuple(file.path for file in public.files)
        where = folder if complete else None
        rows.append(SetRow(public.name, public.title, paths, public.size_bytes, public.licence, where))
    return rows


def _provided(public: PublicSet) -> Path | None:
    """The set's folder under REPRO_DATA, if any of its files is there."""
    root = os.environ.get("REPRO_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise UserError(f"REPRO_DATA is {root}, which is not a directory: correct it or unset it")
    folder = Path(root) / public.name
    return folder if any((folder / file.path).exists() for file in (*public.files, *public.derived)) else None


def _expected(public: PublicSet, folder: Path) -> tuple[File, ...]:
    """The publisher's files, or those of the derived form where they alone lie in the folder."""
    given, derived = (any((folder / f.path).exists() for f in files) for files in (public.files, public.derived))
    return public.derived if derived and not given else public.files


def _demand(public: PublicSet, folder: Path) -> None:
    for file in _expected(public, folder):
        fault = checksum.fault(folder / file.path, file)
        if fault is not None:
            raise UserError(
                f"{public.name}: {fault}: put the publisher's file there, "
                "or remove the folder to have the set downloaded"
            )


def _missing(public: PublicSet, folder: Path) -> list[Download]:
    return [d for d in public.downloads if any(checksum.fault(folder / file.path, file) for file in d.files)]


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _demand_space(public: PublicSet, downloads: list[Download], folder: Path) -> None:
    needed = sum(d.size_bytes + sum(file.size_bytes for file in d.members) for d in downloads)
    for part in (_aside(folder / d.name) for d in downloads):
        needed -= part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{public.name}: needs {needed / 1e6:.1f} MB in {folder}, where {free / 1e6:.1f} MB are free: "
            "free some space, or point XDG_CACHE_HOME or REPRO_DATA to another disk"
        )


def _obtain(public: PublicSet, download: Download, folder: Path, show_progress: bool) -> None:
    part = _aside(folder / download.name)
    try:
        transfer.fetch(download, part, show_progress=show_progress)
        if download.members:
            _unpack(download, part, folder)
            part.unlink()
        else:
            _settle(part, folder / download.name)
    except transfer.TransferError as failure:
        raise UserError(
            f"{public.name}: cannot download {download.name}: tried {failure}: "
            f"check the network, or put the set's files into {folder} or $REPRO_DATA/{public.name}"
        ) from failure
    except OSError as error:
        if error.errno in _FULL:
            part.unlink(missing_ok=True)  # on a full disk the space matters more than a resumed transfer
        raise


def _unpack(download: Download, archive: Path, folder: Path) -> None:
    """Writes the archive's wanted members, and nothing else, into `folder`."""
    wanted = {file.path: file for file in download.members}
    try:
        with tarfile.open(archive, "r|*") as entries:
            for entry in entries:
                file = wanted.get(entry.name)
                content = entries.extractfile(entry) if file and entry.isfile() else None
                if file is None or content is None:
                    continue
                target = folder / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                part = _aside(target)
                try:
                    with part.open("wb") as out:
                        shutil.copyfileobj(content, out, CHUNK_BYTES)
                    if part.stat().st_size != file.size_bytes or checksum.sha256_of(part) != file.sha256:
                        raise UserError(f"{download.name}: its member {file.path} is not the one expected")
                    _settle(part, target)
                finally:
                    part.unlink(missing_ok=True)
                del wanted[file.path]
                if not wanted:
                    return
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{download.name}: not a readable archive: {error}") from error
    raise UserError(f"{download.name}: holds no {', '.join(wanted)}")


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _settle(part: Path, target: Path) -> None:
    """Gives a complete file its name, durably."""
    _sync(part)
    part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path, *, announce: bool) -> Iterator[None]:
    """Keeps other processes out of the set's folder; the lock dies with its holder, even by kill -9."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if announce:
                print(f"{folder.name}: another process is downloading it; waiting", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _one_line(public: PublicSet) -> Iterator[None]:
    """Turns the operating system's refusals into one line that says what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or cache_folder() / public.name
        if error.errno in _FULL:
            remedy = "free some space, or point XDG_CACHE_HOME or REPRO_DATA to another disk"
        else:
            remedy = "make it accessible, or point XDG_CACHE_HOME or REPRO_DATA elsewhere"
        raise UserError(f"{public.name}: {where}: {error.strerror or error}: {remedy}") from error
