"""Conversions between mel conventions, each against its own formula, written out here."""

import math

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import torch

from data import CONVENTIONS, MelConfig, MelConventionName, lead_samples, log_mel, to_model
from dsp.mel_conventions import to_bands

N, HOP, RATE = 1024, 256, 22050
MEL = MelConfig(sample_rate=RATE)
Array = npt.NDArray[np.float64]


def recording(num_samples: int = 24 * HOP + 100) -> Array:
    rng = np.random.default_rng(0)
    time = np.arange(num_samples)
    loudness = 0.02 + 0.2 * np.sin(time * 4e-4) ** 2
    return np.asarray(loudness * (rng.standard_normal(num_samples) + np.sin(0.05 * time)))


def magnitudes(waveform: Array, padding: int) -> Array:
    """Spectral magnitudes after Fourier, shape (N // 2 + 1, L)."""
    padded = np.pad(waveform, padding, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
    starts = range(0, len(padded) - N + 1, HOP)
    return np.abs(np.stack([np.fft.rfft(window * padded[s : s + N]) for s in starts], 1))


def filters() -> Array:
    return np.asarray(librosa.filters.mel(sr=RATE, n_fft=N, n_mels=80, fmin=0.0, fmax=8000.0))


def hifigan(waveform: Array) -> Array:
    spectrum = np.sqrt(magnitudes(waveform, (N - HOP) // 2) ** 2 + 1e-9)
    return np.log(np.clip(filters() @ spectrum, 1e-5, None))


def tacotron2(waveform: Array) -> Array:
    return np.log(np.clip(filters() @ magnitudes(waveform, N // 2), 1e-5, None))


def log10(waveform: Array) -> Array:
    return np.log10(np.maximum(1e-10, filters() @ magnitudes(waveform, (N - HOP) // 2)))


def db(waveform: Array) -> Array:
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=N, hop_length=HOP, n_mels=80, fmax=8000.0, power=1.0
    )
    return np.asarray(librosa.amplitude_to_db(mel, ref=1.0, top_db=None))


def db_power(waveform: Array) -> Array:
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=N, hop_length=HOP, n_mels=80, fmax=8000.0
    )
    return np.asarray(librosa.power_to_db(mel, ref=1.0, top_db=None))


def espnet(waveform: Array) -> Array:
    spectrum = np.sqrt(np.maximum(magnitudes(waveform, N // 2) ** 2, 1e-10))
    return np.log10(np.maximum(filters() @ spectrum, 1e-10))


FORMULAS = {
    "hifigan": hifigan,
    "tacotron2": tacotron2,
    "log10": log10,
    "db": db,
    "db_power": db_power,
    "espnet": espnet,
}
MODELS = {
    "natural": MEL,
    "common": MelConfig(sample_rate=RATE, log_base="10"),
    "equal peaks": MelConfig(sample_rate=RATE, filterbank_norm="none"),
    "power": MelConfig(sample_rate=RATE, power=2.0, log_floor=1e-10),
}


def test_every_convention_has_a_formula() -> None:
    assert FORMULAS.keys() == CONVENTIONS.keys()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", FORMULAS)
def test_a_convention_becomes_the_models_log_mel(name: MelConventionName, model: str) -> None:
    config, waveform = MODELS[model], recording()
    found = to_model(FORMULAS[name](waveform), name, config)
    # A waveform that begins so much earlier has the model's frames at the convention's times.
    lead = lead_samples(name, config)
    on_time = torch.from_numpy(np.pad(waveform, (lead, lead)))[None, None]
    expected = log_mel(on_time, config)[0].numpy()
    assert found.dtype == np.float32
    assert found.shape == (80, 24 + (lead > 0)) == expected.shape
    # What lies beyond the ends, reflected or silent, is seen by the outermost frames.
    difference = (found - expected)[:, 3:-3]
    if CONVENTIONS[name].power == config.power:
        assert np.abs(difference).max() < 1e-4
    else:
        nats = difference * config.harmonic_scale
        assert np.abs(nats).mean() < 0.15
        assert abs(nats.mean()) < 0.05


@pytest.mark.parametrize("name", FORMULAS)
def test_silence_is_the_models_floor(name: MelConventionName) -> None:
    found = to_model(FORMULAS[name](np.zeros(12 * HOP)), name, MEL)
    # Under a magnitude of 1e-5 in every bin, that of ESPnet, a band of area 1 has less.
    np.testing.assert_allclose(found, math.log(1e-5), atol=1e-5)


def test_the_models_own_values_stay_below_the_floor_too() -> None:
    values = np.array([[-12.5, 0.25]])
    np.testing.assert_array_equal(to_model(values, None, MEL), values.astype(np.float32))
    assert lead_samples(None, MEL) == 0


def test_bands_of_other_edges_are_interpolated() -> None:
    waveform = torch.from_numpy(recording())[None, None]
    wanted = log_mel(waveform, MEL)[0].numpy()
    narrow = MelConfig(sample_rate=RATE, fmin_hz=80.0, fmax_hz=7600.0)
    given = log_mel(waveform, narrow)[0].numpy()
    found = to_bands(given, 80.0, 7600.0, MEL)
    error, of_given = (np.abs(each - wanted)[3:-3].mean() for each in (found, given))
    assert error < min(0.1, of_given / 2)
    # A log-mel that is linear over the mel scale is exact between the outermost bands.
    slope = librosa.hz_to_mel(narrow.band_hz.numpy())[:, None] * np.array([[1.0, -0.5]])
    line = librosa.hz_to_mel(MEL.band_hz.numpy())[:, None] * np.array([[1.0, -0.5]])
    inside = (MEL.band_hz > narrow.band_hz[0]) & (MEL.band_hz < narrow.band_hz[-1])
    np.testing.assert_allclose(to_bands(slope, 80.0, 7600.0, MEL)[inside], line[inside])
    np.testing.assert_allclose(to_bands(given, MEL.fmin_hz, MEL.fmax_hz, MEL), given)
    with pytest.raises(ValueError, match=r"fmax_hz is 20000\.0, expected in \(0"):
        to_bands(given, 80.0, 20000.0, MEL)
