"""TensorBoard reads the event file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import summary

from pipelines.training.event_file import EventFile


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_tensorboard_reads_every_kind_of_summary(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "tensorboard", 0)
    events.add(summary.scalar("train/loss", 0.5), 3)
    events.add(summary.audio("sample", torch.zeros(1, 80), 8000), 4)
    events.add(summary.image("mel", torch.zeros(2, 5, 3, dtype=torch.uint8), dataformats="HWC"), 4)
    events.close()
    found = read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [(3, 0.5)]
    assert [(event.step, event.sample_rate) for event in found.Audio("sample")] == [(4, 8000)]
    assert [(event.width, event.height) for event in found.Images("mel")] == [(5, 2)]


def test_a_flushed_summary_is_read_before_the_file_is_closed(tmp_path: Path) -> None:
    events = EventFile(tmp_path, 0)
    events.add(summary.scalar("loss", 0.5), 1)
    events.flush()
    assert len(read(tmp_path).Scalars("loss")) == 1
    events.close()


def test_steps_that_are_run_again_are_read_once(tmp_path: Path) -> None:
    first = EventFile(tmp_path, 0)
    for step in (1, 2, 3):
        first.add(summary.scalar("loss", 1.0), step)
    first.close()
    again = EventFile(tmp_path, 2)
    for step in (2, 3):
        again.add(summary.scalar("loss", 2.0), step)
    again.close()
    found = [(event.step, event.value) for event in read(tmp_path).Scalars("loss")]
    assert found == [(1, 1.0), (2, 2.0), (3, 2.0)]


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").touch()
    with pytest.raises(FileExistsError):
        EventFile(tmp_path / "tensorboard", 0)
