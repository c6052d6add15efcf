"""Audio and prepared features made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import Manifest, PrepareConfig, synthesise
from data.prepared.prepare import prepare

CONFIG = PrepareConfig(corpus="mine")


def run(corpus: Path, config: PrepareConfig = CONFIG) -> Manifest:
    """Prepare a corpus into a folder beside it."""
    return prepare(corpus, corpus.parent / "dump", config, progress=False)


def add_bad_files(corpus: Path) -> dict[str, str]:
    """Add bad files to a corpus; return the expected reason for each."""
    tone = 0.5 * np.sin(np.arange(16000) * 0.2)
    (corpus / "bad").mkdir()
    (corpus / "bad/empty.g722").touch()
    (corpus / "bad/text file.wav").write_text("not audio")
    soundfile.write(corpus / "bad/silent.wav", np.zeros(16000), 16000)
    soundfile.write(corpus / "bad/short.wav", tone[:1600], 16000)
    soundfile.write(corpus / "bad/ночь.wav", tone * np.nan, 16000, subtype="FLOAT")
    soundfile.write(corpus / "clip_000.ogg", tone, 16000)
    (corpus / "bad/gone.wav").symlink_to(corpus / "nowhere.wav")
    return {
        "bad/empty.g722": "empty file",
        "bad/text file.wav": "unreadable audio",
        "bad/silent.wav": "silent",
        "bad/short.wav": "too short",
        "bad/ночь.wav": "NaN",
        "bad/gone.wav": "no such file",
        "clip_000.wav": "same name as clip_000.ogg",
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of five short recordings, of which one lies in a subfolder."""
    folder = tmp_path / "corpus"
    synthesise(folder, num_utterances=4, seconds=0.5)
    synthesise(folder / "digits", num_utterances=1, seconds=0.6, seed=1)
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The features of twelve recordings of 0.5 s; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    synthesise(folder / "corpus", seconds=0.5)
    return prepare(folder / "corpus", folder / "dump", PrepareConfig(corpus="."), progress=False)
