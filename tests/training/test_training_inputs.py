"""Inputs against padded loops."""

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from repro.training.inputs import Jittered, Plain, flat_float, inputs_for


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.random.set_rng_state(state)


def images(*shape: int) -> Tensor:
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def moved(image: Tensor, down: int, right: int) -> list[float]:
    """The image's pixels after a shift, row by row, channel by channel; background comes in."""
    channels = image[None] if image.dim() == 2 else image
    height, width = channels.shape[1:]
    values = []
    for channel in channels.tolist():
        for y in range(height):
            for x in range(width):
                inside = 0 <= y - down < height and 0 <= x - right < width
                values.append(channel[y - down][x - right] / 255 if inside else 0.0)
    return values


def test_plain_rows_are_scaled_pixels_in_the_order_asked_for() -> None:
    pictures = images(5, 3, 4)
    rows = Plain(pictures)(torch.tensor([4, 0, 4]))
    assert rows.dtype == torch.float32
    expected = [moved(pictures[i], 0, 0) for i in (4, 0, 4)]
    torch.testing.assert_close(rows, torch.tensor(expected))
    assert float(rows.max()) <= 1
    assert len(Plain(pictures)) == 5


@pytest.mark.parametrize("shape", [(7, 5, 6), (7, 3, 5, 6)])
@pytest.mark.parametrize("pixels", [1, 2, 7])
def test_every_jittered_row_is_a_shift_of_its_own_image(shape: tuple[int, ...], pixels: int) -> None:
    pictures = images(*shape)
    inputs = Jittered(pictures, pixels)
    assert len(inputs) == 7
    index = torch.tensor([3, 0, 6, 3, 5])
    torch.manual_seed(2)
    rows = inputs(index)
    # The same draws, made here: rows are windows of the padded image, so a late window is a shift up or left.
    torch.manual_seed(2)
    starts = torch.randint(2 * pixels + 1, (2, len(index)))
    expected = [
        moved(pictures[i], pixels - int(starts[0, k]), pixels - int(starts[1, k])) for k, i in enumerate(index.tolist())
    ]
    torch.testing.assert_close(rows, torch.tensor(expected))


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 2, 4, 4)])
def test_all_shifts_occur_equally_often(shape: tuple[int, ...]) -> None:
    pictures = images(*shape)
    shifts = {
        tuple(torch.tensor(moved(pictures[0], down, right)).tolist()): (down, right)
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    draws = 5000
    rows = Jittered(pictures, 2)(torch.zeros(draws, dtype=torch.long))
    seen = Counter(shifts[tuple(row)] for row in rows.tolist())  # a KeyError is a row that is no shift
    assert len(seen) == 25
    deviation = (draws / 25 * 24 / 25) ** 0.5
    assert all(abs(count - draws / 25) < 5 * deviation for count in seen.values())


def test_jitter_is_drawn_anew_and_leaves_the_images_alone() -> None:
    pictures = images(6, 8, 8)
    before = pictures.clone()
    inputs = Jittered(pictures, 2)
    index = torch.arange(6)
    assert not torch.equal(inputs(index), inputs(index))
    assert torch.equal(pictures, before)
    assert torch.equal(flat_float(pictures), flat_float(before))


def test_no_jitter_is_plain() -> None:
    pictures = images(2, 3, 3)
    assert isinstance(inputs_for(pictures, 0), Plain)
    assert isinstance(inputs_for(pictures, 2), Jittered)
    assert torch.equal(Jittered(pictures, 0)(torch.arange(2)), Plain(pictures)(torch.arange(2)))
