"""The page's folder: HTML, JavaScript, a student as ONNX, and the runtime for it."""

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

from data import MelConfig, mark_output, read_waveform, write_waveform
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
    """Write the page and all that it needs.

    Args:
        model: folder of a student, or the name of a pretrained one.
        out: folder, made if needed; it may be put on any web server.
        example: a recording that visitors may try.
    Returns:
        the page, `index.html`, written last.
    Raises:
        ArtefactError: if the page cannot run the model.
        WebRuntimeError: if the browsers' runtime cannot be had.
        AudioError: if the example cannot be read.
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
    refuse_overwriting(read, [out / name for name in (EXAMPLE_FILE, ONNX_FILE, STUDENT_FILE)])
    waveform = None if example is None else read_waveform(example, mel.sample_rate)
    mark_output(out)
    for name, content in runtime.items():
        write_file(out / "runtime" / name, content)
    if waveform is not None:
        write_waveform(out / EXAMPLE_FILE, waveform, mel.sample_rate)
    described = _describe(student, mel) | {
        "name": called,
        "runtime": VERSION,
        "example": EXAMPLE_FILE if waveform is not None else None,
    }
    described |= _write_student(student, mel, out / ONNX_FILE)
    write_file(out / STUDENT_FILE, json.dumps(described, indent=1))
    pages = resources.files("pipelines.demo").joinpath("web").iterdir()
    for file in sorted(pages, key=lambda file: file.name == INDEX_FILE):  # the page last
        write_file(out / file.name, file.read_bytes())
    return out / INDEX_FILE


def _check_runs_in_a_page(student: Student, mel: MelConfig, model: Path) -> None:
    """Refuse a student that needs more than the log-mel that the page computes."""
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
    """Describe to the page how the student is run; numbers and names alone."""
    has_voice = student.config.excitation.kind == "voice"
    return {
        "mel": dataclasses.asdict(mel),
        "noise": student.config.base,
        "context_margin": student.config.context_margin,
        "controls": has_voice,
        "breath": student.config.excitation.breath if has_voice else None,
    }


def _write_student(student: Student, mel: MelConfig, path: Path) -> dict[str, int]:
    """Export the student, which is not usable afterwards; return the size of its state."""
    has_voice, config = student.config.excitation.kind == "voice", student.config
    network = StreamingStudent(student)
    described = metadata(config, mel, network, controls=has_voice)
    write_file(path, write_onnx(trace(network, config, has_voice), described))
    return {"state_size": network.state_size}
