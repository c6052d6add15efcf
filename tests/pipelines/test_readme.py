"""The README's examples in Python do what they say."""

import re
from pathlib import Path

import pytest
import soundfile
import torch

from tests.speech import speech

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_example_draws_speech_at_the_recordings_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = EXAMPLES
    recording = speech()
    soundfile.write(tmp_path / "speech.wav", recording[0, 0].numpy(), 16000)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, torch.Tensor] = {}
    exec(example, names)
    waveform = names["waveform"]
    assert waveform.shape == (1, 1, recording.shape[-1] // 256 * 256)
    assert float(waveform.abs().max()) < 1
    assert float(waveform.std() / recording.std()) == pytest.approx(1, abs=0.25)
