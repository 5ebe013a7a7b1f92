"""Pictures for convolutions: scaled by channel, shifted, mirrored."""

import torch

from repro.training.inputs import Pictures, channel_statistics


def images(shape=(40, 3, 6, 6)) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_channels_have_mean_zero_and_deviation_one():
    pictures = Pictures(images(), *channel_statistics(images()))
    x = pictures(torch.arange(40))
    assert x.shape == (40, 3, 6, 6)
    assert x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_grey_pictures_get_a_channel_and_constant_ones_do_no_harm():
    grey = torch.full((4, 5, 5), 7, dtype=torch.uint8)
    assert bool((Pictures(grey, *channel_statistics(grey))(torch.arange(4)) == 0).all())


def test_a_shift_is_one_of_all_windows_of_the_reflected_picture():
    one = images((1, 1, 5, 5))
    raw = Pictures(one, torch.zeros(1), torch.ones(1), jitter_pixels=2)
    padded = torch.nn.functional.pad(one.float(), (2, 2, 2, 2), mode="reflect")[0, 0]
    windows = {tuple(padded[i : i + 5, j : j + 5].flatten().tolist()) for i in range(5) for j in range(5)}
    torch.manual_seed(0)
    seen = {tuple(x.flatten().tolist()) for x in raw(torch.zeros(600, dtype=torch.long))}
    assert seen == windows


def test_half_are_mirrored_and_none_without_asking():
    one = images((1, 2, 3, 4))
    torch.manual_seed(0)
    x = Pictures(one, torch.zeros(2), torch.ones(2), mirror=True)(torch.zeros(400, dtype=torch.long))
    plain = torch.all(x == one.float(), dim=3).all(2).all(1)
    turned = torch.all(x == one.float().flip(-1), dim=3).all(2).all(1)
    assert bool((plain | turned).all())
    assert 150 < int(turned.sum()) < 250
    assert torch.equal(Pictures(one, torch.zeros(2), torch.ones(2))(torch.zeros(1, dtype=torch.long)), one.float())
