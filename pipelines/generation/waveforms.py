"""Generation of waveforms by a trained model, from recordings' log-mels or from saved log-mels."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TextIO

from tqdm import tqdm

from data import MelFormat, refuse_foreign_files
from flows import Engine
from flows.model_folder import model_files, model_folder
from pipelines.generation.input_errors import InputError, InputsFailedError
from pipelines.generation.inputs import MODEL_FORMAT, left_out_lines
from pipelines.generation.sharing import DRAWN_PER_PROCESS, Job, choose_processes, vocode_all
from pipelines.generation.sources import Sources, open_sources
from pipelines.generation.targets import Destination, FileFormat, OutputFolder, destination
from pipelines.generation.vocoder import STANDARD_OUTPUT, Generated, Vocoder, VocoderOptions
from pipelines.precision import PrecisionName
from pipelines.standard_streams import is_open
from pipelines.workspace import pick_device
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
    processes: int | Literal["auto"] = 1,
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
            samples equal a file's samples up to rounding, which may let a voice's highest harmonic
            begin a sample earlier or later: up to some 50 steps of 16 bits.
        speaker: the speaker, for a model that knows speakers; default: the first folder of an
            input's path below the searched folder.
        pitch_shift: number of semitones added to the pitch, for a model that is given the pitch.
        skip_existing: leave out inputs whose file in `out` exists.
        equalise: filter each drawn waveform so that its log-mel comes closer to the input's; see
            `dsp.filters.mel_equaliser`. With a pitch shift, only bands too wide to show single
            harmonics are filtered.
        mels: convention and layout of the log-mels. Values that cannot be of the convention are an
            error. If the convention centres frames half a hop before the model's frames, the
            waveform is cut by half a hop at both ends, so that it is aligned with the recording.
        processes: number of inputs that are drawn at the same time, on one thread each, after the
            first one; see `choose_processes`.
    Returns:
        descriptions of the written files, in order.
    Raises:
        DataError: if one of several processes is killed.
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
            if target.is_folder and not skip_existing:
                refuse_foreign_files(out, targets.values())
        for line in left_out_lines(sources.left_out):
            print(line, file=messages)
        if skip_existing:
            targets = _missing(targets, out, messages)
        place = pick_device(device)
        chosen = choose_processes(processes, place.type, len(targets), DRAWN_PER_PROCESS)
        options = VocoderOptions(
            model=model,
            device=str(place),
            mels=mels,
            speaker=speaker,
            pitch_shift=pitch_shift,
            seed=seed,
            temperature=temperature,
            max_seconds=max_seconds,
            engine=engine,
            precision=precision,
            stream=target.is_stream,
            equalise=equalise,
        )
        vocoder = Vocoder(options)
        print(vocoder.describe_engine(), file=messages)
        return _generate_all(vocoder, sources, targets, target, chosen, messages)


def _missing(targets: dict[Path, Path], out: Path, messages: TextIO) -> dict[Path, Path]:
    """Leave out inputs whose output exists, and print how many there are."""
    left = {source: target for source, target in targets.items() if not target.exists()}
    print(f"{len(targets) - len(left)} of {len(targets)} are in {out} already", file=messages)
    return left


def _generate_all(
    vocoder: Vocoder,
    sources: Sources,
    targets: dict[Path, Path],
    where: Destination,
    processes: int,
    messages: TextIO,
) -> list[Generated]:
    """Draw and write the waveform of each source; continue after a bad one of several sources."""
    written: dict[Path, Generated] = {}
    failed: dict[Path, str] = {}
    jobs = [Job(source, sources.names[source], target) for source, target in targets.items()]
    with (
        OutputFolder(where.out if where.is_folder else None) as folder,
        tqdm(total=len(jobs), desc="generate", unit="file", disable=len(jobs) < 2) as bar,
    ):
        for source, result in vocode_all(vocoder, jobs, processes, folder.open):
            bar.update()
            if isinstance(result, Generated):
                written[source] = result
                if result.num_clipped:
                    tqdm.write(_clipping_warning(result), file=messages)
                continue
            message = sources.in_words(str(result))
            is_everyones = isinstance(result, OSError) and result.errno in _DISK_ERRORS
            if is_everyones or (not sources.has_many and message == str(result)):
                raise result
            if not sources.has_many:
                raise InputError(message) from result
            failed[source] = message
            tqdm.write(f"not generated: {message}", file=sys.stderr)
    in_order = [written[source] for source in targets if source in written]
    if failed:
        reasons = {source: failed[source] for source in targets if source in failed}
        raise InputsFailedError(in_order, reasons, len(sources.names))
    return in_order


def _clipping_warning(item: Generated) -> str:
    clipped = f"{item.num_clipped} of {item.num_samples} samples were clipped"
    return f"warning: {item.path}: {clipped}"
