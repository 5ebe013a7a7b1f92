"""A recurrent language model: embedding, layers of LSTM with layer norm, and a softmax over the words."""

import torch
from torch import Tensor, nn

from repro.training.keys import generator_seed


class LanguageModel(nn.Module):
    """Logits (batch, length, words) of the next token at every place of tokens (batch, length) int64.

    Every stretch begins with a state of zeros, so that examples can come in any order. Each layer's outputs are
    normalised before they go on (Ba, Kiros, Hinton 2016): two layers without it stay hundreds of steps where only
    the words' frequencies are learned. Embeddings are drawn from N(0, 0.1^2), everything else as PyTorch draws it,
    with a forget bias of one; all of it is keyed by ``seed`` alone.

    Raises:
        ValueError: a size below one.
    """

    def __init__(self, words: int, *, embedding: int, hidden: int, layers: int, seed: int) -> None:
        super().__init__()
        if min(words, embedding, hidden, layers) < 1:
            raise ValueError(f"words {words}, embedding {embedding}, hidden {hidden}, layers {layers}: at least 1 each")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator_seed(seed, "weights"))
            self.embedding = nn.Embedding(words, embedding)
            nn.init.normal_(self.embedding.weight, std=0.1)
            self.layers = nn.ModuleList()
            self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
            for depth in range(layers):
                layer = nn.LSTM(hidden if depth else embedding, hidden, batch_first=True)
                # PyTorch adds two biases; its gates are input, forget, cell, output.
                biases = dict(layer.named_parameters())
                nn.init.zeros_(biases["bias_hh_l0"])
                nn.init.ones_(biases["bias_ih_l0"][hidden : 2 * hidden])
                self.layers.append(layer)
            self.softmax = nn.Linear(hidden, words)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x)[0])
        logits: Tensor = self.softmax(x)
        return logits
