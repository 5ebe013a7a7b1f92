"""The idx format of MNIST and its successors: a magic number, the dimensions, the values, all big-endian.

The magic number is two zero bytes, one byte for the type of the values and one for the number of dimensions;
each dimension is an unsigned 32-bit integer (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from repro.errors import UserError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_DIMENSIONS = 8  # more is not a data set but a damaged header
_GZIP_MAGIC = b"\x1f\x8b"


def read(path: Path, *, dimensions: int | None = None) -> torch.Tensor:
    """The tensor in an idx file, gzip-compressed or plain; `dimensions` states how many it must have.

    Raises UserError with one line that names `path` if it cannot be read or is not exactly one idx array.
    """
    try:
        content = path.read_bytes()
        if content[:2] == _GZIP_MAGIC:
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged or truncated gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}: check the path") from error
    return _parse(content, path, dimensions)


def _parse(content: bytes, path: Path, dimensions: int | None) -> torch.Tensor:
    if len(content) < 4:
        raise UserError(f"{path}: only {len(content)} bytes, too short for an idx file: fetch it again")
    type_code, ndim = content[2], content[3]
    if content[:2] != b"\0\0" or type_code not in TYPES or not 1 <= ndim <= MAX_DIMENSIONS:
        raise UserError(f"{path}: not an idx file (it begins with 0x{content[:4].hex()}): fetch it again")
    if dimensions is not None and ndim != dimensions:
        raise UserError(
            f"{path}: holds a {ndim}-dimensional array where a {dimensions}-dimensional one is expected: "
            "are the files of images and labels swapped?"
        )
    header_bytes = 4 + 4 * ndim
    if len(content) < header_bytes:
        raise UserError(f"{path}: ends within its header, after {len(content)} bytes: fetch it again")
    shape = struct.unpack(f">{ndim}I", content[4:header_bytes])
    stored = np.dtype(TYPES[type_code])
    stated_bytes, held_bytes = math.prod(shape) * stored.itemsize, len(content) - header_bytes
    if held_bytes != stated_bytes:
        raise UserError(
            f"{path}: its header states {'x'.join(map(str, shape))} values, {stated_bytes} bytes, "
            f"but {held_bytes} follow: fetch it again"
        )
    values = np.frombuffer(content, stored, offset=header_bytes) if stated_bytes else np.empty(0, stored)
    native = values.astype(stored.newbyteorder("="), copy=True)  # torch wants it writable and native
    return torch.from_numpy(native).reshape(shape)
