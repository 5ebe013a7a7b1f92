"""Table 3, MNIST: LocalMixer S/1/1 and M/1/16 trained by backprop, by perturbations, with local losses, by feedback.

The paper: test / train error % of S/1/1 (256 channels, 272k parameters) and M/1/16 (512 channels in 16 groups, 429k),
one run each: forward gradients of weights (FG-W) hardly learn, of activities (FG-A) do, and with a loss for each group
(LG-FG-A) come to backprop's level. Hinton's talk says the same of activity perturbation on MNIST.

Here: the same nets and losses, the exact tangent, Gaussian noise, one direction a step and a draw for every case and
unit (FG-A) or one for the batch (FG-W); also weight perturbation by 8 directions of rank-one signs. Two controls the
paper does not print: frozen random features under the same trained head, which a method must beat before it can be
said to have learned anything below the head, and all methods' cost in multiply-adds. Every method, the frozen one too,
tries the same rates on held-out training cases with one seed, at ``tuning_epochs``; its best rate serves all seeds.
The epoch is fixed, the test set is used once.

Departures: the paper's MNIST hyper-parameters are not released: SGD with momentum 0.9, warm-up and a cosine schedule,
no weight decay, no augmentation, tens of epochs and fewer; rates tuned on shorter runs than they are used for. All
heads start at zero, local ones too. A weight that mixes tokens answers to the losses of its own token; the authors'
program sums over all tokens. S/1/1 has one block, patch and group, so there LG-x is x, which a test holds to the last
bit: those rows are not run twice, and the runs of x answer them.

Cost at scale ``paper``: 2 to 4 seconds of one core an epoch.
"""

from collections.abc import Sequence

from repro.compare import Answer, Claim, Value
from repro.experiment import Arm, Context, Result
from repro.papers.ren2022._arms import NAMES, Study, arm_name, final_arms, study_arms
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
DEPARTURES = "the paper's MNIST hyper-parameters are not released; ours: shorter, tuned on held-out cases"
# Test error of each method and net; the row of the train error is the next one.
PRINTED = {
    ("S/1/1", "bp"): "PS001", ("M/1/16", "bp"): "PS003",
    ("S/1/1", "lg_bp"): "PS017", ("M/1/16", "lg_bp"): "PS019",
    ("S/1/1", "fa"): "PS025", ("M/1/16", "fa"): "PS027",
    ("S/1/1", "dfa"): "PS049", ("M/1/16", "dfa"): "PS051",
    ("S/1/1", "fg_w"): "PS057", ("M/1/16", "fg_w"): "PS059",
    ("S/1/1", "fg_a"): "PS065", ("M/1/16", "fg_a"): "PS067",
    ("S/1/1", "lg_fg_w"): "PS073", ("M/1/16", "lg_fg_w"): "PS075",
    ("S/1/1", "lg_fg_a"): "PS081", ("M/1/16", "lg_fg_a"): "PS083",
}  # fmt: skip
# Where there is one block, patch and group, the one local loss is the loss.
ALIKE_ALONE = {"bp": "lg_bp", "fg_w": "lg_fg_w", "fg_a": "lg_fg_a"}
# What the paper says must show: test errors of the first less those of the second are below zero.
ORDERINGS = (
    ("fg_a", "fg_w", "activities against weights"),
    ("lg_fg_a", "fg_a", "with and without local losses"),
    ("fg_a", "frozen", "against frozen features"),
    ("lg_fg_a", "frozen", "against frozen features"),
    ("fg_w", "frozen", "against frozen features"),
)


class Config(Study):
    pass


def arms(config: Config) -> list[Arm]:
    return study_arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.ren2022 import _nets

    return _nets.run_study(arm, seed, context)


def printed_name(name: str) -> str:
    """S/1/1 of the config's S-1-1, which can name a folder."""
    return name.replace("-", "/")


def figure(results: Results) -> Drawing:
    from repro.papers.ren2022._figures import learning

    return learning(results, Config.model_validate(results.config), PRINTED)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    answers: list[Answer] = []
    for net, method, arm in final_arms(config):
        answers += _errors(results, PRINTED.get((printed_name(net.name), method)), arm, f"{NAMES[method]}, {net.name}")
        if (net.blocks, net.patches, net.groups) == (1, 1, 1) and (same := ALIKE_ALONE.get(method)):
            row = PRINTED.get((printed_name(net.name), same))
            told = f"{NAMES[same]}, {net.name}, which is {NAMES[method]} with one block, patch and group"
            answers += _errors(results, row, arm, told)
    for net in config.nets:
        for better, worse, what in ORDERINGS:
            row = PRINTED.get((printed_name(net.name), better))
            if row is None or not {better, worse} <= {*net.methods}:
                continue
            answers.append(
                Claim(
                    f"{row}.against_{worse}",
                    f"test errors, {NAMES[better]} minus {NAMES[worse]}, same seed: {what}",
                    tuple(results.paired(arm_name(net.name, better), arm_name(net.name, worse), "test_errors")),
                    direction="less",
                    setting=net.name,
                    unit="errors",
                )
            )
    return answers


def _errors(results: Results, row: str | None, arm: str, setting: str) -> list[Answer]:
    """Test error of an arm, and its train error in the row after: %."""
    if row is None:
        return []
    answers: list[Answer] = []
    for name, split in ((row, "test"), (f"PS{int(row.removeprefix('PS')) + 1:03d}", "train")):
        cases = results.values(arm, f"{split}_cases")
        ours = tuple(100 * errors / cases[seed] for seed, errors in results.values(arm, f"{split}_errors").items())
        answers.append(Value(name, ours, setting=setting, unit="%", departures=DEPARTURES))
    return answers
