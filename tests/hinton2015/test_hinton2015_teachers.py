"""Whose students they are: teachers count as the study plans them, however many have run."""

import json
import shutil
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.papers.hinton2015._teachers import teachers
from repro.papers.hinton2015._teachers import test_errors as errors_by_teacher
from repro.results import Results, load

RECORD = Path(__file__).parents[2] / "results" / "paper" / "hinton2015"


def test_students_without_their_teachers_study_are_one_clear_line(tmp_path):
    students = Results(tmp_path / "mnist_temperature", {}, [{"arm": "t1", "seed": 0, "settings.temperature": 1.0}])
    with pytest.raises(UserError, match=r"first python -m repro run hinton2015\.mnist_students"):
        teachers(students)


def test_teachers_that_have_not_run_yet_count(tmp_path):
    shutil.copytree(RECORD / "mnist_students", tmp_path / "mnist_students")
    runs = tmp_path / "mnist_students" / "runs.csv"
    lines = runs.read_text().splitlines(keepends=True)
    runs.write_text("".join(line for line in lines if ",teacher,cpu,2," not in line))
    found = load(tmp_path / "mnist_students")
    assert found is not None
    assert len(found.values("teacher", "test_errors")) == 2
    planned = json.loads((RECORD / "mnist_students" / "meta.json").read_text())["config"]["teacher_seeds"]
    assert teachers(found) == planned
    assert planned == 3
    errors = found.values("soft", "test_errors")
    assert errors_by_teacher(found, "soft")[0] == (errors[0] + errors[3]) / 2
    assert errors_by_teacher(found, "hard") == found.values("hard", "test_errors")
