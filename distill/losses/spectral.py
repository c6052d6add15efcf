"""Distance between waveforms in the time-frequency plane."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsp.stft import POWER_FLOOR, stft_magnitude, stft_power


@dataclass(frozen=True, kw_only=True)
class SpectralConfig:
    """Resolutions of the multi-resolution STFT distance, in samples.

    The defaults are Parallel WaveGAN's.
    """

    fft_sizes: tuple[int, ...] = (1024, 2048, 512)
    hop_lengths: tuple[int, ...] = (120, 240, 50)
    win_lengths: tuple[int, ...] = (600, 1200, 240)

    def __post_init__(self) -> None:
        lengths = {len(self.fft_sizes), len(self.hop_lengths), len(self.win_lengths)}
        if len(lengths) != 1 or not self.fft_sizes:
            raise ValueError(
                "spectral.fft_sizes, hop_lengths and win_lengths must have one value per "
                f"resolution, got {self.fft_sizes}, {self.hop_lengths}, {self.win_lengths}"
            )
        for fft, hop, win in zip(self.fft_sizes, self.hop_lengths, self.win_lengths, strict=True):
            if not 0 < hop <= win <= fft:
                raise ValueError(
                    f"spectral: resolution fft {fft}, hop {hop}, win {win} does not satisfy "
                    "0 < hop <= win <= fft"
                )


def multi_resolution_stft(
    sample: Tensor,
    recording: Tensor,
    config: SpectralConfig,
    total: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Return spectral convergence and log-magnitude distance, averaged over resolutions.

    .. math:: \frac{\lVert |S(x)| - |S(\hat x)| \rVert_F}{\lVert |S(x)| \rVert_F}, \qquad
              \frac1N \lVert \log|S(x)| - \log|S(\hat x)| \rVert_1

    Args:
        sample: generated waveform, shape (B, 1, T).
        recording: reference waveform, shape (B, 1, T).
        config: resolutions.
        total: adds each value up over the processes that share a batch; None for one process. A
            ratio of the processes' sums differs from the mean of their ratios.
    Returns:
        spectral convergence and log-magnitude distance (nats), scalars.
    Raises:
        ValueError: if the shapes differ.
    References:
        Parallel WaveGAN (Yamamoto et al., 2020), eq. 3-6. arXiv:1910.11480
    """
    if sample.shape != recording.shape:
        raise ValueError(
            f"sample has shape {tuple(sample.shape)}, recording {tuple(recording.shape)}: not equal"
        )
    convergence, log_magnitude = sample.new_zeros(()), sample.new_zeros(())
    resolutions = list(zip(config.fft_sizes, config.hop_lengths, config.win_lengths, strict=True))
    for resolution in resolutions:
        found = stft_magnitude(sample, *resolution)
        wanted = stft_magnitude(recording, *resolution)
        error, scale = torch.linalg.norm(wanted - found), torch.linalg.norm(wanted)
        if total is not None:
            error, scale = total(torch.stack([error, scale]).square()).sqrt()
        convergence = convergence + error / scale
        log_magnitude = log_magnitude + (wanted.log() - found.log()).abs().mean()
    return convergence / len(resolutions), log_magnitude / len(resolutions)


def octave_powers(waveform: Tensor, fft_size: int, hop_length: int, win_length: int) -> Tensor:
    """Return the power in each octave of the spectrum, averaged over time.

    `stft_magnitude` describes the arguments.

    Returns:
        powers, shape (B, floor(log2(fft_size)) - 2). The bands are bins 1-3, 4-7, 8-15 and so on;
        bin 0 is left out. The last band reaches up to half the sample rate, and is wider than an
        octave if fft_size is not a power of two.
    """
    spectrum = stft_power(waveform, fft_size, hop_length, win_length).mean(-1)
    # The last band also takes the few remaining bins. In a band of their own, they would weigh as
    # much as an octave.
    edges = [1, *(2**i for i in range(2, fft_size.bit_length() - 2)), fft_size // 2 + 1]
    return torch.stack(
        [spectrum[:, low:high].sum(-1) for low, high in itertools.pairwise(edges)], -1
    )


def power_distance(sample: Tensor, recording: Tensor, config: SpectralConfig) -> Tensor:
    r"""Return the distance of two clips' octave powers; each power is averaged over time first.

    .. math:: \frac1K \sum_k \left|\log P_k(x) - \log P_k(\hat x)\right|, \qquad
              P_k(x) = \sum_{f \in \text{octave } k} \overline{|S_f(x)|^2}

    A distance of single bins has a bias: for a noisy sample, it is smallest if the sample is too
    quiet (the shrinkage of least squares). A distance of mean powers has no such bias, so it keeps
    the level.

    Args:
        sample: generated waveform, shape (B, 1, T).
        recording: reference waveform, shape (B, 1, T).
        config: the first resolution is used.
    Returns:
        mean absolute difference in nats, scalar.
    References:
        After the power loss of Parallel WaveNet (van den Oord et al., 2018), sec. 4, with the
        average over time taken before the distance. arXiv:1711.10433
    """
    resolution = (config.fft_sizes[0], config.hop_lengths[0], config.win_lengths[0])
    found, wanted = (
        octave_powers(waveform, *resolution).clamp(min=POWER_FLOOR).log()
        for waveform in (sample, recording)
    )
    return (wanted - found).abs().mean()


def stft_power_loss(
    sample: Tensor,
    recording: Tensor,
    config: SpectralConfig,
    total: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    r"""Return Parallel WaveNet's power loss, the squared distance of power spectrograms.

    .. math:: \frac{\lVert |S(\hat x)|^2 - |S(x)|^2 \rVert_F^2}{\lVert |S(x)|^2 \rVert_F^2}

    The distance is divided by the recording's norm, so that it does not depend on the level. The
    loudest bins dominate it; quiet bins and silence hardly count.

    Args:
        sample: generated waveform, shape (B, 1, T).
        recording: reference waveform, shape (B, 1, T).
        config: the first resolution is used.
        total: see `multi_resolution_stft`.
    Returns:
        relative squared distance, scalar.
    References:
        Parallel WaveNet (van den Oord et al., 2018), sec. 4, power loss. arXiv:1711.10433
    """
    resolution = (config.fft_sizes[0], config.hop_lengths[0], config.win_lengths[0])
    found, wanted = (stft_power(waveform, *resolution) for waveform in (sample, recording))
    error, scale = (found - wanted).square().sum(), wanted.square().sum()
    count = scale.new_tensor(wanted.numel())
    if total is not None:
        error, scale, count = total(torch.stack([error, scale, count]))
    return error / torch.maximum(scale, POWER_FLOOR**2 * count)  # bounded for digital silence
