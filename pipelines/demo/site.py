"""The folder of the demo page: HTML, JavaScript, a student as ONNX, and the ONNX runtime."""

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

from data import (
    MelConfig,
    mark_output,
    read_waveform,
    refuse_foreign_files,
    write_waveform,
)
from flows.model_folder import ArtefactError, model_files, model_folder
from pipelines.commands.export import check_packages, metadata, trace, write_onnx
from pipelines.demo.web_runtime import VERSION, runtime_files
from pipelines.workspace import load_model, mel_of
from storage.atomic import write_file
from storage.overwriting import refuse_overwriting
from student import StreamingStudent, Student

INDEX_FILE = "index.html"
STUDENT_FILE = "student/student.json"
ONNX_FILE = "student/stream.onnx"
EXAMPLE_FILE = "example.wav"


def write_site(model: Path, out: Path, example: Path | None = None) -> Path:
    """Write the demo page and every file that it needs.

    Args:
        model: folder of a student, or the name of a pretrained student.
        out: folder to write into, made if missing. Any web server can serve it.
        example: a recording that visitors can try; None for no example.
    Returns:
        path of the page, `index.html`, which is written last.
    Raises:
        ArtefactError: if the page cannot run the model.
        ExportError: if a package that the export needs is missing.
        WebRuntimeError: if the ONNX runtime cannot be fetched.
        AudioError: if the example cannot be read.
        OverwriteError: if a file of the model, or the example, would be overwritten, or a file in
            a folder that this program has not made.
    """
    check_packages()
    called, model = model.resolve().name, model_folder(model)
    student = load_model(model)
    if not isinstance(student, Student):
        raise ArtefactError(f"{model}: expected a student, got a {student.kind}")
    mel = mel_of(student, model)
    _check_runs_in_a_page(student, mel, model)
    runtime = runtime_files()
    read = [*model_files(model), *([] if example is None else [example])]
    written = [out / name for name in (EXAMPLE_FILE, ONNX_FILE, STUDENT_FILE)]
    refuse_overwriting(read, written)
    pages = sorted(
        resources.files("pipelines.demo").joinpath("web").iterdir(),
        key=lambda file: file.name == INDEX_FILE,  # the page last
    )
    refuse_foreign_files(out, [*written, *(out / file.name for file in pages)])
    waveform = None if example is None else read_waveform(example, mel.sample_rate)
    mark_output(out)
    for name, content in runtime.items():
        write_file(out / "runtime" / name, content)
    if waveform is None:
        (out / EXAMPLE_FILE).unlink(missing_ok=True)  # else an earlier one would be published
    else:
        write_waveform(out / EXAMPLE_FILE, waveform, mel.sample_rate)
    described = _describe(student, mel) | {
        "name": called,
        "runtime": VERSION,
        "example": EXAMPLE_FILE if waveform is not None else None,
    }
    described |= _write_student(student, mel, out / ONNX_FILE)
    write_file(out / STUDENT_FILE, json.dumps(described, indent=1))
    for file in pages:
        write_file(out / file.name, file.read_bytes())
    return out / INDEX_FILE


def _check_runs_in_a_page(student: Student, mel: MelConfig, model: Path) -> None:
    """Refuse a student that reads more than a log-mel which the page can compute."""
    config = student.config
    needs = {
        "the pitch": config.pitch,
        "a speaker": config.num_speakers > 0,
        f"an n_fft of {mel.n_fft}, which is no power of 2": mel.n_fft & (mel.n_fft - 1) > 0,
    }
    found = [name for name, needed in needs.items() if needed]
    if found:
        raise ArtefactError(
            f"{model}: is given {' and '.join(found)}, expected a student that the log-mel of the "
            "page is enough for"
        )


def _describe(student: Student, mel: MelConfig) -> dict[str, Any]:
    """Return the values that the page needs to run the student, as plain JSON values."""
    has_voice = student.config.excitation.kind == "voice"
    return {
        "mel": dataclasses.asdict(mel),
        "noise": student.config.base,
        "context_margin": student.config.context_margin,
        "controls": has_voice,
        "breath": student.config.excitation.breath if has_voice else None,
    }


def _write_student(student: Student, mel: MelConfig, path: Path) -> dict[str, int]:
    """Export the student to an ONNX file. The student is not usable afterwards.

    Returns:
        `state_size`, the number of values in the streaming state.
    """
    has_voice, config = student.config.excitation.kind == "voice", student.config
    network = StreamingStudent(student)
    described = metadata(config, mel, network, controls=has_voice)
    write_file(path, write_onnx(trace(network, config, has_voice), described))
    return {"state_size": network.state_size}
