"""What a teacher's likelihood has to beat: two frame-wise Gaussian models that may look."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_nll(variance: Tensor, mean_square: Tensor, log_scale_floor: float) -> Tensor:
    """Negative log-likelihood per sample of a zero-mean Gaussian, nats.

    Args:
        variance: of the model, before the floor.
        mean_square: of the data.
        log_scale_floor: the model's log-scale is raised to this, as the teacher's is.
    """
    bounded = variance.clamp(min=math.exp(2 * log_scale_floor))
    return 0.5 * (math.log(2 * math.pi) + bounded.log() + mean_square / bounded)


def frame_energy_nll(waveform: Tensor, frame_length: int, log_scale_floor: float) -> Tensor:
    """Zero-mean Gaussian with each frame's own energy.

    Args:
        waveform: shape (T,); an incomplete last frame is left out.
        frame_length: samples per frame.
        log_scale_floor: as in `gaussian_nll`.
    Returns:
        nats per sample of each frame, shape (T // frame_length,).
    """
    energy = waveform.double().unfold(0, frame_length, frame_length).square().mean(-1)
    return gaussian_nll(energy, energy, log_scale_floor)


def oracle_lpc_nll(
    waveform: Tensor, frame_length: int, log_scale_floor: float, order: int = 24
) -> Tensor:
    """Linear predictor whose coefficients and variance are fitted on the frame it predicts.

    An oracle: it has seen what it predicts, which no causal model has.

    Args:
        waveform: shape (T,); an incomplete last frame is left out.
        frame_length: samples per frame.
        log_scale_floor: as in `gaussian_nll`.
        order: number of past samples.
    Returns:
        nats per sample of each frame, shape (T // frame_length,).
    """
    padded = F.pad(waveform.double(), (order, 0))
    history = padded.unfold(0, order, 1)[:-1]  # row t: samples t - order .. t - 1
    num_frames = waveform.shape[0] // frame_length
    inputs = history[: num_frames * frame_length].reshape(num_frames, frame_length, order)
    targets = waveform.double()[: num_frames * frame_length].reshape(num_frames, frame_length, 1)
    fit = torch.linalg.lstsq(inputs, targets, driver="gelsd").solution
    error = (targets - inputs @ fit).square().mean((1, 2))
    return gaussian_nll(error, error, log_scale_floor)
