"""Waveforms from a trained model, generated from recordings' log-mels or saved log-mels."""

import errno
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from data import MelFormat, mark_output
from flows import Engine
from pipelines.generation.input_errors import InputError, InputsFailedError
from pipelines.generation.inputs import MODEL_FORMAT, find_inputs, left_out_lines
from pipelines.generation.vocoder import STANDARD_OUTPUT, Generated, Vocoder
from pipelines.models import model_files
from pipelines.precision import PrecisionName, networks_in
from pipelines.standard_streams import is_open
from pipelines.workspace import (
    load_model,
    mel_of,
    pick_device,
    pitch_of,
    speakers_known,
    statistics_of,
)
from storage.folder_lock import folder_lock
from storage.overwriting import refuse_overwriting

# Errors of the disk or of the stream's reader end the run. Other errors, such as a name that is too
# long, concern one file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE)


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
    mels: MelFormat = MODEL_FORMAT,
) -> list[Generated]:
    """Generate a waveform for every input.

    If an input of a folder cannot be used, the others are still done.

    Args:
        model: folder of a teacher or a student, or the name of a pretrained model.
        input: an audio file, a log-mel `.npy`, `.npz` or `.pt` of shape (num_mels, L), or a folder
            of such files. For a model that is given the pitch, an array has two more rows, see
            `data.pitch_rows`.
        out: folder that gets one file for each input, with the input's relative name. "-" streams
            one input to standard output, and messages go to standard error.
        format: format of the files, 16-bit.
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
        mels: convention and layout of the log-mels. Values that cannot be of the convention are an
            error. If the convention centres frames half a hop earlier than the model's, the
            waveform is cut by half a hop at both ends, so that it is on time.
    Returns:
        descriptions of the written files, in order.
    Raises:
        InputsFailedError: at the end, if some inputs of a folder could not be used.
        OverwriteError: if a file that is read would be overwritten.
        ValueError: if the model or a single input cannot be used, or if another run is writing to
            `out`; files that are already written stay.
    """
    to_stdout = out == STANDARD_OUTPUT
    stream = stream or to_stdout
    if to_stdout and input.is_dir():
        raise InputError(f"{input}: is a folder, but one input goes to standard output")
    if to_stdout and not is_open(sys.stdout):
        raise InputError("out is -, but standard output is closed")
    messages = sys.stderr if to_stdout else sys.stdout
    network = load_model(model, pick_device(device))
    vocoder = Vocoder(
        network=network,
        mel=mel_of(network, model),
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
    if skip_existing:
        targets = {source: target for source, target in targets.items() if not target.exists()}
        num_there = len(names) - len(targets)
        print(f"{num_there} of {len(names)} are in {out} already", file=messages)
    with networks_in(precision, network):
        print(f"{network.kind}: {network.choose_engine(engine)[1]}", file=messages)
    written: list[Generated] = []
    failed: dict[Path, str] = {}

    def note(source: Path, error: ValueError | OSError) -> None:
        is_everyones = isinstance(error, OSError) and error.errno in _DISK_ERRORS
        if is_everyones or not input.is_dir():
            raise error
        failed[source] = str(error)
        tqdm.write(f"not generated: {error}", file=sys.stderr)

    with _OutputFolder(None if to_stdout else out) as folder:
        for source in tqdm(targets, desc="generate", unit="file", disable=len(targets) < 2):
            try:
                features = vocoder.features(source)
            except ValueError as error:
                note(source, error)
                continue
            folder.open()
            try:
                written.append(vocoder.write(source, features, names[source], targets[source]))
            except (ValueError, OSError) as error:
                note(source, error)
    if failed:
        raise InputsFailedError(written, failed, len(names))
    return written


class _OutputFolder(ExitStack):
    """The output folder. It is made with the first file, so unusable inputs leave no folder.

    Args:
        path: the folder; None for a stream.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path

    def open(self) -> None:
        """Make, mark and lock the folder at the first call."""
        if self._path is not None:
            mark_output(self._path)
            self.enter_context(folder_lock(self._path))
            self._path = None
