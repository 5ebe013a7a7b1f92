"""What a specialist learns and answers: its classes and a dustbin for all others.

Hinton, Vinyals, Dean 2015, sections 5.2 and 5.4. Class sets are masks (specialists, classes). A specialist's outputs
are its classes in ascending order, then the dustbin.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.distill.objective import soft_cross_entropy, soft_targets
from repro.errors import UserError


def check_class_sets(class_sets: Tensor) -> None:
    """Refuse sets that no specialist can be trained on.

    Raises:
        UserError: no set at all, or a set that covers nothing, one class alone, or every class.
    """
    if not len(class_sets):
        raise UserError("specialists: no class set; ask for at least one")
    classes = class_sets.shape[1]
    for number, size in enumerate(class_sets.sum(1).tolist()):
        if size == 0:
            raise UserError(f"specialist {number}: its class set covers nothing; give it at least two classes")
        if size == 1:
            raise UserError(f"specialist {number}: has one class alone and nothing to tell apart; give it two or more")
        if size == classes:
            raise UserError(f"specialist {number}: has all {classes} classes and no dustbin; leave some out")


def random_class_sets(like: Tensor, generator: torch.Generator) -> Tensor:
    """Sets drawn at random, as many and as large as those of ``like``: the control for the choice of classes."""
    sets = torch.zeros_like(like)
    for number, size in enumerate(like.sum(1).tolist()):
        sets[number, torch.randperm(like.shape[1], generator=generator)[:size]] = True
    return sets


def specialist_labels(labels: Tensor, class_set: Tensor) -> Tensor:
    """Labels (cases,) as a specialist with mask ``class_set`` (classes,) sees them: its outputs' indices."""
    outputs = torch.full((len(class_set),), int(class_set.sum()), dtype=torch.long)
    outputs[class_set] = torch.arange(int(class_set.sum()))
    return outputs[labels]


@dataclass(frozen=True)
class HalfAndHalf:
    """The cases of one pass: each special one once, and beside it one drawn at random from the rest (section 5.2).

    ``inside`` and ``outside`` are indices of cases. A position below ``len(inside)`` stands for a special case, each
    other for a draw that is made anew, from the global generator, whenever it is asked for.
    """

    inside: Tensor
    outside: Tensor

    @classmethod
    def of(cls, labels: Tensor, class_set: Tensor) -> "HalfAndHalf":
        """The halves of cases with these labels (cases,), the special classes given by mask (classes,).

        Raises:
            UserError: no case of the special classes, or none of the others.
        """
        special = class_set[labels]
        inside, outside = special.nonzero().squeeze(1), (~special).nonzero().squeeze(1)
        if not len(inside) or not len(outside):
            raise UserError(
                f"specialist: {len(inside)} cases of its classes and {len(outside)} of others; both halves need cases"
            )
        return cls(inside, outside)

    def __len__(self) -> int:
        return 2 * len(self.inside)

    def draw(self, positions: Tensor) -> Tensor:
        """Indices of cases for positions (batch,) in 0..len - 1."""
        special = self.inside[positions.clamp_max(len(self.inside) - 1)]
        others = self.outside[torch.randint(len(self.outside), positions.shape)]
        return torch.where(positions < len(self.inside), special, others)


def dustbin_correction(special_share: float) -> float:
    """What to add to the dustbin's logit of a specialist trained half and half (section 5.2).

    The special classes have a share ``special_share`` of all cases and had a half in training: odds of one to one
    where the truth is (1 - share) to share.

    Raises:
        UserError: share not strictly between 0 and 1.
    """
    if not 0 < special_share < 1:
        raise UserError(f"specialist: its classes have a share of {special_share:g} of the cases; it must be in (0, 1)")
    return math.log((1 - special_share) / special_share)


def dustbin_probabilities(logits: Tensor, special_share: float) -> Tensor:
    """Probabilities (cases, set size + 1) at natural frequencies, from logits with the dustbin's last."""
    moved = logits.clone()
    moved[:, -1] += dustbin_correction(special_share)
    return torch.softmax(moved, 1)


def moved_dustbin(probabilities: Tensor, shift: float) -> Tensor:
    """Probabilities (cases, set size + 1), the dustbin's last, with ``shift`` added to its logit."""
    moved = probabilities.clone()
    moved[:, -1] *= math.exp(shift)
    return moved / moved.sum(1, keepdim=True)


def deferring(probabilities: Tensor, generalist: Tensor, class_set: Tensor) -> Tensor:
    """Probabilities (cases, set size + 1) that divide among the special classes as the specialist's do.

    Together these classes have what the generalist (cases, classes) gives them, and so has the dustbin: the specialist
    says which of its classes a case is, and leaves to the generalist whether it is one of them. One that is certain of
    the dustbin says nothing: its classes are alike to it.
    """
    own = probabilities[:, :-1]
    total = own.sum(1, keepdim=True)
    within = torch.where(total > 0, own / total, 1 / own.shape[1])
    rest = in_dustbin(generalist.to(own.dtype), class_set)[:, -1:]
    return torch.cat([(1 - rest).clamp_min(0) * within, rest], 1)  # a sum may be rounded to more than one


def probabilities_of_full(logits: Tensor, class_set: Tensor, special_share: float) -> Tensor:
    """The same of a specialist with an output for every class (section 6.1): the rest is summed in the dustbin.

    All classes outside the set were under-sampled alike, so all their logits are moved alike.
    """
    moved = logits + dustbin_correction(special_share) * (~class_set).to(logits.dtype)
    return in_dustbin(torch.softmax(moved, 1), class_set)


def specialist_head(weight: Tensor, bias: Tensor, class_set: Tensor) -> tuple[Tensor, Tensor]:
    """The generalist's last layer, (classes, features) and (classes,), as a specialist's.

    Rows of the special classes are kept. The dustbin begins as the mean of the others, its bias raised by the log of
    their number: its logit is then a lower bound of their log-sum-exp (Jensen). The paper does not say how it began.

    Raises:
        UserError: a set that no specialist can be trained on.
    """
    check_class_sets(class_set.unsqueeze(0))
    others = ~class_set
    dustbin_bias = bias[others].mean() + math.log(int(others.sum()))
    dustbin = weight[others].mean(0, keepdim=True)
    return torch.cat([weight[class_set], dustbin]), torch.cat([bias[class_set], dustbin_bias.unsqueeze(0)])


def in_dustbin(probabilities: Tensor, class_set: Tensor) -> Tensor:
    """Probabilities (cases, classes) as a specialist's, (cases, set size + 1): those of other classes summed up."""
    return torch.cat([probabilities[:, class_set], probabilities[:, ~class_set].sum(1, keepdim=True)], 1)


def loss_on_other_classes(logits: Tensor, generalist_logits: Tensor, class_set: Tensor, temperature: float) -> Tensor:
    """Soft cross-entropy among the classes outside the set, times T^2, mean over the batch (section 6.1).

    Both distributions are those given that the class is none of the special ones: the generalist tells a specialist
    with an output for every class how the others compare, and nothing of its own classes.
    """
    others = ~class_set
    targets = soft_targets(generalist_logits[:, others], temperature)
    return temperature**2 * soft_cross_entropy(logits[:, others], targets, temperature)
