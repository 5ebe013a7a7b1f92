"""The covariance matrix of a model's predictions, streamed: cases pass once, in batches, and none is kept.

Hinton, Vinyals, Dean 2015, section 5.3: classes that are often predicted together, and so confused, have similar
columns in it. Memory is two matrices (classes, classes) and one batch, whatever the number of cases.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from repro.errors import UserError


class StreamedCovariance:
    """Mean and covariance of the rows seen so far.

    Batches are merged by the pairwise update of Chan, Golub and LeVeque 1983, so that a mean far from zero costs no
    digits: each batch is centred on its own mean, multiplied in its own precision, and added up in float64.
    """

    def __init__(self, classes: int) -> None:
        self.cases = 0
        self.mean = torch.zeros(classes, dtype=torch.float64)
        self._scatter = torch.zeros(classes, classes, dtype=torch.float64)

    def update(self, predictions: Tensor) -> None:
        """Take in predictions (batch, classes), float32 or float64, on the processor.

        Raises:
            ValueError: another number of classes.
        """
        if predictions.dim() != 2 or predictions.shape[1] != len(self.mean):
            raise ValueError(f"predictions of shape {tuple(predictions.shape)}, (batch, {len(self.mean)}) expected")
        count = len(predictions)
        if not count:
            return
        mean = predictions.mean(0, dtype=torch.float64)
        centred = predictions - mean.to(predictions.dtype)
        total = self.cases + count
        moved = mean - self.mean
        self._scatter += (centred.T @ centred).double()
        self._scatter.addr_(moved, moved, alpha=self.cases * count / total)
        self.mean += moved * (count / total)
        self.cases = total

    def covariance(self) -> Tensor:
        """The unbiased covariance (classes, classes) in float64.

        Raises:
            UserError: fewer than two cases.
        """
        if self.cases < 2:
            raise UserError(f"covariance: {self.cases} cases seen, at least 2 are needed")
        return self._scatter / (self.cases - 1)


def covariance(batches: Iterable[Tensor], classes: int) -> Tensor:
    """The covariance (classes, classes) of all rows of ``batches``, each (batch, classes)."""
    streamed = StreamedCovariance(classes)
    for batch in batches:
        streamed.update(batch)
    return streamed.covariance()
