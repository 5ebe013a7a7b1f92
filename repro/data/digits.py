"""The handwritten digits that come with scikit-learn, read from its file.

What ``sklearn.datasets.load_digits`` returns, to the last bit, without importing scikit-learn and the rest of SciPy,
which would take longer than much of what these digits are used for.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError

WHITE = 16
"""The pixels' largest value."""
_FILE = "sklearn/datasets/data/digits.csv.gz"
# Of the images scaled to 0..255, then the labels, as uint8.
_SHA256 = "a19cb3d96bba7deace8ee5a513a6eb7bad0403d528f00bf4d351b6a7a55baa91"


def read() -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Images (1797, 8, 8) of values 0 to ``WHITE``, labels (1797,), and the sha256 of both.

    Raises:
        UserError: scikit-learn is not installed, or in a version with other digits.
    """
    remedy = "install the version of scikit-learn that constraints.txt names"
    try:
        path = Path(str(distribution("scikit-learn").locate_file(_FILE)))
        table = np.loadtxt(path, delimiter=",")
    except (PackageNotFoundError, OSError, ValueError) as error:
        raise UserError(f"digits: scikit-learn's file cannot be read ({error}): {remedy}") from error
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    scaled = scaled_to_bytes(images)
    digest = hashlib.sha256(scaled.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if digest != _SHA256:
        raise UserError(f"digits: scikit-learn's arrays have sha256 {digest}, expected {_SHA256}: {remedy}")
    return images.astype(np.uint8), labels, digest


def scaled_to_bytes(images: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.uint8]:
    """Pixels 0 to ``WHITE`` as 0 to 255."""
    return np.rint(np.asarray(images, dtype=np.float64) * (255 / WHITE)).astype(np.uint8)
