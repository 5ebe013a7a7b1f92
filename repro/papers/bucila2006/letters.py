"""Tables 2 to 4 on problems like LETTER: one class against the rest, and one half of the classes against the other.

The paper: LETTER.p1 asks for the O among 26 letters (3 % positive), LETTER.p2 for the alphabet's first half (53 %);
16 attributes, 4000 training and 1000 validation cases, 14,000 to test. RMSE of mimic, ensemble, net on labels and
best single model: 0.075, 0.075, 0.092, 0.092 and 0.179, 0.178, 0.228, 0.203. The mimics keep all of the ensemble's
gain.

Here: LETTER's data are not among this suite's. p1 asks for the 0 among ten digits, p2 for 0 to 4 against 5 to 9, on
MNIST with pixels averaged over squares of four by four: 49 attributes. The two share one choice of p, s and rates. The
rest is as in ``adult``, with its departures. At scale ``quick`` scikit-learn's digits, averaged over two by two, stand
in.

Cost at scale ``paper``: about 8 minutes of one core a seed, most of it in choosing.
"""

from collections.abc import Sequence

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.papers.bucila2006._arms import Compression, compression_arms
from repro.plots.drawing import Drawing
from repro.results import Results

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "letter"
TASKS = {"p1": "letter.p1", "p2": "letter.p2"}  # task -> printed problem


class Config(Compression):
    pass


def arms(config: Config) -> list[Arm]:
    return compression_arms(config, list(TASKS))


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.bucila2006._study import run_compression

    return run_compression(arm, seed, context)


def figure(results: Results) -> Drawing:
    from repro.papers.bucila2006._figures import compression

    return compression(results, TASKS)


def claims(results: Results) -> Sequence[Answer]:
    from repro.papers.bucila2006._printed import kept_beyond, tables_2_to_4

    answers: list[Answer] = []
    for task, problem in TASKS.items():
        answers += tables_2_to_4(results, task, problem)
        answers.append(
            Claim(
                f"MC-T2-{problem}.ratio.above_half",
                "what the mimic gains in test RMSE over the net, minus half of what the ensemble gains",
                kept_beyond(results, task, 0.5),
                unit="RMSE",
            )
        )
    return answers
