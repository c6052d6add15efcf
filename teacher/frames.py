r"""Linear prediction and folding between a teacher's waveform and its network, both ways.

A frame teacher (`frame_length` r above 1, `filter_order` K) runs its network once for every r
samples. A linear predictor (`flows.PredictionErrorFilter`) turns the waveform x into prediction
errors e. The errors are folded into frames, and the network predicts a frame from earlier frames:

.. math:: e_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
          p(x \mid c) = \prod_n \mathcal{N}(e_n;\, \mu_n, \Sigma_n)\, e^{r g}, \qquad
          (\mu_n, \Sigma_n) \text{ from } e_{<n} \text{ and } c

Given the earlier frames, the errors of a frame are Gaussian with a full covariance
(`flows.Triangular`), or independent mixtures of logistics. The predictor is stable for all
coefficients, and the network's output is bounded, so a drawn waveform cannot diverge.

References:
    LPCNet (Valin & Skoglund, 2019): linear prediction, noise on the past. arXiv:1810.11846
    Bunched LPCNet2 (Park et al., 2022): several samples a step. arXiv:2203.14416
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from flows import Autoregressive, Compose, Fold, Inverse, PredictionErrorFilter, Transform
from teacher.config import TeacherConfig

PartT = TypeVar("PartT", bound=Transform)


def compose(config: TeacherConfig, autoregressive: Autoregressive) -> Transform:
    """Wrap an autoregressive flow in the configuration's linear predictor and fold."""
    parts: list[Transform] = [autoregressive]
    if config.frame_length > 1:
        fold = Fold(config.frame_length)
        parts = [fold, autoregressive, Inverse(fold)]
    if config.filter_order:
        channels = config.context_channels
        parts.insert(0, PredictionErrorFilter(config.filter_order, 1, channels))
    return parts[0] if len(parts) == 1 else Compose(parts)


def part_of(transform: Transform, kind: type[PartT]) -> PartT | None:
    """Return the first part of a (composed) transform that is of class `kind`, or None."""
    parts = transform.transforms if isinstance(transform, Compose) else [transform]
    return next((part for part in parts if isinstance(part, kind)), None)


def synthesise(
    pieces: Iterable[Tensor],
    frames: Tensor,
    fold: Fold | None,
    error_filter: PredictionErrorFilter | None,
    hop_length: int,
) -> Iterator[Tensor]:
    """Turn frames of prediction errors into waveforms, piece by piece.

    Args:
        pieces: consecutive pieces of n frames, shape (B, r, n) each. Every piece covers whole
            conditioning frames.
        frames: output of the context network for all pieces, shape (B, H, L).
        fold: the fold that made frames of samples; None if r is 1.
        error_filter: the linear predictor that made the errors; None if the pieces contain the
            samples themselves.
        hop_length: samples per conditioning frame.
    Yields:
        waveforms, shape (B, 1, n r) each.
    """
    before: Tensor | None = None
    first = 0  # index of the piece's first conditioning frame
    for piece in pieces:
        waveform = piece if fold is None else fold.inverse(piece)[0]
        if error_filter is not None:
            stop = first + waveform.shape[-1] // hop_length
            before = waveform[..., :0] if before is None else before
            within = frames[..., first:stop]
            waveform = error_filter.inverse_piece(waveform, within, before)
            before = torch.cat([before, waveform], -1)[..., -error_filter.order :]
            first = stop
        yield waveform
