"""The commands behind `parallel-wavenet` that use what was trained, one function each."""

import json
from pathlib import Path
from typing import Literal

import data
from data import Manifest, UtteranceSet
from flows import Engine
from pipelines.benchmark import comparison as benchmarking
from pipelines.benchmark.scaling import scaling_picture
from pipelines.generation import interpolation as interpolating
from pipelines.generation import waveforms as generating
from pipelines.models import model_files
from pipelines.precision import PrecisionName
from pipelines.report.summary import summary_of
from storage.atomic import atomic_write
from storage.overwriting import refuse_overwriting

EXCERPT_SECONDS = 1.0
"""Shorter recordings are no good to listen to, where there are longer ones."""


def generate(
    model: Path,
    input: Path,
    out: Path,
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
) -> None:
    """Generate waveforms from recordings (by way of their mel) or from saved log-mels.

    Args:
        model: folder of a student or a teacher.
        input: an audio file, a log-mel .npy (num_mels, L), or a folder of either.
        out: folder that gets one file per input; - streams to standard output.
        format: of the files, 16-bit.
        seed: of the noise; the same seed gives the same file.
        temperature: factor on the noise.
        max_seconds: cut inputs to this length.
        device: "auto", "cpu" or "cuda".
        engine: how to sample: "compiled" on a CPU, "fused" (student), "graph" or "persistent"
            (teacher) on a GPU, "torch", or "auto": the first of them that applies, "persistent"
            left out.
        precision: "32-true", "bf16-mixed" (networks in bfloat16, faster where the processor
            multiplies in it), "auto" (that where it does) or "16-mixed".
        stream: write raw 16-bit little-endian PCM, OUT/NAME.raw, as it is drawn.
        speaker: who speaks, for a model that is told.
        pitch_shift: semitones added to the pitch, for a model that is given it.
        skip_existing: leave out inputs whose file is in OUT already, to go on where a run stopped.
    """
    written: list[generating.Generated] = []
    try:
        written = generating.generate(
            model,
            input,
            out,
            format=format,
            seed=seed,
            temperature=temperature,
            max_seconds=max_seconds,
            device=device,
            engine=engine,
            precision=precision,
            stream=stream,
            speaker=speaker,
            pitch_shift=pitch_shift,
            skip_existing=skip_existing,
        )
    except generating.InputsFailedError as error:
        written = error.written
        raise
    finally:
        for item in written if out != generating.STANDARD_OUTPUT else ():
            print(f"{item.path}  {item.seconds:.2f} s")


def interpolate(
    model: Path,
    first: Path,
    second: Path,
    out: Path,
    num_steps: int = 5,
    path: Literal["linear", "spherical"] = "spherical",
    max_seconds: float | None = None,
    device: str = "auto",
    speaker: str | None = None,
) -> None:
    """Walk from one recording to another through the latent space of a model.

    Args:
        model: folder of a teacher or a student.
        first: recording at the start.
        second: recording at the end; the longer one is cut to the length of the shorter.
        out: folder that gets one WAV file per point.
        num_steps: points, both ends included.
        path: "linear" or "spherical".
        max_seconds: use so much of the recordings at most.
        device: "auto", "cpu" or "cuda".
        speaker: who speaks, for a model that is told.
    """
    written = interpolating.interpolate(
        model,
        first,
        second,
        out,
        num_steps=num_steps,
        path=path,
        max_seconds=max_seconds,
        device=device,
        speaker=speaker,
    )
    for file in written:
        print(file)


def benchmark(
    teacher: Path,
    student: Path,
    seconds: float = 1.0,
    lengths: list[float] | None = None,
    batches: list[int] | None = None,
    naive_samples: int = 200,
    rounds: int = 3,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Compare the sampling speed of teacher, student and other vocoders.

    Args:
        teacher: folder of a trained teacher.
        student: folder of a trained student.
        seconds: audio drawn per call.
        lengths: of audio in seconds, [1,5,30]: time teacher and student at each of them, too.
        batches: numbers of streams to do that with, [1,8]; default: [1].
        naive_samples: samples the naive sampler draws; its time is extrapolated.
        rounds: interleaved measurements per system; medians are compared.
        out: JSON file to write as well; for `lengths` with a picture beside it.
        device: "auto", "cpu" or "cuda".
        seed: of conditioning and noise.
    """
    outputs = [] if out is None else [out, out.with_suffix(".png")]
    refuse_overwriting([*model_files(teacher), *model_files(student)], outputs)
    result = benchmarking.benchmark(
        teacher,
        student,
        seconds=seconds,
        lengths=lengths or [],
        batches=batches or [1],
        naive_samples=naive_samples,
        rounds=rounds,
        device=device,
        seed=seed,
    )
    print(benchmarking.benchmark_table(result))
    _write_json(out, result)
    if out is not None and lengths:
        with atomic_write(out.with_suffix(".png")) as file:
            file.write(scaling_picture(result["scaling"]))


def excerpts(
    dump: Path,
    out: Path,
    split: Literal["val", "test"] = "test",
    limit: int = 4,
    min_seconds: float | None = None,
) -> None:
    """Write held-out recordings as WAV files, to listen to and to generate from.

    Args:
        dump: prepared data.
        out: folder that gets one file per recording.
        split: "val" or "test".
        limit: at most so many, the first by name.
        min_seconds: leave out shorter ones; default: those under a second, but if that leaves none,
            the longest are taken.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    manifest = Manifest.load(dump)
    chosen = UtteranceSet(manifest, split)
    taken = _long_enough(chosen, split, min_seconds)[:limit]
    paths = [out / f"{chosen.utterances[i].name}.wav" for i in taken]
    corpus = Path(manifest.contents.corpus)
    refuse_overwriting(data.find_audio_files(corpus) if corpus.is_dir() else [], paths)
    data.mark_output(out)
    for i, path in zip(taken, paths, strict=True):
        data.write_waveform(path, chosen.load(i)[0][0].numpy(), manifest.mel.sample_rate)
        print(path)


def _long_enough(chosen: UtteranceSet, split: str, min_seconds: float | None) -> list[int]:
    """Indices of the utterances that are long enough, or of all, the longest first."""
    wanted = EXCERPT_SECONDS if min_seconds is None else min_seconds
    rate = chosen.manifest.mel.frames_per_second
    lengths = [utterance.num_frames / rate for utterance in chosen.utterances]
    found = [i for i, seconds in enumerate(lengths) if seconds >= wanted]
    if found:
        return found
    message = f"no {split} utterance of at least {wanted} s, the longest has {max(lengths):.2f} s"
    if min_seconds is not None:
        raise data.DataError(f"{chosen.manifest.dump_dir}: {message}")
    print(f"{message}: the longest are taken")
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def summarise(exp: Path) -> None:
    """Print what a run achieved and where to listen.

    Args:
        exp: results of run_distill.sh.
    """
    text = summary_of(exp)
    with atomic_write(exp / "summary.md") as file:
        file.write(text.encode(errors="backslashreplace"))
    print(text, end="")


def _write_json(path: Path | None, result: object) -> None:
    if path is not None:
        with atomic_write(path) as file:
            file.write((json.dumps(result, indent=2) + "\n").encode())
