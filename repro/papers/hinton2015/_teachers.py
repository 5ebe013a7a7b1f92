"""How many large nets the students of section 3 learn from."""

from repro.contrasts import one_per_teacher
from repro.results import Results, load


def teachers(results: Results) -> int:
    """Teachers on record in ``mnist_students``, from whose soft targets this paper's students learn.

    Raises:
        LookupError: none are.
    """
    students = load(results.folder.parent / "mnist_students")
    count = len(students.values("teacher", "test_errors")) if students else 0
    if not count:
        raise LookupError(f"{results.folder.parent}: students are on record and mnist_students' teachers are not")
    return count


def test_errors(results: Results, arm: str) -> dict[int, float]:
    """By teacher, the mean of its students; by seed of nets that have none."""
    errors = results.values(arm, "test_errors")
    taught = any(row.get("settings.temperature") is not None for row in results.rows if row["arm"] == arm)
    return one_per_teacher(errors, teachers(results)) if taught else errors
