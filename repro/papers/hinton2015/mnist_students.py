"""Section 3: a small net learns MNIST from a large one's soft targets almost as well as the large one knows it.

The paper: a teacher 784-1200-1200-10 of ReLUs, trained with dropout, a bound on incoming weights and images
jittered by up to two pixels, makes 67 test errors. A student 784-800-800-10 without regularisation makes 146
from labels and 74 when it matches the teacher's soft targets at T = 20 on the same, unjittered 60,000 cases.

Here: the same nets, all 60,000 cases, several seeds. Teachers have dropout 0.2 on inputs and 0.5 on hidden
units and squared incoming norms of at most 15 (Hinton et al. 2012, to which the paper refers). Student seed s
learns from teacher s mod n; students of one teacher share its mistakes and count once, by their mean. Soft targets
alone and soft targets beside labels are separate arms, since the paper does not say which it used. Rates were
chosen by ``mnist_tuning`` on 10,000 held-out cases; the epoch is fixed.

Departures: Nesterov momentum with a warm-up and a cosine schedule over far fewer epochs than the 3000 of the
dropout paper; PyTorch's initialisation; batch 128. None of these is printed. Matrix products are in bfloat16 on
processors that gain from it and in float32 on others, and means are over runs of both (``precision`` in runs.csv). The
teacher's rate was tuned over 40 epochs and used for 60.

Cost at scale ``paper``: about 10 minutes of one core for a teacher, 3 for a student.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from repro.compare import Answer, Claim, Value, t_interval
from repro.contrasts import minus, one_per_teacher
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015._arms import Net, Student
from repro.papers.hinton2015._teachers import teachers, test_errors
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
DEPARTURES = "schedule shorter than the paper's; optimiser, batch and initialisation are not printed there"


class Config(Options):
    teacher_seeds: int = Field(3, ge=1)
    student_seeds: int = Field(5, ge=1)
    temperature: float = Field(20.0, gt=0)
    teacher: Net
    student: Student


def arms(config: Config) -> list[Arm]:
    student, needs = config.student, (Need("teacher"),)
    return [
        Arm("teacher", config.teacher.settings(), config.teacher_seeds),
        Arm("hard", student.hard(), config.student_seeds),
        Arm("soft", student.soft(config.temperature), config.student_seeds, needs),
        Arm("soft_hard", student.soft_hard(config.temperature), config.student_seeds, needs),
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import load_once
    from repro.papers.hinton2015 import _nets as nets

    if arm.name != "teacher":
        return nets.run_student(arm, seed, context)
    data = load_once(context.data)
    objective = nets.distilling(arm.settings, data.train.labels, None, torch.device(context.device))
    model, points = nets.fit(arm.settings, seed, context, data.train, {"test": data.test}, objective)
    nets.leave_logits(context.work, model, data)
    return nets.outcome_on_all_cases(arm, context, model, points)


PRINTED = {"teacher": "KD-M01", "hard": "KD-M02", "soft": "KD-M03", "soft_hard": "KD-M03"}
LABELS = {
    "teacher": "teacher",
    "hard": "student,\nlabels",
    "soft": "student,\nsoft targets",
    "soft_hard": "student,\nsoft targets\nand labels",
}


def figure(results: Results) -> Drawing:
    """Test errors of teacher and students, each run a dot, printed numbers and bands behind."""
    from repro.plots.style import COLOURS, MARKERS, axes
    from repro.plots.style import PRINTED as GREY

    drawn, (ax,) = axes()
    published = load_published() if results.data == "mnist" else {}
    data: list[dict[str, Any]] = []
    counts = {}
    for position, (arm, _label) in enumerate(LABELS.items()):
        values = list(results.values(arm, "test_errors").values())
        if not values:
            continue
        independent = list(test_errors(results, arm).values())
        mean, low, high = t_interval(independent)
        counts[arm] = len(independent)
        colour = COLOURS[position]
        spread = [position + 0.06 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        ax.plot(spread, values, MARKERS[position], color=colour, alpha=0.45, ms=6)
        ax.errorbar(
            [position + 0.3], [mean], yerr=None if low is None or high is None else [[mean - low], [high - mean]],
            fmt=MARKERS[position], color=colour, ms=9, capsize=4,
        )  # fmt: skip
        ax.annotate(f"{mean:.0f}", (position + 0.3, mean), (9, -4), textcoords="offset points", color=colour)
        row: dict[str, Any] = {"arm": arm, "mean": mean, "low": low, "high": high, "n": len(independent)}
        row |= {"runs": len(values)}
        if (found := published.get(PRINTED[arm])) and found.value is not None:
            ends = (position - 0.38, position + 0.42)
            if found.low is not None and found.high is not None:
                ax.fill_between(ends, found.low, found.high, color="#bbbbbb", alpha=0.4, lw=0, zorder=0)
            ax.plot(ends, [found.value] * 2, "--", color=GREY, lw=1.6)
            ax.annotate(
                f"printed {found.value:g}", (ends[0], found.value), (0, 3), textcoords="offset points",
                fontsize=10, color=GREY,
            )  # fmt: skip
            row |= {"printed": found.value, "printed_low": found.low, "printed_high": found.high}
        data.append(row)
    ax.set_xticks(range(len(LABELS)), list(LABELS.values()))
    ax.set_xlim(-0.5, len(LABELS) - 0.35)
    ax.set_ylim(bottom=0)
    ax.grid(axis="x", visible=False)
    cases = results.rows[0]["test_cases"]
    ax.set_ylabel(f"test errors of {cases:,}")
    caption = (
        "Test errors of the large net and of small nets that learn from labels, from its soft targets at "
        f"T = {results.config['temperature']:g}, and from both. Small marks: single runs; large marks: mean with "
        f"95 % t-interval over seeds ({number_of(counts.values())}; students of one teacher averaged). "
    )
    if published:
        caption += "Dashed: the printed number; grey: the 95 % sampling band of one run. "
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    answers: list[Answer] = []
    for arm, row in PRINTED.items():
        name = f"{row}.{arm}" if row == "KD-M03" else row
        ours = tuple(test_errors(results, arm).values())
        answers.append(Value(name, ours, setting=LABELS[arm].replace("\n", " "), departures=DEPARTURES))
    for arm in ("soft", "soft_hard"):
        soft, hard = (results.values(name, "test_errors") for name in (arm, "hard"))
        differences = tuple(one_per_teacher(minus(soft, hard), teachers(results)).values()) if soft else ()
        answers.append(
            Claim(
                f"KD-M03.{arm}_against_hard",
                "test errors, soft minus hard student of the same seed, students of one teacher averaged",
                differences,
                direction="less",
                unit="errors",
            )
        )
    return answers
