"""The log-mel convention."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np
import pytest
import torch

from data import FeatureMismatch, MelConfig, log_mel
from dsp.mel import silent_frame

HIFI_GAN = MelConfig(sample_rate=22050)


def noise(num_samples: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(2, 1, num_samples, generator=generator, dtype=dtype)


def hifi_gan_mel(waveform: np.ndarray) -> np.ndarray:
    """Compute HiFi-GAN's mel of (T,) frame by frame without torch."""
    padded = np.pad(waveform, 384, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    num_frames = 1 + (len(padded) - 1024) // 256
    frames = np.stack([padded[256 * i : 256 * i + 1024] * window for i in range(num_frames)])
    spectrum = np.fft.rfft(frames)
    magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    basis = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000, dtype=np.float64
    )
    return np.log(np.clip(basis @ magnitude.T, 1e-5, None))


def test_equals_hifi_gan_at_22050_hz() -> None:
    waveform = noise(22050)
    expected = np.stack([hifi_gan_mel(row) for row in waveform[:, 0].numpy()])
    np.testing.assert_allclose(log_mel(waveform, HIFI_GAN).numpy(), expected, rtol=0, atol=1e-10)


def test_tacotron_2_centres_its_frames_half_a_hop_earlier() -> None:
    waveform = noise(22050)
    later = waveform[..., 128:]
    spectrum = torch.stft(
        later[:, 0],
        1024,
        256,
        window=torch.hann_window(1024, dtype=later.dtype),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    basis = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000, dtype=np.float64
    )
    tacotron = (torch.from_numpy(basis) @ spectrum.abs()).clamp(min=1e-5).log()
    assert tacotron.shape[-1] == later.shape[-1] // 256 + 1
    inner = slice(4, 80)
    ours = log_mel(waveform, HIFI_GAN)[..., inner]
    torch.testing.assert_close(ours, tacotron[..., inner], rtol=0, atol=1e-6)
    assert (ours - log_mel(later, HIFI_GAN)[..., inner]).abs().mean() > 0.1


def test_float32_agrees_with_float64() -> None:
    waveform = noise(8000)
    single = log_mel(waveform.float(), HIFI_GAN)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), log_mel(waveform, HIFI_GAN), rtol=0, atol=1e-4)


@pytest.mark.parametrize("num_samples", [256, 300, 384, 385, 511, 512, 1000, 16000, 16127])
def test_frame_count_is_samples_over_hop(num_samples: int) -> None:
    assert log_mel(noise(num_samples), MelConfig()).shape == (2, 80, num_samples // 256)


@pytest.mark.parametrize(("n_fft", "hop"), [(512, 128), (1024, 200), (640, 160), (256, 256)])
def test_frame_covers_its_own_samples(n_fft: int, hop: int) -> None:
    config = MelConfig(n_fft=n_fft, win_length=n_fft, hop_length=hop, num_mels=10)
    waveform = torch.zeros(1, 1, 20 * hop, dtype=torch.float64)
    waveform[..., 7 * hop + hop // 2] = 1.0
    assert log_mel(waveform, config)[0].sum(0).argmax() == 7


def test_log_base_ten_is_the_same_in_other_units() -> None:
    waveform = noise(4000)
    decimal = log_mel(waveform, MelConfig(log_base="10"))
    torch.testing.assert_close(decimal * np.log(10), log_mel(waveform, MelConfig()))


def test_power_two_doubles_the_level_of_a_tone() -> None:
    tone = torch.sin(torch.arange(8000, dtype=torch.float64) * 0.4)[None, None]
    single, double = (
        log_mel(tone * scale, MelConfig(power=2.0))[0, :, 10].max() for scale in (1.0, 10.0)
    )
    assert double - single == pytest.approx(2 * np.log(10), abs=1e-6)


@pytest.mark.parametrize("log_base", ["e", "10"])
def test_digital_silence_is_the_floor(log_base: str) -> None:
    config = MelConfig(log_base=log_base)  # type: ignore[arg-type]
    silence = log_mel(torch.zeros(1, 1, 1024), config)
    torch.testing.assert_close(silence, torch.full_like(silence, config.lowest))


@pytest.mark.parametrize(
    "options", [{}, {"filterbank_norm": "none"}, {"log_floor": 1e-10}, {"power": 2.0}], ids=str
)
def test_the_silent_frame_is_that_of_zeros_under_every_convention(options: dict) -> None:
    config = MelConfig(**options)
    silence = log_mel(torch.zeros(1, 1, 1024), config)
    expected = silent_frame(config)[:, None].expand(-1, 4)
    torch.testing.assert_close(silence[0], expected)
    is_floor = bool((silence == config.lowest).all())
    assert is_floor == (options in ({}, {"power": 2.0}))


def test_gradient_is_finite_on_digital_silence() -> None:
    waveform = torch.zeros(1, 1, 2048, requires_grad=True)
    log_mel(waveform, MelConfig(log_floor=1e-12)).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()


def test_gradient_flows_after_a_first_use_under_inference_mode() -> None:
    config = MelConfig(num_mels=23)  # used by no other test, so not cached yet
    with torch.inference_mode():
        log_mel(noise(2048), config)
    waveform = noise(2048).requires_grad_()
    log_mel(waveform, config).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.abs().max() > 0


def test_mixed_precision_changes_nothing() -> None:
    waveform = noise(4096, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = log_mel(waveform, MelConfig())
    torch.testing.assert_close(mixed, log_mel(waveform, MelConfig()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (torch.zeros(1, 1, 1000, dtype=torch.int16), "int16, expected float"),
        (torch.zeros(1, 1, 1000, dtype=torch.float16), "float16, expected float32"),
        (torch.zeros(1, 1000), r"\(1, 1000\), expected \(B, 1, T\)"),
        (torch.zeros(1, 2, 1000), r"\(1, 2, 1000\), expected \(B, 1, T\)"),
        (torch.zeros(1, 1, 255), "255 samples, expected >= 256"),
    ],
)
def test_wrong_waveform_is_refused(waveform: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_mel(waveform, MelConfig())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate", 0),
        ("sample_rate", 16000.5),
        ("n_fft", -1),
        ("hop_length", 255),
        ("hop_length", 2048),
        ("win_length", 1025),
        ("num_mels", True),
        ("fmin_hz", 8000.0),
        ("fmin_hz", -1.0),
        ("fmax_hz", 8000.1),
        ("fmax_hz", float("nan")),
        ("fmax_hz", "8k"),
        ("log_base", "2"),
        ("log_floor", 0.0),
        ("filterbank_norm", "htk"),
        ("power", float("inf")),
    ],
)
def test_impossible_setting_names_field_and_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^MelConfig.{field} is {value!r}, expected "):
        dataclasses.replace(MelConfig(), **{field: value})  # type: ignore[arg-type]


def test_mismatch_names_field_and_both_values() -> None:
    with pytest.raises(FeatureMismatch, match="teacher: log-mel hop_length is 200, expected 256"):
        MelConfig().check_same(MelConfig(hop_length=200), "teacher")


def test_equal_conventions_match() -> None:
    MelConfig().check_same(MelConfig(), "teacher")
    assert MelConfig().frames_per_second == 62.5
