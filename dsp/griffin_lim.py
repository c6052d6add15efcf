"""The Griffin-Lim vocoder, from a log-mel spectrogram."""

import librosa
import numpy as np
from numpy.typing import NDArray

from dsp.mel import MelConfig


def griffin_lim(
    log_mel: NDArray[np.float32], config: MelConfig, num_iterations: int = 32, seed: int = 0
) -> NDArray[np.float32]:
    """Invert a log-mel spectrogram by non-negative least squares and phase iteration.

    Args:
        log_mel: log-mel frames, shape (num_mels, L).
        config: the mel convention.
        num_iterations: iterations of the fast Griffin-Lim algorithm.
        seed: seed of the random initial phase.
    Returns:
        waveform, shape (L * hop_length,).
    References:
        Griffin & Lim, 1984; Perraudin et al., 2013 (momentum 0.99), as in librosa.
    """
    mel = np.exp(log_mel) if config.log_base == "e" else 10.0**log_mel
    magnitude = librosa.feature.inverse.mel_to_stft(
        mel,
        sr=config.sample_rate,
        n_fft=config.n_fft,
        power=config.power,
        fmin=config.fmin_hz,
        fmax=config.fmax_hz,
        norm=None if config.filterbank_norm == "none" else config.filterbank_norm,
    )
    # In the convention, padding centres frame l on the middle of its hop. librosa's transform
    # without centring has these frames. Its output contains the padding, which is removed below.
    padding = (config.n_fft - config.hop_length) // 2
    waveform = librosa.griffinlim(
        magnitude,
        n_iter=num_iterations,
        hop_length=config.hop_length,
        win_length=config.win_length,
        n_fft=config.n_fft,
        center=False,
        random_state=seed,
    )
    length = log_mel.shape[1] * config.hop_length
    return waveform[padding : padding + length].astype(np.float32)
