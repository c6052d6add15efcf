"""Shift an excitation's pulses to the times of a recording's pulses, for training."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.interpolation import between_ends

SPAN_S = 0.064
"""Length, in seconds, of the window around a frame's end in which its pulses are sought."""


@torch.no_grad()
def aligned_cycles(cycles: Tensor, voiced: Tensor, energy: Tensor, sample_rate: int) -> Tensor:
    r"""Shift a running phase so that it is a whole number of cycles at each energy peak.

    .. math:: \phi'_t = \phi_t + \frac1{2\pi} \arg \sum_j w_{j-t}\, e_j \exp(-2\pi i\,\phi_j)

    The conditioning does not determine the phase of a voice. A sample with another phase than the
    recording's sounds as good. But a spectral loss would penalise the sample if its windows are
    little longer than a period.

    Args:
        cycles: running phase in cycles, float64, shape (B, L, hop_length).
        voiced: whether each frame's end is voiced, shape (B, L). The end of an unvoiced frame takes
            the shift of the next end if that is voiced, otherwise the shift of the previous end if
            that is voiced. So the shift stays constant where a voice sets in or fades.
        energy: a signal with peaks at the recording's pulses, shape (B, L * hop_length).
        sample_rate: Hz.
    Returns:
        shifted phase in cycles, shape (B, L, hop_length). The shift is interpolated linearly
        between the ends of frames, along the shorter way around the circle.
    """
    frames, hop = cycles.shape[1:]
    half = round(SPAN_S * sample_rate / 2)
    turned = energy * torch.exp(-2j * torch.pi * cycles.flatten(1))
    window = torch.hann_window(2 * half, dtype=energy.dtype, device=energy.device)
    around = F.pad(turned, (half, half)).unfold(-1, 2 * half, hop)[:, 1 : frames + 1]
    shift = torch.angle((around * window).sum(-1)) / (2 * torch.pi)
    after, before = voiced.roll(-1, 1), voiced.roll(1, 1)
    after[:, -1] = before[:, 0] = False
    shift = torch.where(voiced | ~before, shift, shift.roll(1, 1))
    shift = torch.where(voiced | ~after, shift, shift.roll(-1, 1))
    step = shift.diff(dim=1)
    ends = torch.cat([shift[:, :1], step - step.round()], 1).cumsum(1)
    return cycles + between_ends(ends, hop)
