"""The idx and CIFAR-100 readers against naive writers, and against files cut anywhere."""

import gzip
import itertools
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.data import cifar, idx
from repro.errors import UserError

CODES = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}
DTYPES = {
    0x08: torch.uint8,
    0x09: torch.int8,
    0x0B: torch.int16,
    0x0C: torch.int32,
    0x0D: torch.float32,
    0x0E: torch.float64,
}


def idx_bytes(code: int, shape: tuple[int, ...], values: list[float]) -> bytes:
    header = struct.pack(">BBBB", 0, 0, code, len(shape)) + b"".join(struct.pack(">I", n) for n in shape)
    return header + b"".join(struct.pack(">" + CODES[code], value) for value in values)


@contextmanager
def written(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        yield path


def refusal(read, content: bytes, **options: int) -> str:
    with written(content) as path, pytest.raises(UserError) as raised:
        read(path, **options)
    line = str(raised.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@st.composite
def arrays(draw: st.DrawFn) -> tuple[int, tuple[int, ...], list[float]]:
    code = draw(st.sampled_from(sorted(CODES)))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    size = 1
    for n in shape:
        size *= n
    if code in (0x0D, 0x0E):
        value = st.floats(width=32 if code == 0x0D else 64, allow_nan=False)
    else:
        bits = 8 * struct.calcsize(CODES[code])
        value = st.integers(0, 255) if code == 0x08 else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return code, shape, draw(st.lists(value, min_size=size, max_size=size))


@given(arrays(), st.booleans())
def test_idx_round_trip(array, packed):
    code, shape, values = array
    content = idx_bytes(code, shape, values)
    with written(gzip.compress(content) if packed else content) as path:
        tensor = idx.read(path, dimensions=len(shape))
    assert tensor.dtype == DTYPES[code]
    assert tuple(tensor.shape) == shape
    assert tensor.flatten().tolist() == values


def test_idx_dimensions_are_in_row_major_order():
    with written(idx_bytes(0x08, (2, 3), list(range(6)))) as path:
        tensor = idx.read(path)
    assert tensor.tolist() == [[0, 1, 2], [3, 4, 5]]
    tensor[0, 0] = 9  # its own memory, writable
    assert tensor[0, 0] == 9


@pytest.mark.parametrize("packed", [False, True])
def test_idx_cut_at_any_byte(packed):
    content = idx_bytes(0x0B, (3, 2), [1, -2, 3, -4, 5, -6])
    content = gzip.compress(content) if packed else content
    for cut in range(len(content)):
        assert "fetch it again" in refusal(idx.read, content[:cut])


@given(arrays(), st.binary(min_size=1, max_size=9))
def test_idx_with_bytes_to_spare(array, spare):
    assert "follow: fetch it again" in refusal(idx.read, idx_bytes(*array) + spare)


@given(st.binary(min_size=4, max_size=40))
def test_any_bytes_are_read_or_refused(content):
    with written(content) as path:
        try:
            tensor = idx.read(path)
        except UserError:
            return
    assert content[:2] == b"\0\0"
    assert 4 + 4 * tensor.dim() + tensor.numel() * tensor.element_size() == len(content)


@pytest.mark.parametrize("magic", [b"\0\0\x07\x01", b"\0\0\x08\0", b"\1\0\x08\1", b"\0\0\x08\xff", b"<htm"])
def test_idx_wrong_magic(magic):
    assert f"not an idx file (it begins with 0x{magic.hex()})" in refusal(idx.read, magic + bytes(100))


def test_idx_header_that_states_too_much_takes_no_memory():
    line = refusal(idx.read, b"\0\0\x0e\x03" + b"\xff" * 12 + b"123")
    assert "its header states 4294967295x4294967295x4294967295 values" in line


def test_idx_labels_where_images_are_expected():
    line = refusal(idx.read, idx_bytes(0x08, (3,), [1, 2, 3]), dimensions=3)
    assert "1-dimensional array where a 3-dimensional one is expected: are the files" in line


def test_idx_damaged_gzip():
    content = bytearray(gzip.compress(idx_bytes(0x08, (1000,), [i * i % 251 for i in range(1000)])))
    for position in (len(content) // 2, len(content) - 6):  # within the data, within the check sum
        damaged = bytes(content[:position]) + bytes([content[position] ^ 0xFF]) + bytes(content[position + 1 :])
        assert "damaged or truncated gzip file" in refusal(idx.read, damaged)


@pytest.mark.parametrize("read", [idx.read, cifar.read])
def test_a_missing_file_and_a_folder(tmp_path, read):
    with pytest.raises(UserError, match=r"absent: No such file or directory"):
        read(tmp_path / "absent")
    with pytest.raises(UserError, match=r"Is a directory"):
        read(tmp_path)


def record(coarse: int, fine: int, seed: int) -> bytes:
    return bytes([coarse, fine]) + bytes((seed * 31 + i * 7) % 256 for i in range(3072))


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=4))
def test_cifar_round_trip(labels):
    content = b"".join(record(*entry) for entry in labels)
    with written(content) as path:
        records = cifar.read(path)
    assert records.images.shape == (len(labels), 3, 32, 32)
    assert records.images.dtype == torch.uint8
    assert records.coarse.tolist() == [coarse for coarse, _, _ in labels]
    assert records.fine.tolist() == [fine for _, fine, _ in labels]
    assert records.fine.dtype == records.coarse.dtype == torch.int64
    for n, channel, row, column in itertools.product(range(len(labels)), range(3), (0, 17, 31), (0, 5, 31)):
        offset = n * 3074 + 2 + channel * 1024 + row * 32 + column
        assert int(records.images[n, channel, row, column]) == content[offset]


@given(st.integers(0, 2 * 3074 - 1).filter(lambda cut: cut != 3074))
def test_cifar_cut_between_records_only(cut):
    content = (record(1, 2, 3) + record(4, 5, 6))[:cut]
    assert f"{cut} bytes are not whole CIFAR-100 records" in refusal(cifar.read, content)


def test_cifar_labels_out_of_range():
    good = record(19, 99, 0)
    assert "record 1 has coarse label 20" in refusal(cifar.read, good + record(20, 99, 0))
    assert "record 2 has fine label 100" in refusal(cifar.read, good + good + record(0, 100, 0))


def test_cifar_names():
    assert len(set(cifar.FINE_NAMES)) == 100
    assert len(set(cifar.COARSE_NAMES)) == 20
    assert list(cifar.FINE_NAMES) == sorted(cifar.FINE_NAMES)
    assert list(cifar.COARSE_NAMES) == sorted(cifar.COARSE_NAMES)
