"""Reader of what nccl-tests prints for all-reduce (``all_reduce_perf``).

Columns of a data line: size (B), count, type, then (redop,) root, and for out-of-place and in-place: time
(us), algbw (GB/s), busbw (GB/s), #wrong. A GB there is 10^9 bytes, and busbw = algbw * 2(n-1)/n assumes
rings; so only bytes and microseconds are kept, as bytes and seconds, and the printed rates are used to check
that the line is whole and of an all-reduce among so many ranks.
"""

import math
import re
from pathlib import Path

from simulation.cluster import MeasuredCollective
from simulation.errors import UserError

_DATA = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s")
_RANK = re.compile(r"^#\s+Rank\s+(\d+)\s")
_PROGRAM = re.compile(r"^#\s*Collective test starting:\s*(\S+)")
# What mpirun (`--tag-output`, of Open MPI 4 and 5) and srun (`--label`) put before each line.
_TAG = re.compile(r"^\s*(?:\[[^\]]*\d+,\d+\](?:<\w+>)?|\d+):[ \t]?")
_ROUNDING = 0.02


def read_nccl_tests(path: Path, workers: int | None = None) -> MeasuredCollective:
    """The out-of-place times of one run of ``all_reduce_perf``.

    Args:
        workers: number of ranks, where no ``# Rank`` lines of the header tell it.

    Raises:
        UserError: no such file, another program, no data lines, a line that contradicts itself or has wrong
            values, and an unknown or contradicted number of ranks.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}): check the path") from None
    lines = [_TAG.sub("", line) for line in text.splitlines()]
    for line in lines:
        if (program := _PROGRAM.match(line)) and not program.group(1).startswith("all_reduce"):
            raise UserError(f"{path}: output of {program.group(1)}: only all-reduces are used, give all_reduce_perf's")
    if not any(_DATA.match(line) for line in lines):
        raise UserError(f"{path}: no lines of measurements: give all_reduce_perf's output")
    ranks = _ranks(path, lines, workers)
    seconds: dict[float, float] = {}
    for number, line in enumerate(lines, 1):
        if _DATA.match(line):
            n_bytes, time_s = _measurement(f"{path}, line {number}", line.split(), ranks)
            if n_bytes > 0:
                seconds[n_bytes] = time_s
    if len(seconds) < 2:
        raise UserError(f"{path}: measurements of one size: give all_reduce_perf's output over several")
    sizes = tuple(sorted(seconds))
    return MeasuredCollective(
        "all_reduce", ranks, sizes, tuple(seconds[size] for size in sizes), f"nccl-tests output {path.name}"
    )


def _ranks(path: Path, lines: list[str], workers: int | None) -> int:
    if workers is not None and workers < 2:
        raise UserError(f"--workers {workers}: an all-reduce needs two or more")
    told = len({m.group(1) for line in lines if (m := _RANK.match(line))})
    if told and workers is not None and workers != told:
        raise UserError(f"{path}: {told} '# Rank' lines, but --workers {workers}: leave --workers out")
    ranks = workers or told
    if ranks == 0:
        raise UserError(f"{path}: no '# Rank' lines tell the number of ranks: give it with --workers")
    if ranks == 1:
        raise UserError(f"{path}: a run of one rank: nothing was sent; give one of two or more")
    return ranks


def _measurement(where: str, fields: list[str], ranks: int) -> tuple[float, float]:
    """Bytes and seconds of a data line.

    After the type come an operation (``sum``, ``none``; absent in old versions), a root (absent in old
    versions), and for out-of-place and in-place each time, algbw, busbw and, with checks on, the number of
    wrong values (in old versions the largest error).
    """
    tail = fields[3:]
    if tail and tail[0].isalpha():
        if tail[0] == "none":
            raise UserError(f"{where}: reduces nothing: only all-reduces are used, give all_reduce_perf's output")
        tail = tail[1:]
    if len(tail) % 2:
        tail = tail[1:]
    try:
        n_bytes, time_us, algbw, busbw = float(fields[0]), float(tail[0]), float(tail[1]), float(tail[2])
    except (IndexError, ValueError):
        raise UserError(f"{where}: not a line of nccl-tests (size, count, type, time, algbw, busbw)") from None
    if not n_bytes:
        return 0.0, 0.0
    if not (math.isfinite(time_us) and time_us > 0):
        raise UserError(f"{where}: time {time_us:g} us is not above zero: run with more iterations")
    wrong = tail[3::4] if len(tail) in (4, 8) else []
    if any(count.isdigit() and int(count) > 0 for count in wrong):
        raise UserError(f"{where}: {' and '.join(wrong)} values came out wrong: mend the machine, then measure")
    if not _agrees(algbw, n_bytes * 1e-3 / time_us):
        raise UserError(
            f"{where}: {n_bytes:g} bytes in {time_us:g} us is not {algbw:g} GB/s (10^9 bytes): is it whole?"
        )
    expected = n_bytes * 1e-3 / time_us * 2 * (ranks - 1) / ranks
    if not _agrees(busbw, expected):
        raise UserError(
            f"{where}: busbw {busbw:g} GB/s, an all-reduce among {ranks} ranks has {expected:.4g}: is it "
            "all_reduce_perf's, and are there so many ranks?"
        )
    return n_bytes, time_us * 1e-6


def _agrees(printed: float, expected: float) -> bool:
    """Whether a printed rate of two decimals may be the expected one."""
    return abs(printed - expected) <= max(_ROUNDING * expected, 0.011)
