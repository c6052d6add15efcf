"""Spectrograms by the short-time Fourier transform: power and magnitude."""

import torch
from torch import Tensor

POWER_FLOOR = 1e-7
"""Smallest power of a bin, which keeps the logarithm and the gradient of a magnitude finite."""


def stft_power(waveform: Tensor, fft_size: int, hop_length: int, win_length: int) -> Tensor:
    """Compute a Hann-windowed power spectrogram, without a floor.

    The arguments are those of `stft_magnitude`.

    Returns:
        powers, shape (B, fft_size / 2 + 1, frames).
    """
    window = torch.hann_window(win_length, dtype=waveform.dtype, device=waveform.device)
    spectrum = torch.stft(
        waveform[:, 0],
        n_fft=fft_size,
        hop_length=hop_length,
        win_length=win_length,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.abs().square()


def stft_magnitude(waveform: Tensor, fft_size: int, hop_length: int, win_length: int) -> Tensor:
    """Compute a Hann-windowed magnitude spectrogram.

    Args:
        waveform: shape (B, 1, T), preceded and followed by zeros. Frame k is centred on sample
            k * hop_length.
        fft_size: points of the transform.
        hop_length: samples between frames.
        win_length: samples of the Hann window.
    Returns:
        magnitudes, shape (B, fft_size / 2 + 1, frames), at least sqrt(POWER_FLOOR).
    """
    power = stft_power(waveform, fft_size, hop_length, win_length)
    return power.clamp(min=POWER_FLOOR).sqrt()
