"""A loss without labels at every level: a patch agrees with the other patches of its image (Hinton's talk of 2023).

At the output of a block every patch z_bp (scaled to unit length) is to tell its own image among those of the batch: by
the mean of the OTHER patches of each image, c_jp, likewise scaled, which it takes as given. Its loss is
-log softmax_j(z_bp . c_jp / temperature) at j = b. Nothing is differentiated through c, as Ren et al. 2022 stop the
gradient in the second view, so each patch has a loss of its own and answers to no other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError


def contrast(x: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Of a block's output (cases, patches, channels): every case's loss, the mean over its patches, and the gradient
    of the losses' mean in x.

    Raises:
        UserError: fewer than two patches or cases: nothing to agree or to disagree with.
    """
    cases, patches, _ = x.shape
    if patches < 2 or cases < 2:
        raise UserError(f"a contrast needs two patches and two cases at least, not {patches} and {cases}")
    length = x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    z = x / length
    others = F.normalize(z.sum(1, keepdim=True) - z, dim=-1)
    logits = torch.einsum("bpc,jpc->bpj", z, others) / temperature
    log_probabilities = F.log_softmax(logits, dim=-1)
    own = torch.arange(cases, device=x.device)
    values = -log_probabilities[own, :, own]
    error = log_probabilities.exp()
    error[own, :, own] -= 1
    along = torch.einsum("bpj,jpc->bpc", error, others) / (temperature * cases * patches)
    return values.mean(1), (along - z * (z * along).sum(-1, keepdim=True)) / length
