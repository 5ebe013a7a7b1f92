"""A small feed-forward net over bags of hashed n-grams (Botha et al. 2017, 1708.00214, section 2), and its 8-bit form.

A word is, for every size of n-grams, the mean of small embeddings of its n-grams' buckets; the words of a window stand
side by side, and one hidden layer of rectified linear units follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from repro.data.ngrams import Bags
from repro.training.keys import generator_seed

EMBEDDING_DEVIATION = 0.1  # PyTorch's 1 drowns what is learned: 83 instead of 91 % of tags right after an epoch
LEVELS = 127  # codes lie in 1..255 around 128


class NgramNet(nn.Module):
    """Windows of text numbers (batch, window) to logits (batch, classes).

    ``bags`` are the n-grams of all texts, one for each size; they are data and no part of the state. A text without
    n-grams is the zero vector. Weights are keyed by ``seed`` alone and drawn as PyTorch draws them, but for the
    embeddings, which begin a tenth as large.

    Raises:
        ValueError: no bags, or a size below 1.
    """

    def __init__(
        self,
        bags: Sequence[Bags],
        *,
        buckets: int,
        dimension: int,
        window: int,
        hidden: int,
        classes: int,
        seed: int,
    ) -> None:
        super().__init__()
        if not bags or min(buckets, dimension, window, hidden, classes) < 1:
            raise ValueError("bags and all sizes of the net must be at least 1")
        self._bags = [(torch.from_numpy(bag.starts), torch.from_numpy(bag.buckets)) for bag in bags]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator_seed(seed, "weights"))
            self.tables = nn.ModuleList(nn.EmbeddingBag(buckets, dimension, mode="mean") for _ in bags)
            for table in self.tables:
                nn.init.normal_(table.weight, std=EMBEDDING_DEVIATION)  # type: ignore[arg-type]
            self.hidden = nn.Linear(window * len(bags) * dimension, hidden)
            self.output = nn.Linear(hidden, classes)

    def forward(self, windows: Tensor) -> Tensor:
        texts, place = windows.unique(return_inverse=True)  # a text that stands twice in a batch is looked up once
        words = torch.cat(
            [table(*_rows(*bag, texts)) for table, bag in zip(self.tables, self._bags, strict=True)], dim=1
        )
        logits: Tensor = self.output(torch.relu(self.hidden(words[place].flatten(1))))
        return logits


def _rows(starts: Tensor, buckets: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Buckets of these texts in one row, and where each text's begin."""
    begins = starts[texts]
    counts = starts[texts + 1] - begins
    offsets = counts.cumsum(0) - counts
    place = torch.arange(int(counts.sum())) + (begins - offsets).repeat_interleave(counts)
    return buckets[place], offsets


def quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Codes uint8 (rows, columns) and scales float32 (rows,): linear in 8 bits, a scale for every row (section 2.3)."""
    scales = matrix.abs().amax(1) / LEVELS
    safe = torch.where(scales > 0, scales, torch.ones_like(scales))
    return ((matrix / safe[:, None]).round() + LEVELS + 1).to(torch.uint8), scales


def dequantised(codes: Tensor, scales: Tensor) -> Tensor:
    """The matrix that codes and scales stand for, float32; each entry within half a scale of the original."""
    return (codes.float() - (LEVELS + 1)) * scales[:, None]


def pack(model: nn.Module) -> dict[str, Tensor]:
    """The model's state for the disk: every matrix in 8 bits with its scales, biases in float32."""
    packed: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if value.dim() == 2:
            packed[f"{name}.codes"], packed[f"{name}.scales"] = quantised(value)
        else:
            packed[name] = value.clone()
    return packed


def unpack(model: nn.Module, packed: Mapping[str, Tensor]) -> None:
    """Load what ``pack`` made; the model then computes with what 8 bits have left of its weights.

    Raises:
        KeyError: a matrix or a bias is missing.
    """
    model.load_state_dict(
        {
            name: dequantised(packed[f"{name}.codes"], packed[f"{name}.scales"]) if value.dim() == 2 else packed[name]
            for name, value in model.state_dict().items()
        }
    )


@dataclass(frozen=True)
class Cost:
    """``weights`` of tables and layers with biases; ``operations``: multiply-adds of the two layers on one token, and
    an addition for every number of an n-gram's embedding, each word being looked up once as the window goes by."""

    weights: int
    operations: float


def cost(model: NgramNet, ngrams_per_token: float) -> Cost:
    """What a net stores and computes; ``ngrams_per_token`` is the mean over running tokens, all sizes together."""
    dimension = model.state_dict()["tables.0.weight"].shape[1]
    layers = model.hidden.weight.numel() + model.output.weight.numel()
    return Cost(sum(p.numel() for p in model.parameters()), layers + ngrams_per_token * dimension)
