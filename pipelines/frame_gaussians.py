"""Baselines for a teacher's likelihood: two Gaussian models that are fitted to each test frame."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_nll(variance: Tensor, mean_square: Tensor, log_scale_floor: float) -> Tensor:
    """Return the negative log-likelihood of a zero-mean Gaussian, nats per sample.

    Args:
        variance: the model's variance, before the floor.
        mean_square: mean square of the data.
        log_scale_floor: lower bound of the model's log-scale, as in the teacher.
    """
    bounded = variance.clamp(min=math.exp(2 * log_scale_floor))
    return 0.5 * (math.log(2 * math.pi) + bounded.log() + mean_square / bounded)


def frame_energy_nll(waveform: Tensor, frame_length: int, log_scale_floor: float) -> Tensor:
    """Score each frame by a zero-mean Gaussian with the frame's own energy.

    Args:
        waveform: shape (T,); an incomplete last frame is left out.
        frame_length: number of samples in a frame.
        log_scale_floor: see `gaussian_nll`.
    Returns:
        nats per sample of each frame, shape (T // frame_length,).
    """
    energy = waveform.double().unfold(0, frame_length, frame_length).square().mean(-1)
    return gaussian_nll(energy, energy, log_scale_floor)


def oracle_lpc_nll(
    waveform: Tensor, frame_length: int, log_scale_floor: float, order: int = 24
) -> Tensor:
    """Score each frame by a linear predictor whose coefficients and variance are fitted to it.

    The predictor is an oracle: it has seen the samples that it predicts, unlike any causal model.

    Args:
        waveform: shape (T,); an incomplete last frame is left out.
        frame_length: number of samples in a frame.
        log_scale_floor: see `gaussian_nll`.
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
