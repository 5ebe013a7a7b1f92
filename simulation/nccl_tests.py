"""Reader of what nccl-tests prints (``all_reduce_perf`` and its sisters).

Columns of a data line: size (B), count, type, then (redop,) root, and for out-of-place and in-place: time
(us), algbw (GB/s), busbw (GB/s), #wrong. A GB there is 10^9 bytes, and busbw = algbw * 2(n-1)/n assumes
rings; so only bytes and microseconds are kept, as bytes and seconds, and the printed algbw is used to check
the line.
"""

import re
from pathlib import Path
from typing import Literal

from simulation.cluster import MeasuredCollective
from simulation.errors import UserError

Operation = Literal["all_reduce", "all_gather", "broadcast"]
_DATA = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s")
_RANK = re.compile(r"^#\s+Rank\s+(\d+)\s")
_ROUNDING = 0.02


def read_nccl_tests(path: Path, operation: Operation = "all_reduce", workers: int | None = None) -> MeasuredCollective:
    """The out-of-place times of one run.

    Args:
        workers: number of ranks; by default counted from the ``# Rank`` lines of the header.

    Raises:
        UserError: no such file, no data lines, a line that contradicts itself, or an unknown number of ranks.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}): check the path") from None
    ranks = workers or len({m.group(1) for line in lines if (m := _RANK.match(line))})
    if ranks < 2:
        raise UserError(f"{path}: no '# Rank' lines tell the number of ranks: give it with --workers")
    seconds: dict[float, float] = {}
    for number, line in enumerate(lines, 1):
        if _DATA.match(line):
            n_bytes, time_s = _measurement(path, number, line.split())
            if n_bytes > 0:
                seconds[n_bytes] = time_s
    if len(seconds) < 2:
        raise UserError(
            f"{path}: {len(seconds)} lines of measurements: give all_reduce_perf's output over several sizes"
        )
    sizes = tuple(sorted(seconds))
    return MeasuredCollective(
        operation, ranks, sizes, tuple(seconds[size] for size in sizes), f"nccl-tests output {path.name}"
    )


def _measurement(path: Path, number: int, fields: list[str]) -> tuple[float, float]:
    """Bytes and seconds of a data line.

    After the type come an operation (``sum``, ``none``; absent in old versions), a root (absent in old
    versions), and for out-of-place and in-place each time, algbw, busbw and, with checks on, the number of
    wrong values.
    """
    where = f"{path}, line {number}"
    tail = fields[3:]
    if tail and tail[0].isalpha():
        tail = tail[1:]
    if len(tail) % 2:
        tail = tail[1:]
    try:
        n_bytes, time_us, algbw = float(fields[0]), float(tail[0]), float(tail[1])
    except (IndexError, ValueError):
        raise UserError(f"{where}: not a line of nccl-tests (size, count, type, time, algbw, busbw)") from None
    if n_bytes and time_us <= 0:
        raise UserError(f"{where}: time {time_us:g} us is not above zero: run with more iterations")
    printed = algbw * 1e9 * time_us * 1e-6
    if n_bytes and abs(printed - n_bytes) > max(_ROUNDING * n_bytes, 0.0051e9 * time_us * 1e-6):
        raise UserError(
            f"{where}: {n_bytes:g} bytes in {time_us:g} us is not {algbw:g} GB/s (10^9 bytes): is it whole?"
        )
    return n_bytes, time_us * 1e-6
