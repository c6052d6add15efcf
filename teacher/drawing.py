"""Sampling from a teacher: noise, the sequential loop over frames, and the synthesis filter."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flows import Engine, Fold, PredictionErrorFilter, draw_chunks
from teacher.distributions import LogisticMixture

if TYPE_CHECKING:
    from teacher.model import Teacher

PIECE_SAMPLES = 4096
"""Approximate length of a drawn piece, in samples. A piece has whole conditioning frames."""


def draw(
    teacher: "Teacher",
    frames: Tensor,
    temperature: float,
    generator: torch.Generator | None,
    engine: Engine,
) -> Iterator[Tensor]:
    """Draw waveforms piece by piece; see `Teacher.stream`.

    Args:
        teacher: the model.
        frames: output of the context network, shape (B, H, L).
        temperature: factor on the noise; see `Teacher.sample`.
        generator: source of randomness.
        engine: see `flows.choose_engine`.
    Yields:
        consecutive pieces of the waveforms, shape (B, 1, n) each.
    """
    config, hop = teacher.config, teacher.config.hop_length
    like = frames.new_empty(frames.shape[0], 1, frames.shape[-1] * hop)
    choice = None
    if isinstance(teacher.distribution, LogisticMixture):
        # Inverting a mixture's CDF takes iterations; inverting one component's CDF does not.
        choice = teacher.folded(torch.empty_like(like).uniform_(generator=generator))
    noise = teacher.flow.base.sample(like, generator) * temperature
    if teacher.voicing is not None:
        noise = noise * teacher.voicing.temperatures(frames, config.voiced_temperature, hop)
    chunk = hop * max(1, PIECE_SAMPLES // hop) // config.frame_length
    noise = teacher.folded(noise)
    pieces = draw_chunks(teacher.autoregressive, noise, frames, choice, engine, chunk)
    yield from synthesise(pieces, frames, teacher.fold, teacher.error_filter, hop)


def synthesise(
    pieces: Iterable[Tensor],
    frames: Tensor,
    fold: Fold | None,
    error_filter: PredictionErrorFilter | None,
    hop_length: int,
) -> Iterator[Tensor]:
    """Turn frames of prediction errors into waveforms, piece by piece.

    Args:
        pieces: consecutive pieces of n frames of prediction errors, shape (B, r, n) each. A piece
            covers whole conditioning frames.
        frames: output of the context network for all pieces, shape (B, H, L).
        fold: the fold of the signal into frames of r samples; None if r is 1.
        error_filter: the linear predictor of the errors; None if the pieces contain samples.
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
