r"""A teacher's frames: what stands between its waveform and its network, both ways.

A frame teacher (`frame_length` r above 1, `filter_order` K) runs its network once for every r
samples. The waveform passes a linear predictor (`flows.PredictionErrorFilter`), its errors are
folded into frames, and the network predicts a frame from the frames before it:

.. math:: e_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
          p(x \mid c) = \prod_n \prod_i p(e_{n,i};\, h_i(e_{<n}, c))\, e^{g}

Within a frame the errors are independent given the earlier frames, and the predictor carries
the dependence between neighbouring samples. The predictor is stable whatever its coefficients
are, and the network's output is bounded, so that free running cannot run away.

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
    """Put the linear predictor and the fold of a configuration around an autoregressive flow."""
    parts: list[Transform] = [autoregressive]
    if config.frame_length > 1:
        fold = Fold(config.frame_length)
        parts = [fold, autoregressive, Inverse(fold)]
    if config.filter_order:
        channels = config.context_channels
        parts.insert(0, PredictionErrorFilter(config.filter_order, 1, channels))
    return parts[0] if len(parts) == 1 else Compose(parts)


def part_of(transform: Transform, kind: type[PartT]) -> PartT | None:
    """Return the first part of a kind that a transform is composed of, if there is one."""
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
        pieces: consecutive frames, shape (B, r, n) each, that fill whole context frames.
        frames: of the context, for all pieces, shape (B, H, L).
        fold: what the frames were folded by; None for single samples.
        error_filter: whose errors they are; None where they are the samples themselves.
        hop_length: samples that a context frame serves.
    Yields:
        waveforms, shape (B, 1, n r) each.
    """
    before: Tensor | None = None
    first = 0  # conditioning frame of a piece
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
