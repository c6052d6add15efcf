"""Pulses of a voice: their times in a recording, and trains of pulses at a given pitch."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128
"""Number of samples that one predictor predicts."""
MARGIN = 192
"""Number of samples before a block, and after it, that the block's predictor is also fitted to."""
ORDER = 16
"""Number of past samples that a predictor reads."""
NOISE = 1e-5
"""Standard deviation of white noise that is assumed in every window, so that a predictor exists
even for silence."""


@torch.no_grad()
def residual_energy(waveform: Tensor) -> Tensor:
    r"""Compute the squared error of linear prediction, which peaks at the pulses of a voice.

    .. math:: e_t = x_t - \sum_{k=1}^{K} a_k x_{t-k}

    In voiced speech the error peaks once a period, at the moment when the vocal folds close.

    Args:
        waveform: shape (B, 1, T), preceded and followed by zeros.
    Returns:
        e squared, shape (B, T), float64.
    References:
        Epoch extraction from linear prediction residual for identification of closed glottis
        interval (Ananthapadmanabha & Yegnanarayana, 1979).
    """
    samples = waveform.shape[-1]
    x = F.pad(waveform[:, 0].double(), (MARGIN, MARGIN - samples % -BLOCK))
    length = BLOCK + 2 * MARGIN
    window = torch.hann_window(length, dtype=x.dtype, device=x.device)
    spectrum = torch.fft.rfft(x.unfold(-1, length, BLOCK) * window, n=2 * length)
    correlation = torch.fft.irfft(spectrum.abs().square())[..., : ORDER + 1]
    correlation[..., 0] = correlation[..., 0] * (1 + 1e-4) + length * NOISE**2
    lags = torch.arange(ORDER, device=x.device)
    matrix = correlation[..., (lags[:, None] - lags).abs()]
    predictor = torch.linalg.solve(matrix, correlation[..., 1:])
    taps = F.pad(-predictor, (1, 0), value=1.0).flip(-1)  # oldest sample first
    past = x[:, MARGIN - ORDER : x.shape[-1] - MARGIN].unfold(-1, ORDER + 1, 1)
    error = past.unflatten(1, (-1, BLOCK)) @ taps[..., None]
    return error.flatten(1)[:, :samples].square()


def pulse_train(cycles: Tensor, hz: Tensor, sample_rate: int) -> Tensor:
    r"""Compute a pulse train: the sum of all harmonics below half the sample rate, at power 1.

    .. math:: \sum_{m=1}^{M} \cos m\phi = \frac{\sin((M + \frac12)\phi)}{2 \sin(\phi / 2)} -
              \frac12

    Args:
        cycles: running phase phi, divided by 2 pi, float64, any shape.
        hz: pitch at each sample, shape of `cycles`.
        sample_rate: Hz.
    Returns:
        pulses, float64, shape of `cycles`. A pulse stands at every whole number of cycles.
    """
    twice = 2 * (sample_rate / 2 / hz).floor()
    # The quotient is even. Below 1e-6 it equals its limit, 2 M + 1, to 7 digits if M < 300.
    half = (torch.pi * (cycles - cycles.round())).abs().clamp(min=1e-6)
    quotient = ((twice + 1) * half).sin() / half.sin()
    return (quotient - 1) * twice.rsqrt()
