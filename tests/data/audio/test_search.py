"""The search for recordings: the files it finds, and its reasons for leaving files out."""

from pathlib import Path

import pytest

from data import AudioError, find_audio_files, mark_output, search_audio
from data.audio.outputs import MARKER_FILE


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_audio_files(root)]


def touch(root: Path, *files: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_search_is_sorted_recursive_and_survives_loops(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    touch(root, "b.wav", "a/2.FLAC", "a/1.g722", "a/notes.txt", ".hidden/x.wav", "a/.y.wav")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "above").symlink_to(tmp_path)
    (root / "itself").symlink_to(root / "itself")
    assert names(root) == ["a/1.g722", "a/2.FLAC", "b.wav"]
    assert search_audio(root).left_out == {
        "a/above": "a link to a folder that holds this one",
        "itself": "a link to nothing",
    }


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "$Recycle.Bin", "#recycle", "@eaDir"])
def test_deleted_files_of_other_systems_are_left_out(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.wav", f"{name}/S-1-5/$R1.wav", f"speaker/{name}/b.wav")
    assert names(tmp_path) == ["a.wav"]
    reason = "a folder of the system, as for deleted files"
    assert search_audio(tmp_path).left_out == {name: reason, f"speaker/{name}": reason}


def test_search_of_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="nowhere: no such folder"):
        find_audio_files(tmp_path / "nowhere")


def test_a_linked_folder_is_searched_once_under_its_own_name(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    touch(tmp_path, "disk/ann/1.wav", "corpus/eve/1.wav")
    (root / "ann").symlink_to(tmp_path / "disk" / "ann")
    (root / "a link to eve").symlink_to(root / "eve")
    assert names(root) == ["ann/1.wav", "eve/1.wav"]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.ape", "b.txt", "c.wav")
    (tmp_path / "bob").symlink_to(tmp_path / "not mounted")
    assert search_audio(tmp_path).left_out == {
        "a.ape": ".ape files are not read",
        "bob": "a link to nothing",
    }


@pytest.mark.parametrize("suffix", [".mp2", ".wave", ".3gp", ".wv"])
def test_less_common_suffixes_are_audio(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a{suffix}")
    assert names(tmp_path) == [f"a{suffix}"]


def test_generated_audio_is_left_out_unless_its_folder_is_searched(tmp_path: Path) -> None:
    mark_output(tmp_path / "exp" / "evaluation")
    touch(tmp_path, "a.wav", "exp/evaluation/audio/a.wav")
    assert names(tmp_path) == ["a.wav"]
    assert list(search_audio(tmp_path).left_out) == ["exp/evaluation"]
    assert names(tmp_path / "exp" / "evaluation") == ["audio/a.wav"]
    (tmp_path / "exp" / "evaluation" / MARKER_FILE).unlink()
    assert names(tmp_path) == ["a.wav", "exp/evaluation/audio/a.wav"]


def test_a_folder_that_is_not_empty_is_not_marked(tmp_path: Path) -> None:
    touch(tmp_path, "speaker/recording.wav", "speaker/.hidden")
    mark_output(tmp_path / "speaker")
    assert names(tmp_path) == ["speaker/recording.wav"]
