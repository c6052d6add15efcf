"""Corpora fetched by name, with scripts in place of apt-get and dpkg-deb."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from data import CORPORA, CorpusError, fetch, speech_files, synthesise
from data.corpora.debian import DebianPackage
from data.corpora.fetch import search_speech

PACKAGE = CORPORA["allison"].package
assert PACKAGE is not None


class FakeDebian:
    """A folder of tools on PATH, and a package with two recordings."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tools = folder / "tools"
        self.tools.mkdir()
        self.calls = folder / "calls"
        self.calls.touch()
        self.package = folder / f"{PACKAGE.name}_1.6.1-1_all.deb"
        tree = folder / "tree"
        synthesise(tree / PACKAGE.content_folder, num_utterances=2, seconds=0.1)
        (tree / "usr/share/doc" / PACKAGE.name).mkdir(parents=True)
        (tree / "usr/share/doc" / PACKAGE.name / "copyright").write_text("CC-BY-SA-3.0\n")
        # A tar archive and a script replace the package and dpkg-deb, which other systems lack.
        subprocess.run(["tar", "-cf", self.package, "-C", tree, "."], check=True)
        self.add_tool("dpkg-deb", '[ "$1" = -x ] && mkdir -p "$3" && tar -xf "$2" -C "$3"')
        self.add_tool("apt-get", f'[ "$2" = download ] && cp {self.package} .')
        self.pin(hashlib.sha256(self.package.read_bytes()).hexdigest(), monkeypatch)
        for tool in ("sh", "tar", "mkdir", "cp", "grep"):
            path = shutil.which(tool)
            assert path
            (self.tools / tool).symlink_to(path)
        monkeypatch.setenv("PATH", str(self.tools))

    def add_tool(self, name: str, script: str) -> None:
        path = self.tools / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.calls}\n{script}\n')
        path.chmod(0o755)

    def pin(self, sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
        package = replace(PACKAGE, sha256=sha256)
        monkeypatch.setitem(CORPORA, "allison", replace(CORPORA["allison"], package=package))


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDebian:
    (tmp_path / "debian").mkdir()
    return FakeDebian(tmp_path / "debian", monkeypatch)


def test_package_is_fetched_with_its_licence(tmp_path: Path, debian: FakeDebian) -> None:
    folder = fetch("allison", tmp_path / "corpora")
    assert folder == tmp_path / "corpora/allison/audio"
    assert [path.name for path in speech_files("allison", folder)] == [
        "clip_000.wav",
        "clip_001.wav",
    ]
    assert (folder.parent / "copyright").read_text() == "CC-BY-SA-3.0\n"
    assert json.loads((folder.parent / "corpus.json").read_text())["speaker"] == "Allison Smith"


def test_nothing_else_is_left_behind(tmp_path: Path, debian: FakeDebian) -> None:
    fetch("allison", tmp_path / "corpora")
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == ["allison"]


def test_relative_root_works(
    tmp_path: Path, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(speech_files("allison", fetch("allison", Path("corpora")))) == 2


def test_second_fetch_does_nothing(tmp_path: Path, debian: FakeDebian) -> None:
    first = fetch("allison", tmp_path / "corpora")
    debian.calls.write_text("")
    assert fetch("allison", tmp_path / "corpora") == first
    assert debian.calls.read_text() == ""


def test_another_checksum_is_refused_naming_both(
    tmp_path: Path, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = hashlib.sha256(debian.package.read_bytes()).hexdigest()
    debian.pin("0" * 64, monkeypatch)
    with pytest.raises(CorpusError, match=f"has sha256 {found}, expected {'0' * 64}"):
        fetch("allison", tmp_path / "corpora")
    assert list((tmp_path / "corpora").iterdir()) == []


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-deb"])
def test_missing_tool_is_named(tmp_path: Path, debian: FakeDebian, tool: str) -> None:
    (debian.tools / tool).unlink()
    with pytest.raises(CorpusError, match=f"needs {tool}"):
        fetch("allison", tmp_path / "corpora")


def test_failure_quotes_the_tools_error(tmp_path: Path, debian: FakeDebian) -> None:
    debian.add_tool("apt-get", 'echo "E: No space left"; echo "W: unsandboxed" >&2; exit 100')
    with pytest.raises(CorpusError, match=r"apt-get -q download failed: E: No space left$"):
        fetch("allison", tmp_path / "corpora")


def test_damaged_package_is_reported(tmp_path: Path, debian: FakeDebian) -> None:
    debian.add_tool("dpkg-deb", 'echo "dpkg-deb: error: not an archive" >&2; exit 2')
    with pytest.raises(CorpusError, match="not an archive"):
        fetch("allison", tmp_path / "corpora")
    assert list((tmp_path / "corpora").iterdir()) == []


def test_package_without_the_audio_is_reported(
    tmp_path: Path, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = CORPORA["allison"].package
    assert isinstance(pinned, DebianPackage)
    moved = replace(pinned, content_folder="usr/share/elsewhere")
    monkeypatch.setitem(CORPORA, "allison", replace(CORPORA["allison"], package=moved))
    with pytest.raises(CorpusError, match="the package holds no usr/share/elsewhere"):
        fetch("allison", tmp_path / "corpora")


UPDATED_FIRST = """
if [ "$2" = update ]; then exit 0; fi
if grep -q update {calls}; then cp {package} .; exit 0; fi
echo "E: Unable to locate package"; exit 100
"""


def test_root_updates_lists_that_lack_the_package(
    tmp_path: Path, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian.add_tool("apt-get", UPDATED_FIRST.format(calls=debian.calls, package=debian.package))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert fetch("allison", tmp_path / "corpora").is_dir()


def test_users_other_than_root_are_told_to_update(
    tmp_path: Path, debian: FakeDebian, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian.add_tool("apt-get", UPDATED_FIRST.format(calls=debian.calls, package=debian.package))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CorpusError, match="try `sudo apt-get update` first"):
        fetch("allison", tmp_path / "corpora")
    assert "update" not in debian.calls.read_text()


def test_foreign_folder_in_the_way_is_left_alone(tmp_path: Path, debian: FakeDebian) -> None:
    (tmp_path / "allison").mkdir()
    (tmp_path / "allison/mine.txt").write_text("mine")
    with pytest.raises(CorpusError, match="in the way"):
        fetch("allison", tmp_path)
    assert (tmp_path / "allison/mine.txt").read_text() == "mine"


def test_folder_is_returned_as_it_is(tmp_path: Path) -> None:
    assert fetch(str(tmp_path), tmp_path / "corpora") == tmp_path


def test_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"neither a folder nor one of allison, .*mean ljspeech"):
        fetch("ljspech", tmp_path)


def test_ljspeech_says_where_to_put_it(tmp_path: Path) -> None:
    where = re.escape(str(tmp_path / "ljspeech/LJSpeech-1.1/wavs"))
    with pytest.raises(CorpusError, match=f"{where}.*--corpus DIR"):
        fetch("ljspeech", tmp_path)


def test_ljspeech_is_found_where_it_was_put(tmp_path: Path) -> None:
    (tmp_path / "ljspeech/LJSpeech-1.1/wavs").mkdir(parents=True)
    assert fetch("ljspeech", tmp_path) == tmp_path / "ljspeech/LJSpeech-1.1/wavs"


def test_synthetic_is_made_on_the_spot(tmp_path: Path) -> None:
    assert len(speech_files("synthetic", fetch("synthetic", tmp_path))) == 12


def test_only_speech_is_listed(tmp_path: Path) -> None:
    names = ("hello", "digits/1", "beep", "beeperr", "silence/1", "tt-monkeys", "tt-monkeysintro")
    for name in names:
        (tmp_path / f"{name}.g722").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.g722").touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in speech_files("allison", tmp_path)]
    assert listed == ["digits/1.g722", "hello.g722", "tt-monkeysintro.g722"]
    assert len(speech_files(str(tmp_path), tmp_path)) == len(names)


def test_joined_corpora_have_the_corpus_in_every_name(tmp_path: Path, debian: FakeDebian) -> None:
    root = tmp_path / "corpora"
    assert fetch("synthetic+allison", root) == root
    names = [path.relative_to(root).as_posix() for path in speech_files("synthetic+allison", root)]
    assert names[0].startswith("allison/audio/")
    assert names[-1].startswith("synthetic/audio/")
    assert len(names) == 2 + 12
    (root / "allison" / "audio" / "old.ape").touch()
    left_out = search_speech("synthetic+allison", root).left_out
    assert left_out == {"allison/audio/old.ape": ".ape files are not read"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("synthetic+alison", "did you mean allison"), ("fr+fr", "names fr twice")],
)
def test_wrong_names_among_several_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        fetch(text, tmp_path)
