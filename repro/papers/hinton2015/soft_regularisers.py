"""Section 6, Table 5: soft targets let a net learn from 3 % of the data without over-fitting.

The paper: of the same acoustic model, trained on everything, 58.9 % of test frames are right; trained on 3 % of the
labels 44.5 %, and that only by stopping early, before the accuracy falls sharply; trained on the soft targets that
the full net gives to the same 3 %, 57.0 %, without stopping early: it converges.

Here: 3 % of MNIST, of Fashion-MNIST and of CIFAR-100, with a net of one size throughout each data set. Every student
takes the same number of steps, its rate falling to nothing. Hard labels are judged at the end and early stopped, at the
evaluation with the fewest errors on held-out training cases; soft targets (no labels beside them) are judged at
the end, where stopping them early would have stopped is recorded. Controls: labels smoothed towards the uniform
distribution, which regularise without knowing anything of a case, and the net on all training cases, whose soft
targets are learnt. The number of cases is then varied at equal steps. Learning rates of every kind come from one grid,
together with the temperature of soft targets and the smoothing of labels, as many of the one as of the other, by the
errors on held-out cases at the end of training; so do rate and epochs of the full net.

What falls must be over-fitting and not a rate that is too high: therefore rates fall to nothing and are chosen by the
end of training, not by its best evaluation. That soft targets stay where they would have been stopped says little where
labels stay too: what labels lose after their stop is held against it. A net whose errors stay may over-fit all the
same, more and more certain of what it has wrong: the cross-entropy with the labels of test cases is held against its
value at the evaluation where that of held-out cases is least.

Departures: other data and nets, for the paper's speech is private; neither its schedule nor the temperature of these
runs is printed. The cases held out count among all, of which 3 % are taken, and neither students nor full nets see
them. Other numbers of cases use the rates and the temperature chosen at 3 %.

Cost at scale ``paper``: 1 second to 5 minutes of one core a run, 975 runs, nearly nine in ten of them the grids'.
"""

from collections.abc import Sequence

from repro.compare import Answer, Claim, Value, t_interval
from repro.contrasts import beyond_share, minus, shares
from repro.experiment import BY_ARM, Arm, Context, Result
from repro.papers.hinton2015 import _regulariser_arms
from repro.papers.hinton2015._regulariser_arms import (
    FewCases,
    Task,
    arm_name,
    chosen,
    percent_right,
    rise_after_stopping,
    words,
)
from repro.plots.drawing import Drawing
from repro.published import load as load_published
from repro.results import Results

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "speech"
BY_THE_END = "labels, too, learn at the rate best for the end of training; they are stopped early on top of that"
ANY_DIP = "the least may be a dip of a curve that still swings, or lie before the rate is at its height"
# Percentage points of accuracy that soft targets may lose after the epoch at which they would have been stopped.
STAYS = -0.5


class Config(FewCases):
    pass


def arms(config: Config) -> list[Arm]:
    return _regulariser_arms.arms(config)


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._regulariser_runs import RUNS

    return RUNS[arm.settings["role"]](arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.hinton2015._regulariser_figure import figure

    return figure(results, Config.model_validate(results.config))


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    return [answer for task in config.tasks for answer in _claims_of(task, results, config)]


def _claims_of(task: Task, results: Results, config: Config) -> list[Answer]:
    data, setting = task.data, words(task)
    at_t = f"{_soft_targets(task, results)}; {setting}"

    def of(kind: str, which: str) -> dict[int, float]:
        return percent_right(results, arm_name(task, kind), which)

    def difference(a: dict[int, float], b: dict[int, float]) -> tuple[float, ...]:
        return tuple(minus(a, b).values())

    def value(row: str, kind: str, which: str, told: str) -> Value:
        split = "test" if which.endswith("test") else "train"
        found = of(kind, which)
        ours = tuple(found[s] for s in sorted(found))
        return Value(f"{row}.{data}", ours, told, quantity=f"{split} accuracy")

    everything = f"all training cases of {data} but the {task.held_out:,} held out"
    full, hard, soft = of("full", "test"), of("hard", "stopped_test"), of("soft", "test")
    regained, lost = minus(soft, hard), minus(full, hard)
    rises = {kind: rise_after_stopping(results, arm_name(task, kind)) for kind in ("hard", "soft")}
    return [
        value("KD-R01", "full", "train", everything),
        value("KD-R02", "full", "test", everything),
        value("KD-R03", "hard", "stopped_train", f"labels, early stopped; {setting}"),
        value("KD-R04", "hard", "stopped_test", f"labels, early stopped; {setting}"),
        value("KD-R05", "soft", "train", f"no early stopping; {at_t}"),
        value("KD-R06", "soft", "test", f"no early stopping; {at_t}"),
        Claim(
            f"KD-R04.{data}_falls",
            "test accuracy on labels, at the end minus early stopped",
            difference(of("hard", "test"), hard),
            direction="less",
            setting=setting,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_stays",
            "test accuracy on soft targets, at the end minus where they would have been stopped",
            difference(soft, of("soft", "stopped_test")),
            null=STAYS,
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R06.{data}_stays_better",
            "test accuracy at the end minus where it would have been stopped, soft targets minus labels",
            difference(minus(soft, of("soft", "stopped_test")), minus(of("hard", "test"), hard)),
            setting=at_t,
            unit="points",
        ),
        Claim(
            f"KD-R04.{data}_rises",
            "test cross-entropy on labels, at the end minus where that of held-out cases is least",
            tuple(rises["hard"].values()),
            setting=f"{setting}; beyond the paper",
            unit="nats",
            departures=ANY_DIP,
        ),
        Claim(
            f"KD-R06.{data}_rises_less",
            "test cross-entropy at the end minus where that of held-out cases is least, soft targets minus labels",
            difference(rises["soft"], rises["hard"]),
            direction="less",
            setting=f"{at_t}; beyond the paper",
            unit="nats",
            departures=ANY_DIP,
        ),
        Claim(
            f"KD-R06.{data}_against_hard",
            "test accuracy, soft targets at the end minus labels early stopped",
            difference(soft, hard),
            setting=at_t,
            unit="points",
            departures=BY_THE_END,
        ),
        Claim(
            f"KD-R06.{data}_against_smoothed",
            "test accuracy, soft targets at the end minus smoothed labels early stopped",
            difference(soft, of("smoothed", "stopped_test")),
            setting=at_t,
            unit="points",
            departures=BY_THE_END,
        ),
        Claim(
            f"KD-R06.{data}_recovered",
            "accuracy that soft targets regain of what labels, early stopped, lose against all cases, minus half of it",
            beyond_share(regained, lost, 0.5),
            setting=f"{_recovered(regained, lost)}; 'almost all' read as more than half; {at_t}",
            unit="points",
            departures=BY_THE_END,
        ),
        Claim(
            f"KD-R05.{data}_against_hard",
            "training accuracy, soft targets at the end minus labels early stopped",
            difference(of("soft", "train"), of("hard", "stopped_train")),
            direction="less",
            setting=at_t,
            unit="points",
        ),
    ]


def _soft_targets(task: Task, results: Results) -> str:
    temperature = chosen(task, "soft", results)
    return "soft targets" if temperature is None else f"soft targets at T = {temperature:g}"


def _recovered(regained: dict[int, float], lost: dict[int, float]) -> str:
    found = shares(regained, lost)
    ours = f"{100 * t_interval(found)[0]:.0f} % regained" if found else "not run"
    return f"{ours}, {_printed_recovery():.0f} % printed"


def _printed_recovery() -> float:
    soft, hard, full = (float(load_published()[row].value or 0) for row in ("KD-R06", "KD-R04", "KD-R02"))
    return 100 * (soft - hard) / (full - hard)
