"""The idx format of MNIST and its successors: a magic number, the dimensions, the values, all big-endian.

The magic number is two zero bytes, one byte for the type of the values and one for the number of dimensions;
each dimension is an unsigned 32-bit integer (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from repro.errors import UserError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def read(path: Path, *, dimensions: int | None = None) -> torch.Tensor:
    """The tensor in an idx file, gzip-compressed or plain; `dimensions` states how many it must have.

    Raises UserError with one line that names `path` if it cannot be read or is not exactly one idx array.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not packed:
                return _parse(raw, str(path), dimensions)
            with gzip.open(raw, "rb") as stream:
                return _parse(stream, str(path), dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged or truncated gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def parse(content: bytes, *, where: str = "idx data", dimensions: int | None = None) -> torch.Tensor:
    """The tensor in the bytes of an uncompressed idx file; `where` names them in errors."""
    return _parse(io.BytesIO(content), where, dimensions)


def _parse(stream: BinaryIO | gzip.GzipFile, where: str, dimensions: int | None) -> torch.Tensor:
    magic = stream.read(4)
    if len(magic) < 4:
        raise UserError(f"{where}: only {len(magic)} bytes, too short for an idx file: fetch it again")
    type_code, ndim = magic[2], magic[3]
    if magic[:2] != b"\0\0" or type_code not in TYPES or ndim == 0:
        raise UserError(f"{where}: not an idx file (it begins with 0x{magic.hex()})")
    if dimensions is not None and ndim != dimensions:
        raise UserError(
            f"{where}: holds {ndim}-dimensional values where {dimensions}-dimensional ones are expected: "
            "are the files of images and labels swapped?"
        )
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise UserError(f"{where}: ends within its header: fetch it again")
    shape = struct.unpack(f">{ndim}I", sizes)
    stored = np.dtype(TYPES[type_code])
    expected_bytes = math.prod(shape) * stored.itemsize
    # Read to the end, but never more than a file that states too little can be caught with.
    content = stream.read(expected_bytes + 1) if expected_bytes < 1 << 40 else b""
    if len(content) != expected_bytes:
        held = "more" if len(content) > expected_bytes else str(len(content))
        raise UserError(
            f"{where}: its header states {'x'.join(map(str, shape))} values in {expected_bytes} bytes, "
            f"it holds {held}: fetch it again"
        )
    values = np.ndarray(shape, stored, content)
    return torch.from_numpy(values.astype(stored.newbyteorder("="), copy=True))
