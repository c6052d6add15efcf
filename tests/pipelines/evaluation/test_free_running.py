"""A teacher's own samples, for a recording that is digital silence."""

import torch

from data import MelConfig
from pipelines.evaluation.free_running import free_running
from pipelines.heldout import Utterance
from tests.models import HOP, make_mel, make_teacher


def test_digital_silence_has_no_level_to_compare() -> None:
    teacher = make_teacher().eval()
    mel = MelConfig(hop_length=HOP, num_mels=teacher.config.num_mels)
    frames = make_mel(1, 8)
    noise = 0.1 * torch.randn(1, 1, 8 * HOP, generator=torch.Generator().manual_seed(0))
    silent = Utterance("silent", torch.zeros_like(noise), frames)
    found = free_running(teacher, [silent], mel, seed=0)
    assert "peak" in found.values
    assert "level_ratio" not in found.values
    both = free_running(teacher, [Utterance("loud", noise, frames), silent], mel, seed=0)
    alone = free_running(teacher, [Utterance("loud", noise, frames)], mel, seed=0)
    assert both.values["level_ratio"] == alone.values["level_ratio"]
    peaks = [float(sample.abs().max()) for sample in both.audio]
    assert both.values["peak"] == max(peaks) != min(peaks)
