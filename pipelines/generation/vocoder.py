"""Vocoding of one input: from frames to an audio file or a stream of PCM."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data import MelFormat, lead_samples, with_speaker, write_blocks, write_pcm
from dsp.filters.mel_equaliser import LOW
from dsp.pitch import LARGEST_SHIFT
from flows import Engine
from pipelines.generation.input_errors import InputError
from pipelines.generation.inputs import check_max_seconds, holds_mel, read_frames
from pipelines.precision import PrecisionName, networks_in
from pipelines.workspace import (
    equaliser_of,
    load_model,
    mel_of,
    pitch_of,
    speakers_known,
    statistics_of,
)
from student import Student

STREAMED_FRAMES = 8
"""Number of frames in a streamed piece: 128 ms at 16 kHz and a hop of 256. A student draws a piece
before it reads the next one."""

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A written file."""

    source: Path
    path: Path
    seconds: float
    num_samples: int
    num_clipped: int


@dataclass(frozen=True, kw_only=True)
class VocoderOptions:
    """A model and how it draws; the arguments of `generate` that every input shares.

    Each process that draws makes a `Vocoder` from them.

    Args:
        model: folder of the model.
        device: device of the model, as `pick_device` returns it.
        stream: whether raw PCM is written.
    """

    model: Path
    device: str
    mels: MelFormat
    speaker: str | None
    pitch_shift: float
    seed: int
    temperature: float
    max_seconds: float | None
    engine: Engine
    precision: PrecisionName
    stream: bool
    equalise: bool


class Vocoder:
    """A loaded model that draws the waveforms of inputs.

    Args:
        options: the model, and how it draws.
        shows_progress: whether a bar shows the samples of the present waveform.
    Raises:
        ValueError: if an option is impossible, or does not fit the model.
    """

    def __init__(self, options: VocoderOptions, shows_progress: bool = True) -> None:
        self.options, self.shows_progress = options, shows_progress
        self.network = network = load_model(options.model, torch.device(options.device))
        self.mel = mel_of(network, options.model)
        self.pitch = pitch_of(network, options.model)
        self.statistics = statistics_of(network)
        self.speakers = speakers_known(network, options.model)
        low = 0.0 if options.pitch_shift else LOW
        self.equaliser = equaliser_of(network, self.mel, low) if options.equalise else None
        self._set_shift()
        if not 0.0 <= options.temperature < math.inf:
            raise InputError(f"temperature is {options.temperature}, expected a finite number >= 0")
        if options.seed < 0:
            raise InputError(f"seed is {options.seed}, expected >= 0")
        check_max_seconds(options.max_seconds)
        if options.speaker is not None:
            with_speaker(torch.zeros(self.mel.num_mels, 1), self.speakers, options.speaker)

    def _set_shift(self) -> None:
        """Check the pitch shift, and tell it to a student that predicts its pitch."""
        shift, network = self.options.pitch_shift, self.network
        predicts = isinstance(network, Student) and network.config.predicts_pitch
        if shift and not self.pitch.num_rows and not predicts:
            raise InputError(f"pitch_shift is {shift}, expected 0: the model has no pitch to shift")
        if not abs(shift) <= LARGEST_SHIFT:
            raise InputError(
                f"pitch_shift is {shift}, expected -{LARGEST_SHIFT} to {LARGEST_SHIFT} semitones"
            )
        if isinstance(network, Student) and predicts:
            network.set_pitch_shift(shift)

    def describe_engine(self) -> str:
        """Say how the model draws, in words."""
        with networks_in(self.options.precision, self.network):
            return f"{self.network.kind}: {self.network.choose_engine(self.options.engine)[1]}"

    def features(self, source: Path, name: Path) -> Tensor:
        """Read an input's features for the network, shape (1, rows, L).

        Args:
            source: the input.
            name: name of its output. Its first folder is the speaker, if the model knows it and no
                speaker is given.
        """
        options = self.options
        frames = read_frames(
            source,
            self.mel,
            self.pitch,
            pitch_shift=options.pitch_shift,
            mels=options.mels,
            statistics=self.statistics,
        )
        # A convention with early frames has one frame more, which begins before the recording.
        num_more = int(self._lead(source) > 0)
        if frames.shape[-1] <= num_more:
            convention = options.mels.convention
            raise InputError(
                f"{source}: has 1 frame, expected at least 2 of convention {convention}"
            )
        if options.max_seconds is not None:
            length = round(options.max_seconds * self.mel.sample_rate / self.mel.hop_length)
            frames = frames[:, : max(1, length) + num_more]
        speaker = options.speaker
        if speaker is None and name.parts[0] in self.speakers:
            speaker = name.parts[0]
        told = with_speaker(torch.from_numpy(frames)[None], self.speakers, speaker)
        return told.to(next(self.network.parameters()))

    def write(self, source: Path, features: Tensor, name: Path, target: Path) -> Generated:
        """Draw a waveform and write it to a file or a stream.

        Args:
            source: the input.
            features: result of `features` for the input.
            name: name of the output, which seeds the noise together with `seed`.
            target: the file to write, or `STANDARD_OUTPUT`.
        """
        generator = torch.Generator(features.device).manual_seed(_seed_of(self.options.seed, name))
        lead = self._lead(source)
        total = features.shape[-1] * self.mel.hop_length - (self.mel.hop_length if lead else 0)
        hidden = not self.shows_progress
        with (
            tqdm(total=total, desc=name.name, unit="sample", leave=False, disable=hidden) as bar,
            networks_in(self.options.precision, self.network),  # in sampling, not in computing mels
        ):
            counted = _counted(_cut(self._pieces(features, generator), lead, total), bar)
            if self.options.stream:
                num_samples, num_clipped = _write_raw(target, counted)
            else:
                num_samples, num_clipped = write_blocks(target, counted, self.mel.sample_rate)
        return Generated(
            source=source,
            path=target,
            seconds=num_samples / self.mel.sample_rate,
            num_samples=num_samples,
            num_clipped=num_clipped,
        )

    def _lead(self, source: Path) -> int:
        """Return the lead of an input's frames, in samples; see `lead_samples`."""
        convention = self.options.mels.known_convention
        return lead_samples(convention, self.mel) if holds_mel(source) else 0

    def _pieces(self, features: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        options = self.options
        length = STREAMED_FRAMES if options.stream else features.shape[-1]
        chunks = features.split(length, -1)
        drawn = self.network.stream(chunks, options.temperature, generator, options.engine)
        return drawn if self.equaliser is None else self.equaliser.stream(drawn, [features])


def _write_raw(target: Path, pieces: Iterator[Tensor]) -> tuple[int, int]:
    """Write PCM to a file that can be read while it grows, or to standard output.

    Returns:
        the number of samples, and the number of clipped samples.
    """
    if target == STANDARD_OUTPUT:
        return write_pcm(sys.stdout.buffer, pieces, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        return write_pcm(file, pieces, target)


def _cut(pieces: Iterator[Tensor], start: int, length: int) -> Iterator[Tensor]:
    """Yield `length` samples of consecutive pieces, from sample `start` on."""
    for piece in pieces:
        wanted = piece[..., start : start + length]
        start -= min(start, piece.shape[-1])
        length -= wanted.shape[-1]
        if wanted.shape[-1]:
            yield wanted


def _counted(pieces: Iterator[Tensor], bar: tqdm) -> Iterator[Tensor]:
    """Yield the pieces, and advance a progress bar by each piece's samples."""
    for piece in pieces:
        yield piece
        bar.update(piece.shape[-1])


def _seed_of(seed: int, name: Path) -> int:
    # The seed depends on the bytes of the file's name, which need not be UTF-8.
    letters = name.as_posix().encode(errors="surrogateescape")
    words = np.random.SeedSequence([seed, *letters]).generate_state(2)
    return int(words[0]) << 20 ^ int(words[1])
