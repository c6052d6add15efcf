"""Systems in one line each: what is known of them, and nothing made up."""

from pathlib import Path

from pipelines.report.glance import count_parameters, system_lines
from student import Student


def row(system: str, factor: float) -> dict[str, object]:
    return {"system": system, "real_time_factor": factor}


def test_quality_speed_and_size_are_of_one_system() -> None:
    means = {"distillmos": {"mean": 3.2}, "estoi": {"mean": 0.9}, "peak": {"mean": 1.0}}
    evaluation = {"systems": {"recording": {}, "griffin-lim": means, "student": means}}
    rows = [
        *(row("teacher, cached", 0.3), row("teacher, compiled", 15), row("student, 1 thread", 40)),
        *(row("student", 50), row("griffin-lim, 32 iterations", 2)),
    ]
    lines = system_lines(evaluation, {"rows": rows}, {"student": 7, "teacher": 5})
    assert list(lines) == ["griffin-lim", "student", "teacher"]
    assert lines["student"].means == {"distillmos": 3.2, "estoi": 0.9}
    assert (lines["student"].real_time, lines["student"].num_parameters) == (50, 7)
    assert (lines["griffin-lim"].real_time, lines["griffin-lim"].num_parameters) == (2, None)
    assert (lines["teacher"].means, lines["teacher"].real_time) == ({}, 15)
    assert system_lines(None, None, {}) == {}


def test_parameters_are_counted_where_there_are_weights(trained: Path, tmp_path: Path) -> None:
    model = Student.from_pretrained(trained / "student")
    assert count_parameters(trained / "student") == sum(p.numel() for p in model.parameters())
    (tmp_path / "config.json").write_bytes((trained / "student" / "config.json").read_bytes())
    assert count_parameters(tmp_path) is None
