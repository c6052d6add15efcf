"""Given log-mels, one beside each recording: read, checked, and aligned with the recording.

An acoustic model predicts such log-mels. They may have another convention than the vocoder's model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from data.mel_files import MelFileError, MelFormat, find_mel_file, read_mel_file
from dsp.mel import MelConfig, log_mel
from dsp.mel_conventions import CONVENTIONS, MelConventionName, lead_samples, to_model
from dsp.mel_plausibility import ConventionError, check_limits

FRAMES_OFF = 2
"""Largest difference, in frames, between the lengths of a log-mel and its recording. The longer one
is cut to the length of the other."""
LARGEST_LAG = 10
"""Largest lag, in frames either way, that is tried in order to find out that a log-mel is late or
early."""
LARGEST_DISTANCE = 1.2
"""Largest mean distance, in nats, of a given log-mel from the log-mel of its recording. The
log-mels of two different recordings are farther apart: 1.4 or more for each of 60 pairs."""
CLOSER = 0.85
"""Ratio of distances below which another convention, or another lag, is taken for the right one.
The ratio is the distance under the other convention over the distance under the stated one."""
CLOSER_AND_AS_LONG = 0.93
"""The ratio `CLOSER` for another convention that, unlike the stated one, explains the number of
frames. For blurred log-mels with noise of 0.3 nats, a shift by half a hop makes a ratio of at most
0.89."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class MelSource(MelFormat):
    """Source of the log-mels of prepared data; for files, the other fields are `MelFormat`'s.

    Args:
        kind: "computed" computes the log-mels from the recordings. "files" reads each log-mel from
            a file beside its recording, with the recording's name; see `find_mel_file`.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    kind: Literal["computed", "files"] = "computed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("computed", "files"):
            raise ValueError(f"kind is {self.kind!r}, expected 'computed' or 'files'")


COMPUTED = MelSource()


def read_given(
    path: Path, waveform: Floats, mel: MelConfig, source: MelSource
) -> tuple[Floats, Floats]:
    """Read the log-mel of a recording, and align the recording with it.

    Args:
        path: file of the log-mel.
        waveform: the whole recording, shape (T,).
        mel: the model's convention.
        source: layout and convention of the file.
    Returns:
        the waveform, shape (L · hop_length,); the log-mel in the model's convention, shape
        (num_mels, L). If the frames of the file's convention come half a hop before the model's,
        the waveform begins with half a hop of silence.
    Raises:
        MelFileError: if the file cannot be read; if its log-mel has another length than the
            recording, or values that no waveform can have; or if it seems to be in another
            convention, late or early, or made from another recording.
    """
    name = source.known_convention
    values = source.in_bands(read_mel_file(path, mel.num_mels, source), mel)
    num_found, num_expected = values.shape[1], _num_frames(waveform, name, mel)
    if abs(num_found - num_expected) > FRAMES_OFF:
        raise MelFileError(
            path,
            f"has {num_found} frames, expected {num_expected} for {len(waveform)} samples and a "
            f"hop of {mel.hop_length}",
        )
    _check_follows(path, values, waveform, mel, name)
    try:
        check_limits(values, name, mel)
    except ConventionError as error:
        raise MelFileError(path, str(error)) from error
    num_frames = min(num_found, num_expected)
    on_time = _on_time(waveform, name, mel)[: num_frames * mel.hop_length]
    return on_time, to_model(values[:, :num_frames], name, mel)


def mel_beside(recording: Path) -> Path | None:
    """Find a recording's log-mel as `find_mel_file` does; None unless exactly one file exists."""
    try:
        return find_mel_file(recording)
    except MelFileError:
        return None


def _num_frames(waveform: Floats, name: MelConventionName | None, mel: MelConfig) -> int:
    return len(waveform) // mel.hop_length + int(lead_samples(name, mel) > 0)


def _on_time(waveform: Floats, name: MelConventionName | None, mel: MelConfig) -> Floats:
    """Shift a recording so that its frames in the model's convention match the given frames."""
    lead = lead_samples(name, mel)
    total = _num_frames(waveform, name, mel) * mel.hop_length
    return np.pad(waveform, (lead, max(0, total - lead - len(waveform))))[:total]


def _check_follows(
    path: Path,
    values: npt.NDArray[np.floating],
    waveform: Floats,
    mel: MelConfig,
    name: MelConventionName | None,
) -> None:
    """Refuse a log-mel that fits its recording better in another convention or at another time."""
    given, own = _both(values, waveform, mel, name)
    found = _distance(given, own, mel)
    others = {}
    for other in CONVENTIONS:
        is_as_long = _num_frames(waveform, other, mel) == values.shape[1] != own.shape[1]
        limit = found * (CLOSER_AND_AS_LONG if is_as_long else CLOSER)
        distance = _distance(*_both(values, waveform, mel, other), mel)
        if distance < min(limit, LARGEST_DISTANCE):
            others[other] = distance
    if others:
        likely = min(others, key=lambda other: others[other])
        wanted = "the model's convention" if name is None else f"convention {name}"
        raise MelFileError(
            path,
            f"is {found:.2f} nats from the recording's log-mel in {wanted}, {others[likely]:.2f} "
            f"in convention {likely}",
        )
    reach = min(LARGEST_LAG, min(given.shape[1], own.shape[1]) // 4)
    lags = [lag for lag in range(-reach, reach + 1) if lag]
    late = {lag: _distance(given, own, mel, lag) for lag in lags}
    best = min(late, key=lambda lag: late[lag], default=0)
    if best and late[best] < min(CLOSER * found, LARGEST_DISTANCE):
        how = f"{abs(best)} frames {'late' if best > 0 else 'early'}"
        raise MelFileError(
            path,
            f"is {how}: {found:.2f} nats from the recording's log-mel, {late[best]:.2f} with the "
            "frames moved",
        )
    if found > LARGEST_DISTANCE:
        raise MelFileError(
            path,
            f"is {found:.2f} nats from the recording's log-mel, expected at most "
            f"{LARGEST_DISTANCE}: is it of this recording?",
        )


def _both(
    values: npt.NDArray[np.floating],
    waveform: Floats,
    mel: MelConfig,
    name: MelConventionName | None,
) -> tuple[Floats, Floats]:
    """Return two log-mels in the model's convention, (num_mels, L) each: given and computed.

    Frame l of both is about the same time. The lengths may differ.
    """
    on_time = torch.from_numpy(_on_time(waveform, name, mel))
    own = log_mel(on_time[None, None], mel)[0].numpy()
    return to_model(values, name, mel), own


def _distance(given: Floats, own: Floats, mel: MelConfig, lag: int = 0) -> float:
    """Return the mean distance in nats after the given frames are moved `lag` frames earlier."""
    given, own = given[:, max(lag, 0) :], own[:, max(-lag, 0) :]
    length = min(given.shape[1], own.shape[1])
    difference = np.abs(given[:, :length] - own[:, :length])
    return float(difference.mean()) * mel.harmonic_scale
