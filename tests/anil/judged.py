"""Answers of an experiment, judged as on another data set than the paper's."""

from repro.compare import judge
from repro.published import load


def judged(answers):
    published = load()
    return {answer.id: judge(answer, published, same_data=False) for answer in answers}
