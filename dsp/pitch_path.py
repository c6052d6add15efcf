"""The pitch of a recording, by dynamic programming over normalised correlations."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BINS_PER_OCTAVE = 48
WINDOW_S = 0.024
"""Length of the two windows that are compared, seconds."""

JUMP = 0.5
"""Cost of a change of the pitch by an octave from one frame to the next."""

OCTAVE = 0.03
"""Cost of a pitch an octave below the highest one: twice a period is a period, too."""

_LAGS_AT_ONCE = 8  # so few that the signals of a block stay in the processor's cache


@torch.no_grad()
def pitch_path(
    waveform: Tensor, sample_rate: int, hop_length: int, fmin_hz: float, fmax_hz: float
) -> Tensor:
    r"""Measure the pitch at the end of each frame.

    .. math:: \rho_l(\tau) = \frac{\sum_n w_n\, a_n b_n}{\sqrt{\sum_n w_n a_n^2 \sum_n w_n b_n^2}},
              \qquad a_n = x_{t_l + n - \lfloor\tau/2\rfloor},
              \quad b_n = x_{t_l + n + \lceil\tau/2\rceil}

    w is a Hann window of `WINDOW_S`, whose middle is n = 0, and t_l = (l + 1) hop_length is the end
    of frame l. The two windows lie symmetrically around t_l, whatever the lag :math:`\tau`, so a
    pitch that rises or falls is measured where it is. Among the pitches of `BINS_PER_OCTAVE`, the
    path is chosen that minimises the sum over all frames of :math:`1 - \rho` and of the costs
    `JUMP` and `OCTAVE`; then each pitch moves to the nearest peak of :math:`\rho`. Frames without a
    pitch get one, too; `dsp.pitch.yin` tells which frames are voiced.

    Args:
        waveform: shape (B, 1, L * hop_length), L at least 1; samples outside count as 0.
        sample_rate: Hz.
        hop_length: samples per frame.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch; at most a quarter of the sample rate. Above some 1000 Hz, a voice
            without high harmonics is found at fmax_hz: it hardly changes within so short a lag.
    Returns:
        pitch in Hz, shape (B, L), of the waveform's type.
    References:
        A robust algorithm for pitch tracking, RAPT (Talkin, 1995): normalised correlation, and
        dynamic programming.
    """
    first, last = int(sample_rate / fmax_hz) - 2, int(sample_rate / fmin_hz) + 3
    with torch.autocast(waveform.device.type, enabled=False):
        similarity = _similarity(waveform[:, 0], sample_rate, hop_length, first, last)
    bins = 1 + math.ceil(BINS_PER_OCTAVE * math.log2(fmax_hz / fmin_hz))
    octaves = torch.arange(bins, device=waveform.device) / BINS_PER_OCTAVE
    lags = sample_rate / (fmin_hz * octaves.exp2())
    position = (lags - first).clamp(0, last - first - 1e-3)
    lower = position.long()
    cost = 1 - torch.lerp(similarity[..., lower], similarity[..., lower + 1], position - lower)
    cost = cost + OCTAVE * (octaves[-1] - octaves)
    lag = lags[_cheapest_path(cost, JUMP * (octaves[:, None] - octaves).abs())]
    hz = (sample_rate / _refined(similarity, lag, first)).clamp(fmin_hz, fmax_hz)
    return hz.to(waveform.dtype)


def _similarity(x: Tensor, sample_rate: int, hop: int, first: int, last: int) -> Tensor:
    """Return the normalised correlation for lags `first` to `last`, shape (B, L, lags), float32."""
    length, frames = 2 * round(WINDOW_S * sample_rate / 2), x.shape[-1] // hop
    window = torch.hann_window(length, device=x.device)
    most = -(-last // 2)  # largest shift of a window
    padding = length // 2 + most
    padded = F.pad(x.float(), (padding, padding))
    span = (frames - 1) * hop + length  # samples of all windows with one shift
    # energy[:, n]: of the window that begins at sample n of the padded signal
    energy = F.conv1d(padded.square()[:, None], window[None, None])[:, 0]
    ends = torch.arange(1, frames + 1, device=x.device) * hop + padding - length // 2
    found = []
    for start in range(first, last + 1, _LAGS_AT_ONCE):
        lags = range(start, min(start + _LAGS_AT_ONCE, last + 1))
        pairs = [(hop + most - lag // 2, hop + most + lag - lag // 2) for lag in lags]
        earlier, later = (
            torch.stack([padded[:, pair[side] : pair[side] + span] for pair in pairs], 1)
            for side in (0, 1)
        )
        products = (earlier * later).unfold(-1, length, hop) @ window  # (B, lags, L)
        shifts = torch.tensor([(-(lag // 2), lag - lag // 2) for lag in lags], device=x.device)
        before, after = (energy[:, ends + shifts[:, side, None]] for side in (0, 1))
        found.append(products / (before * after).sqrt().clamp(min=1e-6))
    return torch.cat(found, 1).mT


def _cheapest_path(cost: Tensor, jump: Tensor) -> Tensor:
    """Return the bin of each frame on the path of the lowest total cost, shape (B, L).

    Args:
        cost: cost of each frame and bin, shape (B, L, bins).
        jump: cost of a step from bin to bin, shape (bins, bins).
    """
    total, came_from = cost[:, 0], []
    for now in cost.unbind(1)[1:]:
        least, bins = (total[:, None] + jump).min(-1)  # over the bins before
        came_from.append(bins)
        total = least + now
    path = [total.argmin(-1)]
    for bins in reversed(came_from):
        path.append(bins.gather(1, path[-1][:, None])[:, 0])
    return torch.stack(path[::-1], 1)


def _refined(similarity: Tensor, lag: Tensor, first: int) -> Tensor:
    """Move lags (B, L) to the nearest peak of the similarity, and fit a parabola through it."""
    lags = torch.arange(first, first + similarity.shape[-1], device=lag.device)
    reach = (lag * (2 ** (0.75 / BINS_PER_OCTAVE) - 1)).clamp(min=1)[..., None]
    is_far = (lags - lag[..., None]).abs() > reach
    peak = similarity.masked_fill(is_far, -torch.inf).argmax(-1).clamp(1, lags.numel() - 2)
    low, here, high = (similarity.gather(-1, (peak + k)[..., None])[..., 0] for k in (-1, 0, 1))
    curvature = (low - 2 * here + high).clamp(max=-1e-9)
    return lags[peak] + (0.5 * (low - high) / curvature).clamp(-0.5, 0.5)
