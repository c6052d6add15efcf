"""Move an excitation's pulses to where a recording has them, for training."""

import torch
import torch.nn.functional as F
from torch import Tensor

from student.voice.pitch_predictor import between_ends

SPAN_S = 0.064
"""Seconds around the end of a frame that its pulses are looked for in."""


@torch.no_grad()
def aligned_cycles(cycles: Tensor, voiced: Tensor, energy: Tensor, sample_rate: int) -> Tensor:
    r"""Shift a running phase, so that it is whole where the energy of each period is.

    .. math:: \phi'_t = \phi_t + \frac1{2\pi} \arg \sum_j w_{j-t}\, e_j \exp(-2\pi i\,\phi_j)

    A voice has the phase it has, and no conditioning tells it. A sample with another is as good,
    but a spectrogram whose windows are not much longer than a period holds it against the sample.

    Args:
        cycles: running phase in cycles, float64, shape (B, L, hop_length).
        voiced: whether the end of each frame is, shape (B, L). Other ends take their neighbour's
            shift, the next one's first: the phase does not run where a voice sets in or fades.
        energy: peaks at the recording's pulses, shape (B, L * hop_length).
        sample_rate: Hz.
    Returns:
        shifted phase, same shape; the shift goes linearly from end to end, the shortest way round.
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
