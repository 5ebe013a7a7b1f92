"""The experiments on the learning curves: what they ask, and what they answer."""

from repro.compare import judge
from repro.papers.werfel2005 import best_steps, learning_curves
from repro.published import load

PUBLISHED = load()


def verdicts(answers):
    return {answer.id: judge(answer, PUBLISHED).verdict for answer in answers}


def test_only_perturbing_rules_have_a_finite_perturbation_and_small_steps_are_alike():
    arms = {arm.name: arm.settings for arm in learning_curves.arms(learning_curves.Config(replicates=10))}
    assert len(arms) == 8
    assert "gradient.best.finite" not in arms
    assert {name for name, s in arms.items() if s["noise_sd"]} == {"node.best.finite", "weight.best.finite"}
    assert len({(s["step"], s["steps"]) for name, s in arms.items() if ".small" in name}) == 1
    assert arms["weight.best.limit"]["step"] == 1 / 624


def test_learning_curves_follow_the_maps(record):
    results = record(
        "werfel2005.learning_curves", "seeds: 2, outputs: 2, inputs: 3, replicates: 3000, points: 4, time_constants: 2"
    )
    drawn = learning_curves.figure(results)
    assert len(drawn.data) == 5 * 4 + 3 * 5
    assert all(abs(row["mean"] / row["exact"] - 1) < 0.15 for row in drawn.data)
    answers = learning_curves.claims(results)
    assert all(value < 0.15 for answer in answers for value in answer.differences)
    found = verdicts(answers)
    assert set(found) == {
        "PS216.limit", "PS218.limit", "PS218.finite", "PS220.limit", "PS220.finite", "PS215.node", "PS215.weight",
    }  # fmt: skip
    assert "fails" not in found.values()


def test_best_steps_and_slowdowns(record):
    results = record(
        "werfel2005.best_steps", "seeds: 2, outputs: 2, inputs: 3, draws: 30000, sides: [2, 3], replicates: 1500"
    )
    assert {row["panel"] for row in best_steps.figure(results).data} == {"one step", "size"}
    found = {answer.id: answer for answer in best_steps.claims(results)}
    assert set(found) == {"PS217", "PS219", "PS221", "PS212", "PS213", "PS214.grows", "PS214.falls"}
    assert all(
        value < 0.1 for name in ("PS217", "PS219", "PS221", "PS212", "PS213") for value in found[name].differences
    )
    assert min(found["PS214.grows"].differences) > 0 > max(found["PS214.falls"].differences)
