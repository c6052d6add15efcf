"""Minimum-phase filters given by their cepstrum: their taps, and their log-spectrum."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsp.filters.minimum_phase import minimum_phase_taps
from dsp.interpolation import weights_between


def taps_from_cepstrum(cepstrum: Tensor, points: int | None = None) -> Tensor:
    r"""Compute the taps of the causal filter that has a given cepstrum.

    .. math:: 1 + \sum_k h_k e^{-i \omega k} = \exp \sum_k c_k e^{-i \omega k}, \qquad
              n\,h_n = \sum_{k=1}^{n} k\, c_k\, h_{n-k}, \quad h_0 = 1

    The exponential has no zeros outside the unit circle, so the untruncated filter has minimum
    phase and a stable inverse. The taps after h_K are cut off. The first K taps and the first K
    cepstral coefficients determine each other, so any K taps can be expressed.

    Args:
        cepstrum: c_1 .. c_K, shape (..., K).
        points: number of points of the Fourier transform; default: 8 K.
    Returns:
        h_1 .. h_K, shape (..., K). On a CPU they are exact, by the recursion. On other devices,
        by a Fourier transform, they contain an aliasing error: the part of the response that
        comes after `points` samples is added to the first taps.
    References:
        Discrete-time signal processing (Oppenheim & Schafer), complex cepstrum of minimum-phase
        sequences.

    >>> taps = taps_from_cepstrum(torch.tensor([0.5, -0.125, 0.0417]))  # log(1 + z/2)
    >>> torch.allclose(taps, torch.tensor([0.5, 0.0, 0.0]), atol=1e-3)
    True
    """
    if cepstrum.device.type == "cpu":
        return minimum_phase_taps(cepstrum)
    return taps_by_transform(cepstrum, points or 8 * cepstrum.shape[-1])


def taps_by_transform(cepstrum: Tensor, points: int) -> Tensor:
    """Compute `taps_from_cepstrum` by a Fourier transform, on any device."""
    order = cepstrum.shape[-1]
    spectrum = torch.fft.rfft(F.pad(cepstrum, (1, 0)), n=points)
    # PyTorch's exponential of complex numbers takes seven times as long as `polar`.
    exponential = torch.polar(spectrum.real.exp(), spectrum.imag)
    response: Tensor = torch.fft.irfft(exponential, n=points)
    return response[..., 1 : order + 1]


def cepstra_of(raw: Tensor) -> Tensor:
    r"""Return the cepstrum of filters from their parameters.

    Args:
        raw: a log-gain, then :math:`k\,c_k` for k from 1 to K, shape (..., K + 1).
    Returns:
        c_1 .. c_K, shape (..., K).
    """
    # The cepstrum c_k of a smooth spectrum falls like 1/k. So the parameters k c_k are of similar
    # size.
    return raw[..., 1:] / torch.arange(1, raw.shape[-1], dtype=raw.dtype, device=raw.device)


def log_power_spectra(raw: Tensor, points: int) -> Tensor:
    r"""Return the log-power response :math:`2 \log|H|` of filters, in nats.

    Args:
        raw: parameters of the filters, as `cepstra_of` takes them, shape (..., K + 1), with
            K < points / 2.
        points: points of the Fourier transform.
    Returns:
        log-power at each frequency of the transform, shape (..., points / 2 + 1).
    """
    sequence = torch.cat([raw[..., :1], cepstra_of(raw)], -1)
    spectrum: Tensor = 2 * torch.fft.rfft(sequence, n=points).real
    return spectrum


def cepstra_of_bands(order: int, band_hz: Tensor, sample_rate: int) -> Tensor:
    """Return the matrix that computes a filter's parameters from a log-spectrum in bands.

    The log-spectrum is linear between the centres of the bands, and constant beyond them.

    Args:
        order: order of the cepstrum, K.
        band_hz: centres of the M bands, ascending, Hz, shape (M,).
        sample_rate: Hz.
    Returns:
        matrix, shape (K + 1, M). It maps the log-magnitudes of the bands, in nats, to the
        parameters that `cepstra_of` takes.
    """
    points = 8 * order
    hz = (torch.arange(points).double() + 0.5) / points * sample_rate / 2
    index = torch.arange(order + 1).double()
    cosines = torch.cos(torch.outer(index, torch.pi * 2 * hz / sample_rate)) / points
    # The integral for c_k has a factor of 2, the integral for the log-gain has none.
    cosines = cosines * torch.where(index == 0, 1.0, 2 * index)[:, None]
    return cosines @ weights_between(band_hz, hz)
