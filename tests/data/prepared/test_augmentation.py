"""Random changes of training data."""

import numpy as np
import pytest
import torch

from data import MelConfig, dither, log_mel
from data.prepared.augmentation import with_gain


def test_dither_is_uniform_within_half_a_step() -> None:
    noise = dither(torch.zeros(1, 1, 100000, dtype=torch.float64), np.random.default_rng(0)) * 32768
    assert noise.abs().max() <= 0.5
    assert noise.std() == pytest.approx(12**-0.5, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_gain_gives_the_log_mel_of_the_louder_waveform(gain_db: float) -> None:
    mel = MelConfig()
    waveform = 0.1 * torch.randn(
        1, 1, 10 * mel.hop_length, generator=torch.Generator().manual_seed(0)
    )
    louder, frames = with_gain(waveform[0], log_mel(waveform, mel)[0], gain_db, mel)
    assert torch.allclose(louder, waveform[0] * 10 ** (gain_db / 20))
    assert torch.allclose(frames, log_mel(louder[None], mel)[0], atol=1e-4)


def test_gain_leaves_the_rows_below_the_bands_and_the_range_of_samples() -> None:
    mel = MelConfig()
    features = torch.arange(4.0).expand(mel.num_mels + 2, 4)
    louder, frames = with_gain(torch.tensor([[0.5, -0.25]]), features, 20.0, mel)
    assert louder.abs().max() == pytest.approx(1)
    assert torch.equal(frames[mel.num_mels :], features[mel.num_mels :])
