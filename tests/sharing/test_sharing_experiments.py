"""The experiments on sharing, run small: what they ask, draw and claim."""

import pytest

from repro.compare import judge
from repro.papers.hinton2023 import (
    analogue_copies,
    bits_hundred_classes,
    bits_ten_classes,
    communities,
    different_agents,
    mortal_hardware,
    shared_mistakes,
)
from repro.published import load

PUBLISHED = load()
LEARNER = "{hidden: [16], training: {epochs: 6, batch_size: 30, precision: float32}, rates: [0.1], least_steps: 60}"
AGENT = LEARNER.replace(", least_steps: 60", "")
FEW = "seeds: 2, held_out: 100"


def verdicts(answers):
    """Every answer cites a printed row and can be judged."""
    return {answer.id: judge(answer, PUBLISHED, same_data=False, data="digits").verdict for answer in answers}


def mean(results, arm, metric):
    values = list(results.values(arm, metric).values())
    return sum(values) / len(values)


def test_communities(record):
    results = record(
        "hinton2023.communities",
        f"{FEW}, agents: 3, cases_per_agent: 60, shared_inputs: 200, learner: {AGENT.replace('6,', '20,')}, "
        "partitions: [{name: classes, classes_per_agent: 4}], weight_intervals: [2, 20], "
        "exchanges: [{interval_steps: 10, examples: 50}, {interval_steps: 5, examples: 200}]",
    )
    assert {row["n"] for row in communities.figure(results).data} == {2}
    answers = {answer.id: answer for answer in communities.claims(results)}
    assert {"HT-SHARE.gradients.classes", "HT-SHARE.others.classes", "HT-BANDWIDTH.classes", "PS272.weights"} <= set(
        answers
    )
    assert max(answers["HT-SHARE.gradients.classes"].differences) < -10  # alone, 6 of 10 classes are never seen
    weights, gradients = (results.values(f"classes.{way}", "bits_per_agent") for way in ("weights.every2", "gradients"))
    assert weights[0] * 2 == gradients[0]
    assert verdicts(answers.values())["PS272.weights"] == "not_run"


def test_different_agents(record):
    results = record(
        "hinton2023.different_agents",
        f"{FEW}, agents: 2, cases_per_agent: 60, shared_inputs: 100, learner: {AGENT}, weight_interval_steps: 2, "
        "exchange_interval_steps: 4",
    )
    assert len(different_agents.figure(results).data) == 15
    found = verdicts(different_agents.claims(results))
    assert len(found) == 10
    # The first two communities are one machine each; a step's gradients from one start are one learner's.
    assert mean(results, "one_start.gradients", "test_error_percent") == pytest.approx(
        mean(results, "one_start.gradients", "test_error_percent_best_agent")
    )


@pytest.mark.parametrize("module", [bits_ten_classes, bits_hundred_classes], ids=["ten", "hundred"])
def test_bits(record, module):
    own = "generated: {train: 5000, test: 300, dimensions: 15}, " if module is bits_hundred_classes else ""
    sizes = "[200, 600]" if own else "[20, 100]"
    results = record(
        module.__name__.removeprefix("repro.papers."),
        f"{FEW}, {own}teacher_seeds: 1, teacher_cases: {4000 if own else 500}, sizes: {sizes}, temperatures: [4], "
        f"target_error_percent: {60 if own else 15}, teacher: {LEARNER}, student: {LEARNER}",
    )
    drawn = module.figure(results)
    assert {row["targets"] for row in drawn.data} == {"labels", "smoothed", "soft.t4", "teacher"}
    answers = {answer.id: answer for answer in module.claims(results)}
    found = verdicts(answers.values())
    classes = 100 if own else 10
    assert all(r > 0 for r in answers[f"PS268.constraint.labels.classes{classes}.t4"].differences)
    if not own:
        assert found["PS267"] == found["PS268.reals"] == "within"


def test_shared_mistakes(record):
    results = record(
        "hinton2023.shared_mistakes",
        f"{FEW}, teacher_cases: 60, student_cases: 600, learner: {LEARNER.replace('60}', '150}')}",
    )
    assert len(shared_mistakes.figure(results).data) == 15
    assert len(verdicts(shared_mistakes.claims(results))) == 6
    soft, labels = (mean(results, arm, "agreement_percent") for arm in ("soft", "labels"))
    assert soft > labels + 30


def test_analogue_copies(record):
    results = record(
        "hinton2023.analogue_copies",
        f"{FEW}, variabilities: [0, 1], teacher_cases: 400, own_cases: 30, shared_inputs: 300, "
        f"learner: {LEARNER.replace('60}', '200}')}",
    )
    assert len(analogue_copies.figure(results).data) == 12
    for seed in (0, 1):  # on one machine a copy is the teacher
        teacher, copy = (results.values("v0", f"{way}_error_percent")[seed] for way in ("teacher", "copied"))
        assert teacher == copy
    assert mean(results, "v1", "copied_error_percent") > 70
    assert mean(results, "v1", "distilled_error_percent") < 50
    assert verdicts(analogue_copies.claims(results)).keys() == {
        "HT-MORTAL.copied_alone", "HT-MORTAL.averaged_alone", "HT-MORTAL.copied_start_distilled",
        "HT-MORTAL.alone_distilled",
    }  # fmt: skip


def test_mortal_hardware(record):
    results = record(
        "hinton2023.mortal_hardware", f"{FEW}, generations: 2, own_cases: 30, shared_inputs: 100, learner: {LEARNER}"
    )
    assert len(mortal_hardware.figure(results).data) == 8
    assert len(verdicts(mortal_hardware.claims(results))) == 4
    first = {chain: results.values(chain, "first_error_percent") for chain in ("handed_on", "labels", "copied")}
    assert first["handed_on"] == first["labels"] == first["copied"]  # nobody was before the first
    last = {chain: results.values(chain, "last_error_percent")[0] for chain in ("handed_on", "labels", "copied")}
    assert len(set(last.values())) > 1
