"""Mean and standard deviation of prepared features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.audio.read import from_int16
from data.prepared.manifest import Statistics, mel_path, waveform_path
from dsp.mel import MelConfig
from storage.arrays import open_array

Array = npt.NDArray[np.float64]


def training_statistics(dump_dir: Path, names: Iterable[str], config: MelConfig) -> Statistics:
    """Compute the statistics in one pass, with one utterance in memory at a time.

    Args:
        dump_dir: the folder of prepared features.
        names: utterances of the training split.
        config: convention of the log-mel; its `num_mels` tells the bands from the rows below them.
    Returns:
        the standard deviation of the samples; the mean and standard deviation of each log-mel band.
    """
    # Sums of 1, x and x² in float64: 10⁹ samples leave many digits to spare.
    samples: Array = np.zeros(3)
    frames: Array = np.zeros((3, 1))
    for name in names:
        waveform = from_int16(open_array(waveform_path(dump_dir, name))).astype(np.float64)
        mel = open_array(mel_path(dump_dir, name))[: config.num_mels].astype(np.float64)
        samples += np.array([waveform.size, waveform.sum(), np.square(waveform).sum()])
        frames = frames + np.stack(
            [np.full(len(mel), mel.shape[1]), mel.sum(axis=1), np.square(mel).sum(axis=1)]
        )
    _, waveform_std = _mean_std(samples)
    mel_mean, mel_std = _mean_std(frames)
    return Statistics(
        waveform_std=float(waveform_std),
        mel_mean=tuple(mel_mean.tolist()),
        mel_std=tuple(mel_std.tolist()),
    )


def _mean_std(sums: Array) -> tuple[Array, Array]:
    mean = sums[1] / sums[0]
    return mean, np.sqrt(np.maximum(sums[2] / sums[0] - np.square(mean), 0.0))
