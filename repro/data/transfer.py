"""One verified transfer over HTTP: resumed where it stopped, retried, then the next address."""

import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from repro.data.checksum import sha256_of
from repro.data.sources import Download

ATTEMPTS = 3  # in a row without progress, per address
BACKOFF_S = 0.5  # before the second attempt; doubles with each further one
TIMEOUT_S = 30.0  # of silence
CHUNK_BYTES = 1 << 18
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


class TransferError(Exception):
    """No address gave the file; the message names each with its reason, on one line."""


class _TryAgain(Exception):
    """A fault that may pass: the same address deserves another attempt."""


class _AddressFailed(Exception):
    """This address will not give the file."""


def fetch(download: Download, part: Path, *, show_progress: bool) -> None:
    """Brings `download` into `part`, whole and verified by size and sha256.

    What an interrupted call left in `part` is continued by a Range request. All addresses serve the same
    bytes, so a transfer begun at one continues at the next. A file whose sum is wrong is deleted.

    Raises:
        TransferError: no address gave the file. A partial `part` stays, to be resumed.
        OSError: `part` could not be written.
    """
    failures = []
    with tqdm(
        desc=download.name,
        total=download.size_bytes,
        unit="B",
        unit_scale=True,
        disable=not show_progress,
    ) as bar:

        def report(received_bytes: int) -> None:
            bar.update(received_bytes - bar.n)

        for url in download.urls:
            try:
                _fetch_from(url, download, part, report)
                return
            except _AddressFailed as failure:
                failures.append(f"{url} ({failure})")
    raise TransferError(", ".join(failures))


def _fetch_from(url: str, download: Download, part: Path, report: Callable[[int], None]) -> None:
    begun_elsewhere = _size(part) > 0
    attempts, furthest = 0, _size(part)
    while True:
        try:
            _continue(url, download, part, report)
        except _TryAgain as fault:
            # A slow line that breaks often still gets through, a server that stops at the same byte does not.
            attempts = 1 if _size(part) >= furthest + CHUNK_BYTES else attempts + 1
            furthest = max(furthest, _size(part))
            if attempts >= ATTEMPTS:
                raise _AddressFailed(str(fault)) from fault
            time.sleep(BACKOFF_S * 2 ** (attempts - 1))
            continue
        digest = sha256_of(part)
        if digest == download.sha256:
            return
        part.unlink()
        if not begun_elsewhere:
            raise _AddressFailed(f"sha256 {digest}, expected {download.sha256}")
        begun_elsewhere = False  # the bad bytes may be another address's: once more from the first byte


def _continue(url: str, download: Download, part: Path, report: Callable[[int], None]) -> None:
    """Appends to `part` the bytes that it lacks."""
    have = _size(part)
    if have == download.size_bytes:
        return
    if have > download.size_bytes:
        part.unlink()
        have = 0
    with _open(url, have) as response:
        if response.status != 206:
            have = 0  # the server ignores Range and sends everything
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _TryAgain("the server sent another range than was asked for")
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and have + int(length) != download.size_bytes:
            raise _AddressFailed(f"offers {have + int(length)} bytes, expected {download.size_bytes}")
        with part.open("ab" if have else "wb") as out:
            report(have)
            while chunk := _read(response):
                have += len(chunk)
                if have > download.size_bytes:
                    break
                out.write(chunk)
                report(have)
    if have > download.size_bytes:
        part.unlink()
        raise _AddressFailed(f"sends more than the expected {download.size_bytes} bytes")
    if have < download.size_bytes:
        raise _TryAgain(f"connection closed after {have} of {download.size_bytes} bytes")


def _open(url: str, have: int) -> HTTPResponse:
    headers = {"User-Agent": "learning-from-models", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        kind = _TryAgain if error.code in _PASSING_STATUS else _AddressFailed
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _TryAgain(_reason(error)) from error
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _TryAgain(_reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
