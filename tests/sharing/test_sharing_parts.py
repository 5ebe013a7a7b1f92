"""Cases dealt out, rates chosen, and the measures that the experiments on sharing rest on."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from repro.distill.objective import soft_cross_entropy
from repro.papers.hinton2023 import _community as community
from repro.papers.hinton2023 import _learning as learning
from repro.papers.hinton2023._bits import cases_needed
from repro.papers.hinton2023._generations import answers_and_labels
from repro.papers.hinton2023._hundred import generated
from repro.papers.hinton2023.bits_hundred_classes import Config as HundredConfig
from repro.papers.hinton2023.communities import Config as CommunitiesConfig
from repro.papers.hinton2023.shared_mistakes import agreement
from repro.training.loop import DivergedError
from repro.training.tuning import at_the_best_rate

LEARNER = {"hidden": [8], "training": {"epochs": 1}, "rates": [0.3, 0.1, 0.2]}
COMMUNITY = {"held_out": 100, "shared_inputs": 200, "agents": 4, "cases_per_agent": 30, "learner": LEARNER}


def numbered(cases):
    return learning.Cases(torch.arange(cases)[:, None].float(), torch.arange(cases))


def test_no_case_is_dealt_twice_and_piles_are_keyed_by_the_seed():
    piles = learning.deal(numbered(50), {"a": 20, "b": 30}, seed=1)
    assert sorted(torch.cat([piles["a"].labels, piles["b"].labels]).tolist()) == list(range(50))
    assert torch.equal(piles["a"].inputs[:, 0].long(), piles["a"].labels)
    assert torch.equal(learning.deal(numbered(50), {"a": 20}, seed=1)["a"].labels, piles["a"].labels)
    assert not torch.equal(learning.deal(numbered(50), {"a": 20}, seed=2)["a"].labels, piles["a"].labels)
    with pytest.raises(ValueError, match="51 cases are asked for"):
        learning.deal(numbered(50), {"a": 20, "b": 31}, seed=1)


def test_the_best_rate_is_the_one_with_the_lowest_score():
    tried = []

    def attempt(training):
        tried.append(training.learning_rate)
        if training.learning_rate == 0.1:
            raise DivergedError("it would have been the best")
        return training.learning_rate

    assert at_the_best_rate(LEARNER, attempt, lambda rate: rate) == (0.2, 0.2)
    assert tried == [0.3, 0.1, 0.2]
    assert at_the_best_rate(LEARNER, lambda t: t.learning_rate, lambda _: 5)[1] == 0.3  # of equals the first

    def diverging(training):
        raise DivergedError("at every rate")

    with pytest.raises(DivergedError, match="at every rate"):
        at_the_best_rate(LEARNER, diverging, lambda _: 0)


def test_agents_see_their_classes_and_no_case_of_another():
    _, dealt = community.dealt("digits", COMMUNITY | {"classes_per_agent": 3}, seed=0)
    seen = [sorted(part.labels.unique().tolist()) for part in dealt.parts]
    assert seen == [[0, 1, 2], [2, 3, 4], [5, 6, 7], [7, 8, 9]]
    rows = torch.cat([part.inputs for part in dealt.parts] + [dealt.shared_inputs, dealt.held_out.inputs])
    assert len(rows) == 4 * 30 + 200 + 100
    assert len(rows.unique(dim=0)) == len(rows)
    assert all(len(part.labels.unique()) > 7 for part in community.dealt("digits", COMMUNITY, seed=0)[1].parts)
    with pytest.raises(ValueError, match="agent 0 finds"):
        community.dealt("digits", COMMUNITY | {"classes_per_agent": 1, "cases_per_agent": 400}, seed=0)


def test_copies_start_alike():
    task, _ = community.dealt("digits", COMMUNITY, seed=0)
    learner = COMMUNITY | {"learner": LEARNER | {"training": {"dropout_input": 0.0, "dropout_hidden": 0.0}}}
    first, *others = community.same_start(task, learner, seed=3)
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("errors", "target", "cases"),
    [
        ((40, 20, 10), 20, 100),
        ((40, 20, 10), 30, 10**1.5),
        ((40, 20, 10), 10, 1000),
        ((40, 20, 10), 5, 1000),  # never: the largest
        ((40, 20, 10), 50, 10),  # from the start: the smallest
        ((40, 45, 30), 35, 10 ** (2 + 2 / 3)),
    ],
)
def test_cases_needed(errors, target, cases):
    assert cases_needed((10, 100, 1000), errors, target) == pytest.approx(cases)


def test_agreement_counts_same_wrong_answers():
    labels = torch.tensor([0, 0, 0, 0, 1])
    teacher = torch.tensor([1, 2, 1, 2, 1])  # four mistakes
    student = torch.tensor([1, 2, 2, 0, 0])  # two of them alike, one other, one right
    assert agreement(teacher, student, labels) == {
        "agreement_percent": 50.0,
        "agreement_when_wrong_percent": pytest.approx(200 / 3),
    }
    with pytest.raises(ValueError, match="no case is wrong"):
        agreement(teacher, labels, labels)


def test_answers_and_labels_are_one_mean_over_cases():
    draw = torch.Generator().manual_seed(0)
    shared, targets = torch.randn(40, 3, generator=draw), torch.softmax(torch.randn(40, 4, generator=draw), -1)
    own = learning.Cases(torch.randn(5, 3, generator=draw), torch.tensor([0, 1, 2, 3, 0]))
    inputs, objective = answers_and_labels(shared, targets, own, 2.0)
    assert len(inputs) == 40 + 4 * 5  # a third of the cases are labelled
    torch.testing.assert_close(inputs[45:50], own.inputs)
    index, logits = torch.tensor([3, 41, 7, 59]), torch.randn(4, 4, generator=draw)
    soft = sum(4 * soft_cross_entropy(logits[k : k + 1], targets[i : i + 1], 2.0) for k, i in ((0, 3), (2, 7)))
    hard = F.cross_entropy(logits[1:2], own.labels[1:2]) + F.cross_entropy(logits[3:4], own.labels[4:5])
    torch.testing.assert_close(objective(logits, index), (soft + hard) / 4)
    torch.testing.assert_close(objective(logits[:1], index[:1]), 4 * soft_cross_entropy(logits[:1], targets[3:4], 2.0))


def test_the_generated_problem_is_always_the_same_and_its_groups_are_near():
    one, again = generated(3000, 100, 10), generated(3000, 100, 10)
    assert torch.equal(one.train.inputs, again.train.inputs)
    assert one.classes == 100
    means = torch.stack([one.train.inputs[one.train.labels == c].mean(0) for c in range(100)])
    distance = torch.cdist(means, means)
    same = torch.arange(100)[:, None] // 5 == torch.arange(100) // 5
    within = distance[same & ~torch.eye(100, dtype=torch.bool)].mean()
    assert within < 0.8 * distance[~same].mean()


def test_what_cannot_be_asked_is_refused():
    bits = {
        "teacher_cases": 10, "held_out": 5, "sizes": [2, 4], "target_error_percent": 10, "temperatures": [1],
        "teacher": LEARNER, "student": LEARNER,
    }  # fmt: skip
    with pytest.raises(ValidationError, match="either features or generated"):
        HundredConfig.model_validate(bits)
    with pytest.raises(ValidationError, match="needs as many shared_inputs"):
        CommunitiesConfig.model_validate(
            COMMUNITY
            | {"partitions": [{"name": "random"}], "weight_intervals": [1]}
            | {"exchanges": [{"interval_steps": 1, "examples": 201}]}
        )
