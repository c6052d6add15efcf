"""The equaliser of drawn waveforms."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from dsp.filters.mel_equaliser import (
    CORNER_HZ,
    IN_QUIET_FRAMES,
    LARGEST_DIFFERENCE,
    STEP,
    TOO_QUIET,
    MelEqualiser,
)
from dsp.mel import MelConfig, log_mel, mel_filterbank

SMALL = MelConfig(n_fft=256, hop_length=64, win_length=256, num_mels=20)
CONVENTIONS = {
    "16 kHz": MelConfig(),
    "small": SMALL,
    "hop that does not divide the transform": dataclasses.replace(SMALL, hop_length=60),
    "short window": dataclasses.replace(SMALL, win_length=160),
    "powers, log10": dataclasses.replace(SMALL, power=2.0, log_base="10"),
    "part of the spectrum": dataclasses.replace(SMALL, fmin_hz=200.0, fmax_hz=6000.0),
    "no band below the corner": dataclasses.replace(SMALL, fmin_hz=1200.0),
    "one band": dataclasses.replace(SMALL, num_mels=1),
}
EACH = pytest.mark.parametrize("config", CONVENTIONS.values(), ids=CONVENTIONS.keys())


def noise(config: MelConfig, num_frames: int, seed: int, batch: int = 2) -> Tensor:
    """Make noise whose level changes by a factor of 10 from band to band and from time to time."""
    generator = torch.Generator().manual_seed(seed)
    length = num_frames * config.hop_length
    white = torch.randn(batch, 1, length, generator=generator, dtype=torch.float64)
    slow = torch.rand(batch, 1, max(2, length // 2000), generator=generator, dtype=torch.float64)
    level = torch.nn.functional.interpolate(slow, length, mode="linear")
    return 0.1 * 10**-level * (white - 0.9 * white.roll(1, -1))


def distance(waveform: Tensor, frames: Tensor, config: MelConfig) -> Tensor:
    """Return each band's mean absolute log-mel difference, shape (num_mels,)."""
    return (log_mel(waveform, config) - frames).abs().mean((0, 2))


@EACH
def test_a_waveform_that_has_its_log_mel_is_left_as_it_is(config: MelConfig) -> None:
    waveform = noise(config, 30, 0)
    found = MelEqualiser(config)(waveform, log_mel(waveform, config))
    torch.testing.assert_close(found, waveform, rtol=0, atol=1e-12)


@EACH
def test_the_log_mel_comes_closer(config: MelConfig) -> None:
    waveform, wanted = noise(config, 60, 0), log_mel(noise(config, 60, 1), config)
    found = MelEqualiser(config, low=1.0)(waveform, wanted)
    before, after = distance(waveform, wanted, config), distance(found, wanted, config)
    assert float(after.mean()) < 0.5 * float(before.mean())


def test_low_bands_are_corrected_by_their_own_strength() -> None:
    config = MelConfig()
    waveform, wanted = noise(config, 60, 0), log_mel(noise(config, 60, 1), config)
    before = distance(waveform, wanted, config)
    after = distance(MelEqualiser(config, low=0.0)(waveform, wanted), wanted, config)
    low = config.band_hz < 0.9 * CORNER_HZ
    high = config.band_hz > 1.1 * CORNER_HZ
    torch.testing.assert_close(after[low], before[low], rtol=0.1, atol=0)
    assert float(after[high].max()) < 0.6 * float(before[high].min())


def test_equals_a_computation_frame_by_frame() -> None:
    waveform, wanted = noise(SMALL, 9, 0, batch=1), log_mel(noise(SMALL, 9, 1, batch=1), SMALL)
    padded = np.pad(waveform[0, 0].numpy(), 96, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    basis, middles = mel_filterbank(SMALL).numpy(), SMALL.band_hz.numpy()
    total, squares, quiet_frames = np.zeros_like(padded), np.zeros_like(padded), 0
    for frame in range(9):
        place = slice(64 * frame, 64 * frame + 256)
        spectrum = np.fft.rfft(padded[place] * window)
        mel = np.log(np.maximum(basis @ np.sqrt(np.abs(spectrum) ** 2 + 1e-9), 1e-5))
        asked = wanted[0, :, frame].numpy()
        levels = [np.log(np.sum(np.exp(x[middles < CORNER_HZ]) ** 2)) / 2 for x in (asked, mel)]
        quiet = np.clip((levels[0] - levels[1] - TOO_QUIET) / STEP, 0, 1)
        quiet_frames += quiet > 0
        strength = np.where(middles < CORNER_HZ, 0.5 * (1 - quiet) + IN_QUIET_FRAMES * quiet, 1.0)
        nats = np.clip(asked - mel, -1.5, 1.5) * strength
        gain = np.exp(np.interp(np.linspace(0, 8000, 129), middles, nats))
        total[place] += window * np.fft.irfft(spectrum * gain)
        squares[place] += window**2
    expected = (total / np.maximum(squares, 1e-8))[96:-96]
    assert 0 < quiet_frames < 9
    found = MelEqualiser(SMALL, low=0.5, passes=1)(waveform, wanted)[0, 0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)


@EACH
@pytest.mark.parametrize("num_frames", [1, 2, 3, 17])
def test_pieces_make_the_whole(config: MelConfig, num_frames: int) -> None:
    waveform = noise(config, num_frames, 0)
    wanted = log_mel(noise(config, num_frames, 1), config)
    equaliser = MelEqualiser(config)
    whole = equaliser(waveform, wanted)
    assert whole.shape == waveform.shape
    for length in (7, config.hop_length, 5 * config.hop_length + 1):
        pieces = equaliser.stream(waveform.split(length, -1), wanted.split(2, -1))
        torch.testing.assert_close(torch.cat(list(pieces), -1), whole, rtol=0, atol=1e-12)


def test_a_stream_reads_no_more_than_it_needs() -> None:
    frames = log_mel(noise(SMALL, 40, 1), SMALL)
    read: list[int] = []

    def coming() -> Iterator[Tensor]:
        for i in range(40):
            read.append(i)
            yield frames[..., i : i + 1]

    equaliser = MelEqualiser(SMALL)
    done = 0
    for piece in equaliser.stream(noise(SMALL, 40, 0).split(64, -1), coming()):
        done += piece.shape[-1]
        assert 64 * len(read) - done <= equaliser.passes * SMALL.n_fft
    assert done == 40 * 64


def test_a_batch_is_filtered_as_each_waveform_alone() -> None:
    waveform, wanted = noise(SMALL, 20, 0), log_mel(noise(SMALL, 20, 1), SMALL)
    equaliser = MelEqualiser(SMALL)
    alone = [equaliser(waveform[i : i + 1], wanted[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(equaliser(waveform, wanted), torch.cat(alone), rtol=0, atol=1e-14)


def test_further_rows_are_ignored() -> None:
    waveform, wanted = noise(SMALL, 20, 0), log_mel(noise(SMALL, 20, 1), SMALL)
    equaliser = MelEqualiser(SMALL)
    told = torch.cat([wanted, torch.full((2, 3, 20), 7.0)], 1)
    assert torch.equal(equaliser(waveform, told), equaliser(waveform, wanted))


HIGH_ONLY = dataclasses.replace(SMALL, fmin_hz=1200.0)
LOW_ONLY = dataclasses.replace(SMALL, fmax_hz=900.0)


@pytest.mark.parametrize("asked", [-30.0, 30.0])
def test_no_pass_changes_the_level_by_more_than_the_bound(asked: float) -> None:
    waveform = noise(HIGH_ONLY, 20, 0)
    equaliser = MelEqualiser(HIGH_ONLY, passes=1)
    found = equaliser(waveform, torch.full((2, 20, 20), asked))
    factor = np.exp(np.sign(asked) * LARGEST_DIFFERENCE)
    torch.testing.assert_close(found, factor * waveform, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("missing", "strength"),
    [
        (-1.0, 0.4),  # too loud
        (TOO_QUIET, 0.4),
        (TOO_QUIET + STEP / 2, (0.4 + IN_QUIET_FRAMES) / 2),
        (TOO_QUIET + STEP, IN_QUIET_FRAMES),
        (1.0, IN_QUIET_FRAMES),
    ],
)
def test_low_bands_of_quiet_frames_are_corrected_more(missing: float, strength: float) -> None:
    waveform = noise(LOW_ONLY, 20, 0)
    wanted = log_mel(waveform, LOW_ONLY) + missing
    found = MelEqualiser(LOW_ONLY, low=0.4, passes=1)(waveform, wanted)
    factor = np.exp(strength * missing)
    torch.testing.assert_close(found, factor * waveform, rtol=0, atol=1e-9)
    unchanged = MelEqualiser(LOW_ONLY, low=0.0, passes=1)(waveform, wanted)
    torch.testing.assert_close(unchanged, waveform, rtol=0, atol=1e-12)


def test_a_tone_that_was_drawn_as_noise_gets_its_level() -> None:
    config = MelConfig()
    time = torch.arange(40 * 256, dtype=torch.float64) / 16000
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * time)[None, None]
    drawn = 0.1 * torch.randn(
        1, 1, 40 * 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    found = MelEqualiser(config)(drawn, log_mel(tone, config))
    assert 0.8 < float(found.std() / tone.std()) < 1.25


def test_digital_silence_stays_silent() -> None:
    silence = torch.zeros(1, 1, 640)
    wanted = log_mel(noise(SMALL, 10, 1, batch=1), SMALL)
    assert torch.equal(MelEqualiser(SMALL)(silence, wanted), silence)


def test_a_log_mel_that_is_too_short_is_refused() -> None:
    waveform = noise(SMALL, 20, 0)
    wanted = log_mel(waveform, SMALL)[..., :19]
    with pytest.raises(ValueError, match=r"^the log-mel has fewer frames than the waveform$"):
        list(MelEqualiser(SMALL).stream([waveform], [wanted]))


@pytest.mark.parametrize(
    ("batch", "samples", "bands", "frames"),
    [(1, 1280, 20, 19), (1, 1279, 20, 20), (2, 1280, 20, 20), (1, 1280, 19, 20)],
)
def test_shapes_that_do_not_fit_are_refused(
    batch: int, samples: int, bands: int, frames: int
) -> None:
    waveform, wanted = torch.zeros(1, 1, samples), torch.zeros(batch, bands, frames)
    with pytest.raises(ValueError, match=r"waveform and log-mel have the shapes .* expected \("):
        MelEqualiser(SMALL)(waveform, wanted)
    if bands < SMALL.num_mels:
        with pytest.raises(ValueError, match="the log-mel has 19 bands, expected 20 or more"):
            list(MelEqualiser(SMALL).stream([waveform], [wanted]))


def test_half_precision_keeps_its_type() -> None:
    waveform, wanted = noise(SMALL, 20, 0), log_mel(noise(SMALL, 20, 1), SMALL)
    found = MelEqualiser(SMALL)(waveform.bfloat16(), wanted)
    assert found.dtype == torch.bfloat16
    expected = MelEqualiser(SMALL)(waveform, wanted)
    torch.testing.assert_close(found.double(), expected, rtol=0.05, atol=0.01)


def test_windows_that_hardly_overlap_are_refused() -> None:
    config = dataclasses.replace(SMALL, win_length=127)
    assert not MelEqualiser.is_possible(config)
    with pytest.raises(ValueError, match="win_length is 127, expected at least 128, two hops"):
        MelEqualiser(config)
