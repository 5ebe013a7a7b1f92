"""The data set is a tensor: batches are rows of it, not objects from a loader.

All kinds of input are callables from row indices (batch,) to float inputs, and know how many cases they hold. Raw
images are uint8 of shape (N, H, W) or (N, C, H, W). ``Plain`` and ``Jittered`` give rows (batch, features) in [0, 1];
``Pictures`` gives (batch, C, H, W), each channel standardised.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor


def flat_float(images: Tensor) -> Tensor:
    """uint8 images (N, ...) as float32 rows (N, features) in [0, 1]."""
    return images.flatten(1).float().div_(255)


@dataclass(frozen=True)
class Plain:
    """Images as they are, converted once."""

    images: Tensor
    rows: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", flat_float(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor) -> Tensor:
        return self.rows[index]


@dataclass(frozen=True)
class Jittered:
    """Images shifted by whole pixels, drawn anew at every call from the global generator.

    Both axes move independently and uniformly over -pixels..pixels; the shift acts on raw pixels and
    what comes in from outside is background (zero), as in Hinton et al. 2015, section 3.
    """

    images: Tensor
    pixels: int
    windows: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        height, width = self.images.shape[-2:]
        padded = torch.nn.functional.pad(self.images, (self.pixels,) * 4)
        # A view: windows[n, dy, dx] is image n shifted, no copy is made before it is indexed.
        windows = padded.unfold(-2, height, 1).unfold(-2, width, 1)
        if self.images.dim() == 4:
            windows = windows.permute(0, 2, 3, 1, 4, 5)
        object.__setattr__(self, "windows", windows)

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor) -> Tensor:
        shifts = torch.randint(2 * self.pixels + 1, (2, len(index)), device=self.images.device)
        return flat_float(self.windows[index, shifts[0], shifts[1]])


def inputs_for(images: Tensor, jitter_pixels: int) -> Plain | Jittered:
    """The inputs a run trains on."""
    return Jittered(images, jitter_pixels) if jitter_pixels else Plain(images)


@dataclass(frozen=True)
class Pictures:
    """Images for convolutions: (batch, channels, height, width), channels last in memory, each channel scaled to
    ``mean`` 0 and ``deviation`` 1 of the training images.

    ``jitter_pixels`` shifts as ``Jittered`` does, but what comes in from outside is the picture reflected at its
    edge; ``mirror`` turns left and right round, each with probability one half. Both are drawn at every call from the
    global generator.
    """

    images: Tensor
    mean: Tensor
    deviation: Tensor
    jitter_pixels: int = 0
    mirror: bool = False
    windows: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        images = with_channels(self.images)
        height, width = images.shape[-2:]
        padded = torch.nn.functional.pad(images, (self.jitter_pixels,) * 4, mode="reflect")
        windows = padded.unfold(-2, height, 1).unfold(-2, width, 1)  # a view, as in Jittered
        object.__setattr__(self, "windows", windows.permute(0, 2, 3, 1, 4, 5))

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, index: Tensor) -> Tensor:
        shifts = torch.full((2, len(index)), self.jitter_pixels, device=self.images.device)
        if self.jitter_pixels:
            shifts = torch.randint(2 * self.jitter_pixels + 1, shifts.shape, device=shifts.device)
        x = self.windows[index, shifts[0], shifts[1]]
        if self.mirror:
            turned = torch.rand(len(index), device=x.device) < 0.5
            x[turned] = x[turned].flip(-1)
        x = x.float().sub_(self.mean[:, None, None]).div_(self.deviation[:, None, None])
        return x.contiguous(memory_format=torch.channels_last)


def with_channels(images: Tensor) -> Tensor:
    """Images (N, H, W) as (N, 1, H, W); others as they are."""
    return images.unsqueeze(1) if images.dim() == 3 else images


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels,) over uint8 images, on their own scale of 0 to 255."""
    channels = with_channels(images).transpose(0, 1).flatten(1).double()
    return channels.mean(1).float(), channels.std(1).clamp_min(1.0).float()
