"""Log-mels of recordings of any length, computed in pieces with bounded memory."""

import numpy as np
import numpy.typing as npt
import torch

from data import MelConfig, log_mel


def log_mel_in_pieces(
    waveform: npt.NDArray[np.float32], config: MelConfig, *, frames_per_piece: int
) -> npt.NDArray[np.float32]:
    """Compute the log-mel of a recording in pieces; it equals `data.log_mel` up to rounding.

    A frame reads samples of its neighbours: half a window less half a hop on each side. So every
    piece is computed with enough further frames on each side, which are then dropped. Only dropped
    frames read the padding of a piece.

    Args:
        waveform: samples in [-1, 1], shape (T,).
        config: convention of the log-mel.
        frames_per_piece: number of frames that are computed at once.
    Returns:
        log-mel frames, shape (num_mels, T // hop_length).
    """
    hop, num_frames = config.hop_length, len(waveform) // config.hop_length
    margin = config.frames_beside
    frames = np.empty((config.num_mels, num_frames), np.float32)
    for start in range(0, num_frames, frames_per_piece):
        end = min(start + frames_per_piece, num_frames)
        first, last = max(0, start - margin), min(end + margin, num_frames)
        # The last piece includes the samples after the last whole frame.
        stop = last * hop if last < num_frames else len(waveform)
        piece = torch.from_numpy(waveform[first * hop : stop])[None, None]
        frames[:, start:end] = log_mel(piece, config)[0, :, start - first : end - first].numpy()
    return frames
