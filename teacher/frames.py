"""A teacher's frames: what stands between its waveform and its network, both ways."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from flows import Autoregressive, Compose, Fold, Inverse, PredictionErrorFilter, Transform
from teacher.config import TeacherConfig


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
