"""Checkpoints: whole or refused, in one line, and never executed."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pipelines.training.checkpoints import (
    Checkpoint,
    CheckpointError,
    list_checkpoints,
    newest_checkpoint,
    prune_checkpoints,
    read_checkpoint,
    step_of,
    write_checkpoint,
)
from pipelines.training.state import differences

TENSORS = {"b": torch.arange(6.0).view(2, 3).T, "a": torch.tensor(2)}


CONTIGUOUS = {name: tensor.contiguous() for name, tensor in TENSORS.items()}


def write(folder: Path, step: int = 7) -> Path:
    return write_checkpoint(folder, Checkpoint(step, TENSORS, {"note": ["x", 1.5, None]}))


def renamed(folder: Path, content: bytes) -> Path:
    """Write a file with the digest of its content in its name, as a forger would."""
    path = folder / f"step_00000007-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    return path


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write(tmp_path))
    assert checkpoint.step == 7
    assert checkpoint.values == {"note": ["x", 1.5, None]}
    assert checkpoint.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(checkpoint.tensors[name], t) for name, t in TENSORS.items())


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    reordered = dict(reversed(TENSORS.items()))
    first = write(tmp_path / "a")
    second = write_checkpoint(tmp_path / "b", Checkpoint(7, reordered, {"note": ["x", 1.5, None]}))
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(path)


@pytest.mark.parametrize("size", [0, 1, 8, 100])
def test_a_truncated_file_is_noticed(tmp_path: Path, size: int) -> None:
    path = write(tmp_path)
    os.truncate(path, size)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Bomb()),
        b"",
        (2**63).to_bytes(8, "little") + b"{}",
        (10**8).to_bytes(8, "little") + b"{}",
        save(CONTIGUOUS),
        save(CONTIGUOUS, {"values": "[" * 100_000}),
        save(CONTIGUOUS, {"values": "[]"}),
        save(CONTIGUOUS, {"values": json.dumps({"format": 2, "step": 7})}),
        save(CONTIGUOUS, {"values": json.dumps({"format": 1, "step": 8})}),
    ],
    ids=["pickle", "empty", "huge", "long", "bare", "deep", "list", "format", "step"],
)
def test_a_forged_checkpoint_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"step_00000007-.* (read|format is)") as caught:
        read_checkpoint(renamed(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_the_newest_undamaged_checkpoint_is_found_and_damage_reported(tmp_path: Path) -> None:
    said: list[str] = []
    assert newest_checkpoint(tmp_path, said.append) is None
    paths = [write(tmp_path, step) for step in (5, 20, 100_000_000)]
    assert [step_of(path) for path in list_checkpoints(tmp_path)] == [100_000_000, 20, 5]
    assert newest_checkpoint(tmp_path, said.append) == paths[2]
    assert said == []
    os.truncate(paths[2], 10)
    assert newest_checkpoint(tmp_path, said.append) == paths[1]
    assert len(said) == 1
    assert paths[2].name in said[0]
    for path in paths[:2]:
        os.truncate(path, 10)
    with pytest.raises(CheckpointError, match="every other checkpoint"):
        newest_checkpoint(tmp_path, said.append)


@pytest.mark.parametrize(
    ("best", "kept"), [(None, [5, 4]), (5, [5, 4]), (2, [5, 4, 2]), (9, [5, 4])]
)
def test_pruning_keeps_the_last_and_the_best(
    tmp_path: Path, best: int | None, kept: list[int]
) -> None:
    for step in range(1, 6):
        write(tmp_path, step)
    prune_checkpoints(tmp_path, 2, best)
    assert [step_of(path) for path in list_checkpoints(tmp_path)] == kept


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = write(tmp_path, 1)

    def no_space(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{fails}", no_space)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, 2)
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": [1, 2]}, {"a": (1, 2)}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, ["a.b 1 -> 2", "a.c None -> 3"]),
        (None, {"a": 1}, [" None -> {'a': 1}"]),
    ],
)
def test_differences_are_named(old: object, new: object, expected: list[str]) -> None:
    assert list(differences(old, new)) == expected


def test_reading_takes_no_more_than_the_file(tmp_path: Path) -> None:
    # A header may claim any size.
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    content = len(header).to_bytes(8, "little") + header.encode()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(renamed(tmp_path, content))
