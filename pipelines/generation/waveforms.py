"""Generation of waveforms by a trained model, from recordings' log-mels or from saved log-mels."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from data import MelFormat
from dsp.filters.mel_equaliser import LOW
from flows import Engine
from flows.model_folder import model_files, model_folder
from pipelines.generation.input_errors import InputError, InputsFailedError
from pipelines.generation.inputs import MODEL_FORMAT, left_out_lines
from pipelines.generation.sources import Sources, open_sources
from pipelines.generation.targets import Destination, FileFormat, OutputFolder, destination
from pipelines.generation.vocoder import STANDARD_OUTPUT, Generated, Vocoder
from pipelines.precision import PrecisionName, networks_in
from pipelines.standard_streams import is_open
from pipelines.workspace import (
    equaliser_of,
    load_model,
    mel_of,
    pick_device,
    pitch_of,
    speakers_known,
    statistics_of,
)
from storage.overwriting import refuse_overwriting

# Errors of the disk or of the stream's reader end the run. Other errors, such as a name that is too
# long, concern one file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE)


def generate(
    model: Path,
    input: Path | Sequence[Path],
    out: Path,
    *,
    format: FileFormat | None = None,
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
    equalise: bool = True,
    mels: MelFormat = MODEL_FORMAT,
) -> list[Generated]:
    """Generate a waveform for every input.

    If one of several inputs cannot be used, the waveforms of the others are still written.

    Args:
        model: folder of a teacher or a student, or a name; see `flows.model_folder`.
        input: one or several inputs: audio files, log-mels `.npy`, `.npz` or `.pt` of shape
            (num_mels, L), folders of either, patterns, or "-" for standard input; see
            `open_sources`. For a model that is given the pitch, a log-mel has two rows more, see
            `data.pitch_rows`.
        out: folder that gets one file for each input, with the input's relative name. For a single
            input, `out` may be a file that ends in .wav, .flac or .raw. With "-", the samples go to
            standard output as they are drawn, and messages go to standard error.
        format: format of the files, 16-bit; default: the format of `out` if it is a file, else
            "wav".
        seed: seed of the noise; a file's noise depends on the seed and the file's name alone.
        temperature: factor of the noise.
        max_seconds: largest length of an input; longer inputs are cut.
        device: "auto", "cpu" or "cuda".
        engine: sampling engine: "compiled" on a CPU, "fused" (student), "graph" or "persistent"
            (teacher) on a GPU, "torch", or "auto": the first that applies, except "persistent".
        precision: "auto", "32-true", "bf16-mixed" (networks in bfloat16) or "16-mixed" (see
            `pipelines.precision`).
        stream: write raw 16-bit little-endian PCM (`.raw` instead of `format`) while sampling. The
            samples equal a file's samples up to rounding.
        speaker: the speaker, for a model that knows speakers.
        pitch_shift: number of semitones added to the pitch, for a model that is given the pitch.
        skip_existing: leave out inputs whose file in `out` exists.
        equalise: filter each drawn waveform so that its log-mel comes closer to the input's; see
            `dsp.filters.mel_equaliser`. With a pitch shift, only bands too wide to show single
            harmonics are filtered.
        mels: convention and layout of the log-mels. Values that cannot be of the convention are an
            error. If the convention centres frames half a hop before the model's frames, the
            waveform is cut by half a hop at both ends, so that it is aligned with the recording.
    Returns:
        descriptions of the written files, in order.
    Raises:
        InputsFailedError: at the end, if some of several inputs could not be used.
        OverwriteError: if a file that is read would be overwritten.
        ValueError: if the model or a single input cannot be used, or if another run is writing to
            `out`; files that are already written stay.
    """
    target = destination(out, format, stream)
    if out == STANDARD_OUTPUT and not is_open(sys.stdout):
        raise InputError("out is -, but standard output is closed")
    if skip_existing and target.is_stream:
        raise InputError("skip_existing is true with stream: a .raw file may be unfinished")
    messages = sys.stderr if out == STANDARD_OUTPUT else sys.stdout
    model = model_folder(model)  # once: a hub may have to be asked
    inputs = [input] if isinstance(input, Path) else list(input)
    target.check(len(inputs) > 1 or any(path.is_dir() for path in inputs))
    with open_sources(inputs) as sources:
        target.check(sources.has_many)
        targets = target.of(sources.names)
        if out != STANDARD_OUTPUT:
            read = [*targets, *model_files(model)]
            if sources.from_standard_input is not None:
                read.append(Path("/dev/stdin"))  # the file that a shell has put there, if any
            refuse_overwriting(read, targets.values())
        network = load_model(model, pick_device(device))
        mel = mel_of(network, model)
        low = 0.0 if pitch_shift else LOW
        equaliser = equaliser_of(network, mel, low) if equalise else None
        vocoder = Vocoder(
            network=network,
            mel=mel,
            pitch=pitch_of(network, model),
            mels=mels,
            statistics=statistics_of(network),
            speakers=speakers_known(network, model),
            speaker=speaker,
            pitch_shift=pitch_shift,
            seed=seed,
            temperature=temperature,
            max_seconds=max_seconds,
            engine=engine,
            precision=precision,
            stream=target.is_stream,
            equaliser=equaliser,
            messages=messages,
        )
        for line in left_out_lines(sources.left_out):
            print(line, file=messages)
        if skip_existing:
            targets = _missing(targets, out, messages)
        with networks_in(precision, network):
            print(f"{network.kind}: {network.choose_engine(engine)[1]}", file=messages)
        return _generate_all(vocoder, sources, targets, target)


def _missing(targets: dict[Path, Path], out: Path, messages: TextIO) -> dict[Path, Path]:
    """Leave out inputs whose output exists, and print how many there are."""
    left = {source: target for source, target in targets.items() if not target.exists()}
    print(f"{len(targets) - len(left)} of {len(targets)} are in {out} already", file=messages)
    return left


def _generate_all(
    vocoder: Vocoder, sources: Sources, targets: dict[Path, Path], where: Destination
) -> list[Generated]:
    """Draw and write the waveform of each source; continue after a bad one of several sources."""
    written: list[Generated] = []
    failed: dict[Path, str] = {}

    def note(source: Path, error: ValueError | OSError) -> None:
        message = sources.in_words(str(error))
        is_everyones = isinstance(error, OSError) and error.errno in _DISK_ERRORS
        if is_everyones or (not sources.has_many and message == str(error)):
            raise error
        if not sources.has_many:
            raise InputError(message) from error
        failed[source] = message
        tqdm.write(f"not generated: {message}", file=sys.stderr)

    with OutputFolder(where.out if where.is_folder else None) as folder:
        for source in tqdm(targets, desc="generate", unit="file", disable=len(targets) < 2):
            try:
                features = vocoder.features(source)
            except ValueError as error:
                note(source, error)
                continue
            folder.open()
            try:
                name = sources.names[source]
                written.append(vocoder.write(source, features, name, targets[source]))
            except (ValueError, OSError) as error:
                note(source, error)
    if failed:
        raise InputsFailedError(written, failed, len(sources.names))
    return written
