"""Waveforms from a trained model: from recordings by way of their mel, or from saved mels."""

import errno
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data import (
    MelConfig,
    PitchConfig,
    mark_output,
    with_speaker,
    write_blocks,
    write_pcm,
)
from flows import Engine
from pipelines.generation.inputs import (
    InputError,
    check_max_seconds,
    find_inputs,
    left_out_lines,
    read_frames,
)
from pipelines.models import model_files
from pipelines.precision import PrecisionName, networks_in
from pipelines.standard_streams import is_open
from pipelines.workspace import load_model, mel_of, pick_device, pitch_of, speakers_known
from storage.folder_lock import folder_lock
from storage.overwriting import refuse_overwriting
from student import Student
from teacher import Teacher

STREAMED_FRAMES = 8
"""Frames that a student draws before it writes them: 128 ms at 16 kHz and a hop of 256."""

LARGEST_SHIFT = 24
"""Semitones, either way."""

STANDARD_OUTPUT = Path("-")

# Of the disk, or of whoever reads the stream; other errors, as a name that is too long, are of one
# file alone.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE)


@dataclass(frozen=True, kw_only=True)
class Generated:
    """One file written."""

    source: Path
    path: Path
    seconds: float
    num_clipped: int


class InputsFailedError(InputError):
    """Some inputs of a folder cannot be used; the others are done.

    Args:
        written: what was written.
        failed: reasons, by input.
        num_inputs: how many there are.
    """

    def __init__(
        self, written: Sequence[Generated], failed: Mapping[Path, str], num_inputs: int
    ) -> None:
        names = ", ".join(path.name for path in failed)
        super().__init__(f"{len(failed)} of {num_inputs} inputs gave nothing: {names}")
        self.written = list(written)
        self.failed = dict(failed)
        self.num_inputs = num_inputs


def generate(
    model: Path,
    input: Path,
    out: Path,
    *,
    format: Literal["wav", "flac"] = "wav",
    seed: int = 0,
    temperature: float = 1.0,
    max_seconds: float | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    precision: PrecisionName = "32-true",
    stream: bool = False,
    speaker: str | None = None,
    pitch_shift: float = 0.0,
    skip_existing: bool = False,
) -> list[Generated]:
    """Generate a waveform for every input.

    A bad input of a folder does not keep the others from being done.

    Args:
        model: folder of a teacher or a student, or the name of a pretrained one.
        input: an audio file, a log-mel `.npy` of shape (num_mels, L) in the model's convention, or
            a folder of either. For a model that is given the pitch, an array has two rows more, see
            `data.pitch_rows`.
        out: folder that gets one file per input; relative names are kept. "-" streams one input to
            standard output, and messages go to standard error.
        format: of the files, 16-bit.
        seed: of the noise; each file's depends on the seed and its name alone.
        temperature: factor on the noise.
        max_seconds: cut inputs to this length.
        device: "auto", "cpu" or "cuda".
        engine: how to sample: "compiled" on a CPU, "fused" (student), "graph" or "persistent"
            (teacher) on a GPU, "torch", or "auto": the first of them that applies, "persistent"
            left out.
        precision: "32-true", "bf16-mixed" (networks in bfloat16) or "16-mixed" (see
            `pipelines.precision`).
        stream: write raw 16-bit little-endian PCM (`.raw` instead of `format`) as it is drawn. The
            samples are those of a file, to rounding.
        speaker: who speaks, for a model that is told.
        pitch_shift: semitones added to the pitch, for a model that is given it.
        skip_existing: leave out the inputs whose file is in `out` already.
    Returns:
        what was written, in order.
    Raises:
        InputsFailedError: at the end, if some inputs of a folder cannot be used.
        OverwriteError: if a file that is read would be written over.
        ValueError: if the model or an only input cannot be used, or another run is writing to
            `out`; files already written stay.
    """
    to_stdout = out == STANDARD_OUTPUT
    stream = stream or to_stdout
    if to_stdout and input.is_dir():
        raise InputError(f"{input}: is a folder, but one input goes to standard output")
    if to_stdout and not is_open(sys.stdout):
        raise InputError("out is -, but standard output is closed")
    messages = sys.stderr if to_stdout else sys.stdout
    network = load_model(model, pick_device(device))
    vocoder = _Vocoder(
        network=network,
        mel=mel_of(network, model),
        pitch=pitch_of(network, model),
        speakers=speakers_known(network, model),
        speaker=speaker,
        pitch_shift=pitch_shift,
        seed=seed,
        temperature=temperature,
        max_seconds=max_seconds,
        engine=engine,
        precision=precision,
        stream=stream,
        messages=messages,
    )
    if skip_existing and stream:
        raise InputError("skip_existing is true with stream: a .raw file may be unfinished")
    found = find_inputs(input)
    for line in left_out_lines(found.left_out):
        print(line, file=messages)
    names = {s: s.relative_to(input) if input.is_dir() else Path(s.name) for s in found.files}
    suffix = ".raw" if stream else f".{format}"
    targets = {s: out if to_stdout else out / n.with_suffix(suffix) for s, n in names.items()}
    if not to_stdout:
        refuse_overwriting([*found.files, *model_files(model)], targets.values())
    pending = [s for s in found.files if not (skip_existing and targets[s].exists())]
    if skip_existing:
        num_there = len(found.files) - len(pending)
        print(f"{num_there} of {len(found.files)} are in {out} already", file=messages)
    with networks_in(precision, network):
        print(f"{network.kind}: {network.choose_engine(engine)[1]}", file=messages)
    written: list[Generated] = []
    failed: dict[Path, str] = {}

    def note(source: Path, error: ValueError | OSError) -> None:
        is_everyones = isinstance(error, OSError) and error.errno in _DISK_ERRORS
        if not input.is_dir() or is_everyones:
            raise error
        failed[source] = str(error)
        tqdm.write(f"not generated: {error}", file=sys.stderr)

    with ExitStack() as held:
        is_held = to_stdout
        for source in tqdm(pending, desc="generate", unit="file", disable=len(pending) < 2):
            try:
                features = vocoder.features(source)
            except ValueError as error:
                note(source, error)
                continue
            if not is_held:  # now at last: a bad input alone leaves no folder behind
                mark_output(out)
                held.enter_context(folder_lock(out))
                is_held = True
            try:
                written.append(vocoder.write(source, features, names[source], targets[source]))
            except (ValueError, OSError) as error:
                note(source, error)
    if failed:
        raise InputsFailedError(written, failed, len(found.files))
    return written


@dataclass(frozen=True, kw_only=True)
class _Vocoder:
    """A model, and how it is to draw; arguments as `generate`'s.

    Raises:
        ValueError: if an option is impossible, or does not go with the model.
    """

    network: Teacher | Student
    mel: MelConfig
    pitch: PitchConfig
    speakers: tuple[str, ...]
    speaker: str | None
    pitch_shift: float
    seed: int
    temperature: float
    max_seconds: float | None
    engine: Engine
    precision: PrecisionName
    stream: bool
    messages: TextIO

    def __post_init__(self) -> None:
        _check_shift(self.pitch_shift, self.pitch)
        if not 0.0 <= self.temperature < math.inf:
            raise InputError(f"temperature is {self.temperature}, expected a finite number >= 0")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, expected >= 0")
        check_max_seconds(self.max_seconds)
        with_speaker(torch.zeros(self.mel.num_mels, 1), self.speakers, self.speaker)

    def features(self, source: Path) -> Tensor:
        """Read what the network is given for an input, shape (1, rows, L)."""
        frames = read_frames(source, self.mel, self.pitch, pitch_shift=self.pitch_shift)
        if self.max_seconds is not None:
            length = round(self.max_seconds * self.mel.sample_rate / self.mel.hop_length)
            frames = frames[:, : max(1, length)]
        told = with_speaker(torch.from_numpy(frames)[None], self.speakers, self.speaker)
        return told.to(next(self.network.parameters()))

    def write(self, source: Path, features: Tensor, name: Path, target: Path) -> Generated:
        """Draw and write a waveform."""
        generator = torch.Generator(features.device).manual_seed(_seed_of(self.seed, name))
        total = features.shape[-1] * self.mel.hop_length
        with (
            tqdm(total=total, desc=name.name, unit="sample", leave=False) as bar,
            networks_in(self.precision, self.network),  # what is drawn, not how mels are made
        ):
            counted = _counted(self._pieces(features, generator), bar)
            if self.stream:
                num_samples, num_clipped = _write_raw(target, counted)
            else:
                num_samples, num_clipped = write_blocks(target, counted, self.mel.sample_rate)
        if num_clipped:
            tqdm.write(
                f"warning: {target}: {num_clipped} of {num_samples} samples were clipped",
                file=self.messages,
            )
        seconds = num_samples / self.mel.sample_rate
        return Generated(source=source, path=target, seconds=seconds, num_clipped=num_clipped)

    def _pieces(self, features: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        if isinstance(self.network, Teacher):
            return self.network.stream(features, self.temperature, generator, self.engine)
        length = STREAMED_FRAMES if self.stream else features.shape[-1]
        chunks = features.split(length, -1)
        return self.network.stream(chunks, self.temperature, generator, self.engine)


def _write_raw(target: Path, pieces: Iterator[Tensor]) -> tuple[int, int]:
    """Write PCM that can be read while it grows; return the samples and how many were clipped."""
    if target == STANDARD_OUTPUT:
        return write_pcm(sys.stdout.buffer, pieces, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        return write_pcm(file, pieces, target)


def _counted(pieces: Iterator[Tensor], bar: tqdm) -> Iterator[Tensor]:
    """Move a progress bar on by each piece's samples."""
    for piece in pieces:
        yield piece
        bar.update(piece.shape[-1])


def _check_shift(semitones: float, pitch: PitchConfig) -> None:
    if semitones and not pitch.num_rows:
        raise InputError(
            f"pitch_shift is {semitones}, expected 0: the model is not given the pitch"
        )
    if not abs(semitones) <= LARGEST_SHIFT:
        raise InputError(
            f"pitch_shift is {semitones}, expected -{LARGEST_SHIFT} to {LARGEST_SHIFT} semitones"
        )


def _seed_of(seed: int, name: Path) -> int:
    # As the file system has the name: it need not be UTF-8.
    letters = name.as_posix().encode(errors="surrogateescape")
    words = np.random.SeedSequence([seed, *letters]).generate_state(2)
    return int(words[0]) << 20 ^ int(words[1])
