"""How many large nets the students of section 3 learn from."""

from repro.contrasts import one_per_teacher
from repro.errors import UserError
from repro.results import Results, load


def teachers(results: Results) -> int:
    """Teachers of ``mnist_students``, from whose soft targets this paper's students learn.

    Raises:
        UserError: ``mnist_students`` is not on record.
    """
    students = load(results.folder.parent / "mnist_students")
    if students is None:
        raise UserError(
            f"{results.folder}: whose students these are stands in mnist_students, which is not on record; first "
            "python -m repro run hinton2015.mnist_students"
        )
    return int(students.config["teacher_seeds"])


def test_errors(results: Results, arm: str) -> dict[int, float]:
    """By teacher, the mean of its students; by seed of nets that have none."""
    errors = results.values(arm, "test_errors")
    taught = any(row.get("settings.temperature") is not None for row in results.rows if row["arm"] == arm)
    return one_per_teacher(errors, teachers(results)) if taught else errors
