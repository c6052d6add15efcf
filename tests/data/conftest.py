"""Audio and prepared features made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import Manifest, PrepareConfig, prepare, synthesise


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
