"""Random changes of training data."""

import numpy as np
import pytest
import torch

from data import MelConfig, dither, log_mel
from data.prepared.augmentation import tone_segment, tones, with_gain


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


def test_a_segment_of_tones_has_their_log_mel_and_keeps_the_other_rows() -> None:
    mel, margin = MelConfig(), 3
    rows = torch.full((mel.num_mels + 3, 20 + 2 * margin), 7.0)  # pitch, voicing, a speaker
    waveform, features = tone_segment(rows, mel.num_mels + 2, margin, mel, np.random.default_rng(1))
    assert waveform.shape == (1, 20 * mel.hop_length)
    assert features[mel.num_mels :, 0].tolist() == [7, 0, 7]
    # Away from the segment's ends, where the margins' samples are missing here.
    inner = log_mel(waveform[None], mel)[0, :, 4:-4]
    assert torch.allclose(inner, features[: mel.num_mels, margin + 4 : -margin - 4], atol=1e-4)


def test_tones_are_narrow_and_differ() -> None:
    rate = 16000
    for seed in range(20):
        samples = tones(4 * rate, rate, np.random.default_rng(seed))
        assert np.abs(samples).max() <= 0.5
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        # A quarter of a semitone around each of some 20 notes: nearly all of the power in few bins.
        strongest = np.sort(power)[::-1]
        assert strongest[: len(power) // 20].sum() > 0.9 * power.sum()
    first, second = (tones(rate, rate, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(first, second)
