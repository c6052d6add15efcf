"""Log-mels in files of NumPy and PyTorch, in the layouts that acoustic models write."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dsp.mel import MelConfig
from dsp.mel_conventions import MelConventionChoice, MelConventionName, to_bands
from storage.arrays import ArrayError, archive_keys, load_archived, open_array

MEL_SUFFIXES = frozenset([".npy", ".npz", ".pt"])
"""Suffixes of files that hold a log-mel, lower case."""

MelLayout = Literal["bands_first", "frames_first"]
"""Order of the axes: (num_mels, L) or (L, num_mels). A batch axis of 1 may stand in front."""

_MAX_BYTES = 2**32  # of a tensor; a few bytes of a file can describe a tensor of any size

Array = npt.NDArray[np.floating]


class MelFileError(ValueError):
    """A file does not hold the expected log-mel.

    Args:
        path: the file.
        reason: one line that says what is wrong with the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class MelFormat:
    """How files hold log-mels.

    Args:
        convention: a name of `CONVENTIONS`, or "model" for the model's own convention. None also
            means the model's own, and the values are checked for whether they can be in it.
        layout: order of the axes, "bands_first" or "frames_first".
        key: name of the array, for a file that holds several arrays.
        fmin_hz: lower edge of the lowest band; None for the model's.
        fmax_hz: upper edge of the highest band; None for the model's.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    convention: MelConventionChoice | None = None
    layout: MelLayout = "bands_first"
    key: str | None = None
    fmin_hz: float | None = None
    fmax_hz: float | None = None

    def __post_init__(self) -> None:
        named = get_args(MelConventionChoice)
        if self.convention is not None and self.convention not in named:
            expected = ", ".join(named)
            raise ValueError(f"convention is {self.convention!r}, expected none, {expected}")
        if self.layout not in get_args(MelLayout):
            expected = " or ".join(get_args(MelLayout))
            raise ValueError(f"layout is {self.layout!r}, expected {expected}")

    def in_bands(self, values: Array, mel: MelConfig) -> Array:
        """Interpolate frames, shape (num_mels, L), to the bands of a model; see `to_bands`."""
        fmin_hz = mel.fmin_hz if self.fmin_hz is None else self.fmin_hz
        fmax_hz = mel.fmax_hz if self.fmax_hz is None else self.fmax_hz
        if (fmin_hz, fmax_hz) == (mel.fmin_hz, mel.fmax_hz):
            return values
        return to_bands(values, fmin_hz, fmax_hz, mel)

    @property
    def known_convention(self) -> MelConventionName | None:
        """The convention to convert from; None for the model's own."""
        return None if self.convention == "model" else self.convention


def read_mel_file(path: Path, num_rows: int, format: MelFormat, rows: str = "") -> Array:
    """Read the log-mel of a file.

    Args:
        path: a `.npy`, `.npz` or `.pt` file. A `.pt` file holds a tensor or a dict of tensors, and
            is loaded with `weights_only`, so that no code in the file is run.
        num_rows: expected number of rows.
        format: layout of the array, and its name. This function ignores convention and bands.
        rows: description of the rows, for the message about another number of rows.
    Returns:
        the unchanged values, shape (num_rows, L), L > 0.
    Raises:
        MelFileError: if the file cannot be read, if the array has another type or shape, or if a
            value is not finite.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise MelFileError(path, "not a file")
    readers = {".npz": _read_archive, ".pt": _read_tensor}
    try:
        array = readers.get(path.suffix.lower(), _read_plain)(path, format.key)
    except ArrayError as error:
        raise MelFileError(path, str(error).removeprefix(f"{path}: ")) from error
    if array.dtype.kind != "f":
        raise MelFileError(path, f"holds {array.dtype}, expected floats")
    found = array.shape
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2 and format.layout == "frames_first":
        array = array.T
    if array.ndim != 2 or array.shape[0] != num_rows or array.shape[1] == 0:
        raise MelFileError(path, _other_shape(found, num_rows, format.layout, rows))
    if not np.isfinite(array).all():
        raise MelFileError(path, "holds values that are not finite")
    return array


def find_mel_file(recording: Path) -> Path:
    """Find the file with the log-mel of a recording.

    Args:
        recording: path of the recording.
    Returns:
        the file in the recording's folder that has the recording's name, with a suffix of
        `MEL_SUFFIXES` instead of its own.
    Raises:
        MelFileError: if there is no such file, or more than one.
    """
    found = [path for suffix in sorted(MEL_SUFFIXES) for path in [recording.with_suffix(suffix)]]
    found = [path for path in found if path.exists()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        suffixes = ", ".join(sorted(MEL_SUFFIXES))
        raise MelFileError(
            recording, f"log-mels beside it: {names}; expected one file {recording.stem} {suffixes}"
        )
    return found[0]


def _read_plain(path: Path, key: str | None) -> Array:
    return open_array(path)


def _read_archive(path: Path, key: str | None) -> Array:
    return load_archived(path, _choose(path, archive_keys(path), key))


def _read_tensor(path: Path, key: str | None) -> Array:
    try:
        with warnings.catch_warnings():  # PyTorch warns of unusual files, and loads or refuses them
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MelFileError(path, error.strerror or str(error)) from error
    except Exception as error:  # PyTorch's reader fails in as many ways as a file can be damaged
        kind = type(error).__name__
        raise MelFileError(path, f"not a file of tensors that is safe to load ({kind})") from error
    if isinstance(content, dict):
        tensors = {str(name): value for name, value in content.items()}
        names = [name for name, value in tensors.items() if isinstance(value, Tensor)]
        content = tensors[_choose(path, names, key)]
    if not isinstance(content, Tensor):
        raise MelFileError(
            path, f"holds a {type(content).__name__}, expected a tensor or a dict of tensors"
        )
    is_plain = content.layout == torch.strided and content.device.type == "cpu"
    if not is_plain or not content.is_floating_point():
        raise MelFileError(path, f"holds {content.dtype}, {content.layout}, expected plain floats")
    if math.prod(content.shape) * 8 > _MAX_BYTES:
        raise MelFileError(path, f"has shape {tuple(content.shape)}, expected less")
    return content.detach().double().numpy()


def _choose(path: Path, names: list[str], key: str | None) -> str:
    """Choose the array of a file that may hold several."""
    if key is None and len(names) == 1:
        return names[0]
    if key is not None and key in names:
        return key
    listed = ", ".join(names) or "none"
    wanted = "expected one, or mel_key to name one" if key is None else f"mel_key is {key!r}"
    raise MelFileError(path, f"holds the arrays {listed}: {wanted}")


def _other_shape(found: tuple[int, ...], num_rows: int, layout: MelLayout, rows: str) -> str:
    axes = {"bands_first": f"({num_rows}, L)", "frames_first": f"(L, {num_rows})"}
    reason = f"has shape {found}, expected {axes[layout]}"
    other, axis = ("frames_first", -1) if layout == "bands_first" else ("bands_first", -2)
    if len(found) in (2, 3) and found[axis] == num_rows:
        return f"{reason}; for {axes[other]} say mel_layout {other}"
    return f"{reason}: {rows}" if rows else reason
