"""Local losses in a deeper net of patches: LocalMixer M/8/16, six methods, on a small part of CIFAR-100.

The paper (Table 3, CIFAR-10): M/8/16 has 4 blocks, 8 x 8 patches, 512 channels in 16 groups and 919k parameters, hence
4096 local losses. There forward gradients of activities without local losses over-fit and fail (59.7 % test error);
with them they come to 30.7 %, below backprop's 33.6 % without augmentation.

Here: the same net on CIFAR-100's 20 coarse labels; at scale ``paper`` on 5,000 of its images, drawn once, at scale
``cluster`` on all 50,000. Everything else as in ``mnist``: all six methods and frozen features try the same rates on
held-out cases. At 62 million multiply-adds a case and pass, a run of some epochs of 5,000 images is what hours of one
core allow: nets are far from converged, and the question is which method has learned more in the same steps.

Departures: another data set, so no printed number is held against ours; the orderings of Table 3 are claims. Short
training, a tenth of the cases, no weight decay.

Cost at scale ``paper``: about a minute of one core an epoch.
"""

from collections.abc import Sequence

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.ren2022._arms import NAMES, Study, arm_name, study_arms
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "cifar-100-coarse", "cluster": "cifar-100-coarse"}
PRINTED_DATA = "cifar-10"
# Test errors of the first method less the second's, and the row of Table 3 that says which is smaller.
ORDERINGS = (
    ("lg_fg_a", "fg_a", "PS085", "less"),
    ("lg_fg_a", "lg_fg_w", "PS085", "less"),
    ("lg_fg_a", "bp", "PS085", "less"),
    ("lg_fg_w", "fg_w", "PS077", "less"),
    ("fg_a", "bp", "PS069", "greater"),
    ("fg_a", "fg_w", "PS069", "greater"),
    ("fg_w", "frozen", "PS061", "less"),
    ("fg_a", "frozen", "PS069", "less"),
    ("lg_fg_a", "frozen", "PS085", "less"),
)


class Config(Study):
    pass


def arms(config: Config) -> list[Arm]:
    return study_arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.ren2022 import _nets

    return _nets.run_study(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.ren2022._figures import learning

    return learning(results, Config.model_validate(results.config), {})


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    return [
        Claim(
            f"{row}.{net.name}_{first}_against_{second}",
            f"test errors, {NAMES[first]} minus {NAMES[second]}, same seed",
            tuple(results.paired(arm_name(net.name, first), arm_name(net.name, second), "test_errors")),
            direction="less" if direction == "less" else "greater",
            setting=net.name,
            unit="errors",
        )
        for net in config.nets
        for first, second, row, direction in ORDERINGS
        if {first, second} <= {*net.methods}
    ]
