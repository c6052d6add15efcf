"""The benchmark in one picture: every kind of vocoder at its best."""

from typing import Any

import pytest

from pipelines.benchmark.headline import at_their_best, headline_picture, headline_table

ROWS: list[dict[str, Any]] = [
    {"system": "teacher, cached", "batch": 1, "real_time_factor": 0.4},
    {"system": "teacher, compiled, bfloat16", "batch": 1, "real_time_factor": 24.0},
    {"system": "teacher, compiled, batch 16", "batch": 16, "real_time_factor": 130.0},
    {"system": "student, 1 thread", "batch": 1, "real_time_factor": 30.0},
    {"system": "student", "real_time_factor": 49.0},  # of a file from before there were batches
    {"system": "griffin-lim, 32 iterations", "batch": 1, "real_time_factor": 2.0},
    {"system": "world, analysis and synthesis", "batch": 1, "real_time_factor": 9.0},
]


def test_the_fastest_of_each_kind_draws_one_utterance() -> None:
    best = at_their_best(ROWS)
    assert [row["system"] for row in best] == [
        "teacher, compiled, bfloat16",
        "student",
        "griffin-lim, 32 iterations",
    ]
    assert [row["real_time_factor"] for row in best] == [24.0, 49.0, 2.0]
    assert headline_table(best).splitlines()[2:] == [
        "| teacher | 24 | teacher, compiled, bfloat16 |",
        "| student | 49 | student |",
        "| Griffin-Lim | 2 | griffin-lim, 32 iterations |",
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_the_picture_has_a_bar_for_each(count: int) -> None:
    picture = headline_picture(at_their_best(ROWS)[:count], "a processor, 2 threads")
    assert picture.startswith(b"\x89PNG")
    height = int.from_bytes(picture[20:24], "big")
    assert height == pytest.approx(120 * (0.8 + 0.45 * count), abs=2)
