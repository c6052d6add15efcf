"""Log-mels given beside the recordings, as an acoustic model predicts them: read and checked."""

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
"""Frames that a log-mel may be shorter or longer than its recording; what has no partner is cut."""
LARGEST_LAG = 10
"""Frames, either way, within which a log-mel that is late or early is found."""
LARGEST_DISTANCE = 1.2
"""Mean distance in nats from the recording's own log-mel beyond which a log-mel is of another
recording. Between 60 pairs of different recordings it was 1.4 or more."""
CLOSER = 0.85
"""Ratio of two distances below which another convention or another lag is the right one."""
CLOSER_AND_AS_LONG = 0.93
"""The same ratio where the other convention alone has the number of frames that was found. Of
blurred log-mels with noise of 0.3 nats, half a hop makes a ratio of 0.89 or less."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class MelSource(MelFormat):
    """Where the log-mels of prepared data come from; the rest as `MelFormat`, for files.

    Args:
        kind: "computed" from the recordings, or "files": one beside each recording, of its stem.
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
    """Read the log-mel of a recording, and bring both to the same times.

    Args:
        path: file of the log-mel.
        waveform: the whole recording, shape (T,).
        mel: the model's convention.
        source: layout and convention of the file.
    Returns:
        Waveform, shape (L · hop_length,): of a convention whose frames come half a hop early it
        begins with half a hop of silence. Log-mel in the model's convention, shape (num_mels, L).
    Raises:
        MelFileError: if the file cannot be read, or its log-mel has another length than the
            recording, another convention, is late or early, or of another recording.
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
    """Find the file beside a recording, as `find_mel_file`; None if there is not exactly one."""
    try:
        return find_mel_file(recording)
    except MelFileError:
        return None


def _num_frames(waveform: Floats, name: MelConventionName | None, mel: MelConfig) -> int:
    return len(waveform) // mel.hop_length + int(lead_samples(name, mel) > 0)


def _on_time(waveform: Floats, name: MelConventionName | None, mel: MelConfig) -> Floats:
    """Shift a recording so that the model's frames of it lie where the convention's lie."""
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
    """Refuse a log-mel that is closer to its recording in another convention or at another time."""
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
    """Return the given log-mel and the recording's own, at the given one's times."""
    on_time = torch.from_numpy(_on_time(waveform, name, mel))
    own = log_mel(on_time[None, None], mel)[0].numpy()
    return to_model(values, name, mel), own


def _distance(given: Floats, own: Floats, mel: MelConfig, lag: int = 0) -> float:
    """Return the mean distance in nats, with the given frames taken for `lag` frames late."""
    given, own = given[:, max(lag, 0) :], own[:, max(-lag, 0) :]
    length = min(given.shape[1], own.shape[1])
    difference = np.abs(given[:, :length] - own[:, :length])
    return float(difference.mean()) * mel.harmonic_scale
