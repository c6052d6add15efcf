"""The models of an evaluation: their names and their common mel convention."""

from pathlib import Path

import pytest

from pipelines.evaluation.evaluated_models import load_models, student_names
from student import Student


def test_students_get_distinct_names() -> None:
    assert student_names([Path("e/a/student")]) == ["student"]
    assert student_names([Path("e/kl"), Path("e/full")]) == ["kl", "full"]
    assert student_names([Path("e/teacher")]) == ["teacher e"]
    assert student_names([Path("e/student"), Path("e/student")]) == ["student 1", "student 2"]
    assert student_names([Path("..")]) == [Path.cwd().parent.name]


def test_models_share_a_mel_convention(trained: Path, tmp_path: Path) -> None:
    model = Student.from_pretrained(trained / "student")
    other = model.metadata["mel"] | {"fmin_hz": 50.0}
    model.save_pretrained(tmp_path, model.metadata | {"mel": other})
    with pytest.raises(ValueError, match=r"fmin_hz is 50\.0"):
        load_models(trained / "teacher", [tmp_path], "cpu")
