"""An output that is an input is found under any name."""

from pathlib import Path

import pytest

from storage.overwriting import OverwriteError, refuse_overwriting


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "a.wav"
    path.parent.mkdir()
    path.touch()
    (tmp_path / "other folder").symlink_to(path.parent)
    (tmp_path / "link.wav").symlink_to(path)
    (tmp_path / "hard link.wav").hardlink_to(path)
    return path


@pytest.mark.parametrize(
    "output", ["folder/a.wav", "folder/../folder/a.wav", "other folder/a.wav", "link.wav"]
)
def test_the_input_by_any_name_is_refused(recording: Path, tmp_path: Path, output: str) -> None:
    with pytest.raises(OverwriteError, match=r"would be written over"):
        refuse_overwriting([recording], [tmp_path / "new.wav", tmp_path / output])


def test_a_linked_input_is_refused_under_its_targets_name(recording: Path, tmp_path: Path) -> None:
    for link in ("link.wav", "hard link.wav"):
        with pytest.raises(OverwriteError, match=rf"a\.wav: is the input .*{link}"):
            refuse_overwriting([tmp_path / link], [recording])


def test_other_files_may_be_replaced(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "old.wav").touch()
    outputs = [tmp_path / "old.wav", tmp_path / "new.wav", tmp_path / "no folder" / "a.wav"]
    refuse_overwriting([recording, tmp_path / "missing.wav"], outputs)
