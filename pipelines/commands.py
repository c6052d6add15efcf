"""The commands behind `parallel-wavenet`, one function each; the command line is made from them."""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import torch

import data
from data import Manifest, SegmentSampler, UtteranceSet
from distill import initialise_context
from flows import Engine
from flows.atomic import atomic_write
from pipelines import benchmark as benchmarking
from pipelines import generate as generating
from pipelines import interpolate as interpolating
from pipelines.processes import rank, world_size
from pipelines.recipe import Recipe, TrainingConfig
from pipelines.summary import summary_of
from pipelines.tasks import StudentTask, TeacherTask
from pipelines.training import train
from pipelines.workspace import held_out, mel_of, pick_device, provenance
from student import Student
from teacher import Teacher


def prepare(
    recipe: Recipe,
    corpus: Path | None = None,
    corpora: Path = Path("corpora"),
    dump: Path | None = None,
    part: int | None = None,
    num_parts: int = 1,
) -> None:
    """Fetch a corpus, compute its features and split it; resumes and skips what is done.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        corpus: folder of audio files to use instead of the recipe's corpus.
        corpora: where named corpora are kept.
        dump: where features go; default: dump/NAME.
        part: do only this share of the recordings, from 0; when all are done, run without.
        num_parts: how many shares there are, for as many processes or machines.
    """
    config = recipe.data
    if corpus is not None:
        config = dataclasses.replace(config, corpus=str(corpus))
    folder = data.fetch(config.corpus, corpora)
    if part is not None:
        num_made = data.prepare_part(folder, dump or _dump_of(recipe), config, part, num_parts)
        print(f"part {part} of {num_parts}: {num_made} recordings made")
        return
    print(data.prepare(folder, dump or _dump_of(recipe), config).report(), end="")


def train_teacher(
    recipe: Recipe, dump: Path | None = None, exp: Path | None = None, device: str = "auto"
) -> None:
    """Train a teacher by maximum likelihood; resumes an interrupted run.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        dump: prepared data; default: dump/NAME.
        exp: results; the model goes to its folder `teacher`; default: exp/NAME.
        device: "auto", "cpu" or "cuda".
    """
    dump, exp = dump or _dump_of(recipe), exp or _exp_of(recipe)
    manifest = _manifest(recipe, dump)
    config = recipe.teacher_training
    place = pick_device(device)
    torch.manual_seed(recipe.seed)
    model = Teacher(recipe.teacher)
    _set_statistics(model, manifest)
    task = TeacherTask(model, held_out(manifest, "val", config.validation_utterances, place))
    train(
        task,
        _sampler(recipe, manifest, config),
        config,
        exp / "teacher",
        provenance(recipe, manifest),
        device=place.type,
        sample_rate=recipe.data.mel.sample_rate,
    )
    if rank() == 0:
        print(f"teacher: {exp / 'teacher'}")


def distill(
    recipe: Recipe,
    dump: Path | None = None,
    teacher: Path | None = None,
    exp: Path | None = None,
    device: str = "auto",
) -> None:
    """Distil a student from a teacher; resumes an interrupted run.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        dump: prepared data; default: dump/NAME.
        teacher: folder of the trained teacher; default: EXP/teacher.
        exp: results; the model goes to its folder `student`; default: exp/NAME.
        device: "auto", "cpu" or "cuda".
    """
    dump, exp = dump or _dump_of(recipe), exp or _exp_of(recipe)
    manifest = _manifest(recipe, dump)
    config = recipe.student_training
    place = pick_device(device)
    train(
        student_task(recipe, dump, teacher or exp / "teacher", place),
        _sampler(recipe, manifest, config),
        config,
        exp / "student",
        provenance(recipe, manifest),
        device=place.type,
        sample_rate=recipe.data.mel.sample_rate,
    )
    if rank() == 0:
        print(f"student: {exp / 'student'}")


def student_task(recipe: Recipe, dump: Path, teacher: Path, place: torch.device) -> StudentTask:
    """Build an untrained student and what it is trained and measured by.

    Args:
        recipe: sizes, objective and seed.
        dump: prepared data.
        teacher: folder of the trained teacher.
        place: where the teacher and the held-out utterances go.
    Raises:
        ValueError: if the teacher or the data do not fit the recipe.
    """
    manifest = _manifest(recipe, dump)
    teacher_model = Teacher.from_pretrained(teacher, place)
    mel_of(teacher_model, teacher).check_same(manifest.mel, str(dump))
    torch.manual_seed(recipe.seed)
    model = Student(recipe.student)
    _set_statistics(model, manifest)
    if recipe.distillation.initialise_context and not initialise_context(model, teacher_model):
        print("the teacher's context network has another shape: the student's starts afresh")
    return StudentTask(
        model,
        teacher_model,
        recipe.distillation,
        held_out(manifest, "val", recipe.student_training.validation_utterances, place),
        recipe.data.mel,
        recipe.seed,
    )


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
) -> None:
    """Generate waveforms from recordings (by way of their mel) or from saved log-mels.

    Args:
        model: folder of a student or a teacher.
        input: an audio file, a log-mel .npy (num_mels, L), or a folder of either.
        out: folder that gets one file per input.
        format: of the files, 16-bit.
        seed: of the noise; the same seed gives the same file.
        temperature: factor on the noise.
        max_seconds: cut inputs to this length.
        device: "auto", "cpu" or "cuda".
        engine: how to sample: "compiled", "torch", or "auto": compiled where it applies.
    """
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
    )
    for item in written:
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
    )
    for file in written:
        print(file)


def benchmark(
    teacher: Path,
    student: Path,
    seconds: float = 1.0,
    naive_samples: int = 200,
    rounds: int = 3,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Compare the sampling speed of teacher (naive and cached), student and Griffin-Lim.

    Args:
        teacher: folder of a trained teacher.
        student: folder of a trained student.
        seconds: audio drawn per call.
        naive_samples: samples the naive sampler draws; its time is extrapolated.
        rounds: interleaved measurements per system; medians are compared.
        out: JSON file to write as well.
        device: "auto", "cpu" or "cuda".
        seed: of conditioning and noise.
    """
    result = benchmarking.benchmark(
        teacher,
        student,
        seconds=seconds,
        naive_samples=naive_samples,
        rounds=rounds,
        device=device,
        seed=seed,
    )
    print(benchmarking.benchmark_table(result))
    _write_json(out, result)


def excerpts(
    dump: Path,
    out: Path,
    split: Literal["val", "test"] = "test",
    limit: int = 4,
    min_seconds: float = 1.0,
) -> None:
    """Write held-out recordings as WAV files, to listen to and to generate from.

    Args:
        dump: prepared data.
        out: folder that gets one file per recording.
        split: "val" or "test".
        limit: at most so many, the first by name.
        min_seconds: leave out shorter ones.
    """
    manifest = Manifest.load(dump)
    shortest = min_seconds * manifest.mel.frames_per_second
    chosen = UtteranceSet(manifest, split)
    long_enough = [i for i, u in enumerate(chosen.utterances) if u.num_frames >= shortest]
    if not long_enough:
        raise data.DataError(f"{dump}: no {split} utterance of at least {min_seconds} s")
    for i in long_enough[:limit]:
        path = out / f"{chosen.utterances[i].name}.wav"
        data.write_waveform(path, chosen.load(i)[0][0].numpy(), manifest.mel.sample_rate)
        print(path)


def summarise(exp: Path) -> None:
    """Print what a run achieved and where to listen.

    Args:
        exp: results of run_distill.sh.
    """
    text = summary_of(exp)
    with atomic_write(exp / "summary.md") as file:
        file.write(text.encode())
    print(text, end="")


def _manifest(recipe: Recipe, dump: Path) -> Manifest:
    manifest = Manifest.load(dump)
    recipe.data.mel.check_same(manifest.mel, str(dump))
    return manifest


def _set_statistics(model: Teacher | Student, manifest: Manifest) -> None:
    found = manifest.statistics
    model.set_statistics(
        torch.tensor(found.mel_mean), torch.tensor(found.mel_std), found.waveform_std
    )


def _sampler(recipe: Recipe, manifest: Manifest, config: TrainingConfig) -> SegmentSampler:
    return SegmentSampler(
        manifest,
        "train",
        batch_size=config.batch_size,
        segment_frames=config.segment_frames,
        margin_frames=recipe.teacher.context_margin,
        seed=recipe.seed,
        part=rank(),
        num_parts=world_size(),
    )


def _dump_of(recipe: Recipe) -> Path:
    return Path("dump") / recipe.name


def _exp_of(recipe: Recipe) -> Path:
    return Path("exp") / recipe.name


def _write_json(path: Path | None, result: object) -> None:
    if path is not None:
        with atomic_write(path) as file:
            file.write((json.dumps(result, indent=2) + "\n").encode())
