"""CIFAR-100's binary version: records of a coarse label, a fine label and 3,072 pixel bytes.

The pixels of a record are 1,024 red, 1,024 green and 1,024 blue bytes, each in row-major order
(https://www.cs.toronto.edu/~kriz/cifar.html, "CIFAR-100 binary version").
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from repro.errors import UserError

RECORD_BYTES = 2 + 3 * 32 * 32

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_COARSE = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
vehicles_1 vehicles_2
"""
FINE_NAMES = tuple(_FINE.split())
COARSE_NAMES = tuple(_COARSE.split())


class Records(NamedTuple):
    """Images (N, 3, 32, 32) uint8, fine labels (N,) int64 in 0..99, coarse labels (N,) int64 in 0..19."""

    images: torch.Tensor
    fine: torch.Tensor
    coarse: torch.Tensor


def read(path: Path) -> Records:
    """The records of a CIFAR-100 binary file (`train.bin`, `test.bin`).

    Raises UserError with one line that names `path` if it cannot be read, is not whole records, or has labels
    out of range (CIFAR-10's files, whose records are one byte shorter, are caught by either).
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if content.size == 0 or content.size % RECORD_BYTES:
        raise UserError(
            f"{path}: its {content.size} bytes are not whole CIFAR-100 records of {RECORD_BYTES} bytes: fetch it again"
        )
    records = content.reshape(-1, RECORD_BYTES)
    for column, kind, names in ((0, "coarse", COARSE_NAMES), (1, "fine", FINE_NAMES)):
        out_of_range = np.flatnonzero(records[:, column] >= len(names))
        if out_of_range.size:
            first = int(out_of_range[0])
            raise UserError(
                f"{path}: record {first} has {kind} label {records[first, column]}, CIFAR-100 has 0 to "
                f"{len(names) - 1}: is it another data set's file?"
            )
    images = np.ascontiguousarray(records[:, 2:]).reshape(-1, 3, 32, 32)
    fine, coarse = (torch.from_numpy(records[:, column].astype(np.int64)) for column in (1, 0))
    return Records(torch.from_numpy(images), fine, coarse)


def superclasses(records: Records) -> tuple[int, ...]:
    """The coarse label of each fine one, as the records have it.

    Raises UserError if a fine class is absent or stands under two coarse ones: not CIFAR-100's files then.
    """
    pairs = sorted(set(zip(records.fine.tolist(), records.coarse.tolist(), strict=True)))
    if [fine for fine, _ in pairs] != list(range(len(FINE_NAMES))):
        raise UserError("CIFAR-100: some fine class is absent or has two coarse ones: fetch the files again")
    return tuple(coarse for _, coarse in pairs)
