"""What counts as heard, with a stand-in for the network; tests/extras.sh has the real one."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.evaluation.recogniser import REPETITIVE, SURE, Recogniser

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
