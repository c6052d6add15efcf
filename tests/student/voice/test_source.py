"""The voice: pulses at the pitch through a filter that follows the context."""

import math

import pytest
import torch
from scipy import signal
from torch import Tensor

from data import MelConfig, log_mel
from dsp.cepstrum import log_power_spectra
from student import Envelope
from student.voice.source import LOUDEST, SPREAD, Voice
from tests.models import HOP

RATE, CHANNELS, FEATURES, ORDER, WIDTH, FRAMES = 400, 3, 2, 5, 4, 4
BREATH_ORDER = 3
LOWEST = 0.06


def make_voice(filters_per_frame: int = 1) -> Voice:
    torch.manual_seed(0)
    sizes = (ORDER, WIDTH, filters_per_frame, BREATH_ORDER)
    voice = Voice(CHANNELS, FEATURES, HOP, LOWEST, *sizes).double()
    with torch.no_grad():
        for parameter in voice.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return voice


def inputs(frames: int = FRAMES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 1, frames * HOP), (2, CHANNELS + FEATURES, frames)
    pulses, read = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    # So quiet that no voice is limited.
    return 1e-4 * pulses, read, torch.ones(2, frames, dtype=torch.float64)


def highpassed(x: Tensor) -> Tensor:
    """Apply a Butterworth high-pass at the lowest pitch."""
    sections = signal.butter(4, 2 * LOWEST, "highpass", output="sos")
    return torch.from_numpy(signal.sosfilt(sections, x.detach().numpy()))


def steady(frames: Tensor, which: int) -> Tensor:
    return frames[..., which : which + 1].expand_as(frames)


def test_a_steady_voice_is_a_convolution() -> None:
    voice, (pulses, frames, voicing) = make_voice(), inputs()
    frames = steady(frames, 0)
    found, *_ = voice(pulses, frames, voicing)
    response = voice.taps(voice.filters(frames).voice)[:, 0].detach().numpy()
    for row in range(2):
        expected = signal.lfilter(response[row], [1.0], pulses[row, 0].numpy())
        torch.testing.assert_close(
            found[row, 0], highpassed(torch.from_numpy(expected)), rtol=0, atol=1e-7
        )


@pytest.mark.parametrize("each", [1, 2, 4])
def test_the_voice_is_interpolated_linearly_between_its_filters(each: int) -> None:
    voice, (pulses, frames, voicing) = make_voice(each), inputs()
    found, *_ = voice(pulses, frames, voicing)
    taps, span = voice.taps(voice.filters(frames).voice), HOP // each
    assert voice.span == span
    past = torch.nn.functional.pad(pulses[:, 0], (ORDER, 0))
    expected = torch.zeros_like(pulses[:, 0])
    for t in range(FRAMES * HOP):
        n, rise = t // span, (t % span + 1) / span
        response = taps[:, max(n - 1, 0)] * (1 - rise) + taps[:, n] * rise
        expected[:, t] = (response * past[:, t : t + ORDER + 1].flip(-1)).sum(-1)
    torch.testing.assert_close(found[:, 0], highpassed(expected), rtol=0, atol=1e-7)


def test_nothing_is_below_the_lowest_pitch_however_the_voice_moves() -> None:
    voice = make_voice(2)
    pulses, frames, voicing = inputs(400)
    voicing[:, (torch.arange(400) // 5) % 2 == 0] = 0
    found, *_ = voice(pulses, frames, voicing)
    powers = torch.fft.rfft(found.detach()).abs().square().mean((0, 1))
    below = round(LOWEST / 3 * found.shape[-1])
    assert powers[:below].mean() < 1e-3 * powers[3 * below :].mean()


def test_a_voice_is_bounded_whatever_the_frames_ask_for() -> None:
    voice, (pulses, frames, voicing) = make_voice(2), inputs()
    found, *_ = voice(pulses, 30 * frames, voicing)
    assert float(found.detach().abs().max()) == LOUDEST


def test_the_filters_within_a_frame_differ() -> None:
    filters = make_voice(2).filters(inputs()[1])
    assert filters.voice.shape == (2, 2 * FRAMES, ORDER + 1)
    assert filters.breath.shape == filters.noise.shape == (2, 2 * FRAMES, BREATH_ORDER + 1)
    first, second = filters.voice.unflatten(1, (FRAMES, 2)).unbind(2)
    assert (first - second).abs().min() > 0


def test_an_unvoiced_frame_fades_to_silence() -> None:
    voice, (pulses, frames, voicing) = make_voice(2), inputs(12)
    voicing[:, 2:] = 0
    found, *_ = voice(pulses, frames, voicing)
    # The high-pass's memory decays.
    whole = found.abs().amax()
    assert found[..., 3 * HOP + len(voice.highpass_taps) :].abs().max() < 1e-12 * whole
    assert found[..., 2 * HOP : 3 * HOP - 1].abs().min() > 0


def test_noise_has_one_filter_beside_a_voice_and_another_without() -> None:
    voice, (pulses, frames, voicing) = make_voice(2), inputs()
    filters = voice.filters(frames)
    voicing[:, 2:] = 0
    _, breath, _ = voice(pulses, frames, voicing)
    assert breath.shape == (2, 2 * FRAMES + 1, BREATH_ORDER + 1)
    torch.testing.assert_close(breath[:, 0], filters.breath[:, 0])  # no filter precedes
    torch.testing.assert_close(breath[:, 1:5], filters.breath[:, :4])
    torch.testing.assert_close(breath[:, 5], (filters.breath + filters.noise)[:, 4] / 2)
    torch.testing.assert_close(breath[:, 6:], filters.noise[:, 5:])


def test_the_spectrum_of_parameters_is_their_filters() -> None:
    voice, (_, frames, _) = make_voice(), inputs()
    raw = 0.3 * voice.filters(frames).voice  # decays within a few taps
    raw = torch.nn.functional.pad(raw, (0, 40))
    voice.order = raw.shape[-1] - 1
    found = torch.fft.rfft(voice.taps(raw), n=256).abs().square().log()
    torch.testing.assert_close(log_power_spectra(raw, 256), found)


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
def test_pieces_join_to_the_whole(size: int, each: int) -> None:
    voice, whole_inputs = make_voice(each), inputs(7)
    whole_inputs[2][:, [1, 4, 5]] = 0
    whole, breath, _ = voice(*whole_inputs)
    state, pieces = None, []
    pulses, *rest = whole_inputs
    parts = [pulses.split(size * HOP, -1), *(part.split(size, -1) for part in rest)]
    for k, piece in enumerate(zip(*parts, strict=True)):
        found, beside, state = voice(*piece, state)
        pieces.append(found)
        torch.testing.assert_close(
            beside, breath[:, k * size * each :][:, : piece[1].shape[-1] * each + 1]
        )
    torch.testing.assert_close(torch.cat(pieces, -1), whole)


def test_an_untrained_voice_has_the_wanted_deviation() -> None:
    torch.manual_seed(0)
    voice = Voice(CHANNELS, FEATURES, HOP, 1e-3, ORDER, WIDTH)
    voice.set_initial_std(0.05)
    pulses = torch.randn(1, 1, 500 * HOP)
    with torch.no_grad():
        frames = torch.randn(1, CHANNELS + FEATURES, 500)
        found, *_ = voice(pulses, frames, torch.ones(1, 500))
    assert float(found.std()) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(("around", "each"), [(1, 1), (2, 2), (4, 1), (4, 4)])
@pytest.mark.parametrize("convention", [{}, {"log_base": "10", "filterbank_norm": "none"}])
def test_an_untrained_voice_has_the_spectrum_of_its_frames(
    convention: dict, around: int, each: int
) -> None:
    mel, hz = MelConfig(**convention), 200.0
    count = int(mel.sample_rate / 2 / hz)
    time = torch.arange(20 * mel.hop_length).double() / mel.sample_rate
    harmonics = hz * torch.arange(1, count + 1).double()
    # Two formants, on a slope.
    amplitudes = 0.01 * (1e3 / (harmonics + 1e3) + sum(
        4 * (-0.5 * ((harmonics - middle) / 300) ** 2).exp() for middle in (800.0, 2500.0)
    ))  # fmt: skip
    sound = amplitudes @ torch.cos(2 * torch.pi * torch.outer(harmonics, time))
    frames = log_mel(sound[None, None], mel)
    voice = Voice(CHANNELS, around * mel.num_mels, mel.hop_length, 0.003, 256, WIDTH, each).double()
    envelope = Envelope(mel.band_hz, mel.harmonic_scale, mel.harmonic_offset)
    mean, std = frames.mean(-1)[0] - 0.3, torch.linspace(0.5, 2, mel.num_mels).double()
    voice.set_envelope(envelope, mean, std, hz, mel.sample_rate)
    features = (frames - mean[:, None]) / std[:, None]
    read = torch.cat([torch.zeros(1, CHANNELS, 20).double(), *[features] * around], 1)
    response = voice.taps(voice.filters(read).voice)[0, 10 * each]
    turns = torch.outer(2 * torch.pi * harmonics / mel.sample_rate, torch.arange(257).double())
    gains = torch.complex(turns.cos() @ response, turns.sin() @ response).abs().detach()
    # The tolerance covers `SPREAD`, which is for speech, and bands too narrow for a harmonic.
    found = gains.log() + 0.5 * math.log(2 / count) + SPREAD
    inside = slice(3, count * 9 // 10)
    assert float((found - amplitudes.log())[inside].abs().median()) < 0.2
    assert float((found - amplitudes.log())[inside].abs().max()) < 0.8
