"""The command `export`: a student as an ONNX or pt2 file for other programs."""

import dataclasses
import importlib.util
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as fx_config

from data import NO_PITCH, MelConfig, PitchConfig
from flows.model_folder import ArtefactError, model_files
from pipelines.workspace import load_model, mel_of, pitch_of
from storage.atomic import write_file
from storage.overwriting import refuse_overwriting
from student import StreamingStudent, Student, StudentConfig, WholeStudent

Format = Literal["onnx", "pt2"]
METADATA_FILE = "metadata.json"
"""Name of a pt2 file's metadata in torch.export.load."""
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_TRACED_FRAMES = 3  # differs from all sizes of the model


class ExportError(ValueError):
    """A model that cannot be exported with these options."""


def export(
    model: Path, format: Format, out: Path, stream: bool = False, controls: bool = False
) -> None:
    """Export a student to a file that other programs run (docs/export.md).

    Args:
        model: folder of a student.
        format: "onnx", or "pt2" for torch.export.load.
        out: the file.
        stream: take and return the state of a stream, for waveforms chunk by chunk.
        controls: take a pitch shift and a breath, too, for a student with a voice.
    Raises:
        ExportError: if the folder holds another model, or a package is missing.
    """
    if format == "onnx":
        check_packages()
    refuse_overwriting(model_files(model), [out])
    if out.is_dir():
        raise ExportError(f"out is {out}, which is a folder: expected a file")
    student = load_model(model)
    if not isinstance(student, Student):
        raise ArtefactError(f"{model}: expected a student, got a {student.kind}")
    mel, config = mel_of(student, model), student.config
    if controls and not config.excitation.kind == "voice":
        raise ExportError(f"{model}: has no voice, whose pitch and breath --controls could change")
    network = StreamingStudent(student) if stream else WholeStudent(student)
    described = metadata(config, mel, network, pitch_of(student, model), controls)
    program = trace(network, config, controls)
    write = write_onnx if format == "onnx" else write_pt2
    write_file(out, write(program, described))
    print(out)


def check_packages() -> None:
    """Raise an ExportError if a package that ONNX needs is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"not installed: {', '.join(missing)}; ./setup.sh --extras export")


def metadata(
    config: StudentConfig,
    mel: MelConfig,
    network: WholeStudent | StreamingStudent,
    pitch: PitchConfig = NO_PITCH,
    controls: bool = False,
) -> dict[str, str]:
    """Describe the file for the programs that run it, in strings.

    Returns:
        `mel`, the log-mel convention as JSON; `pitch`, the pitch configuration as JSON, if the
        student is given the pitch; `noise`, "gaussian" (standard normal) or "logistic" (standard
        logistic); `sample_rate` in Hz; `hop_length`; for a stream, `context_margin` in frames and
        `state_size`; with controls, `breath`, the student's own breath.
    """
    found: dict[str, Any] = {
        "mel": json.dumps(dataclasses.asdict(mel)),
        "noise": config.base,
        "sample_rate": mel.sample_rate,
        "hop_length": mel.hop_length,
    }
    if pitch.num_rows:
        found["pitch"] = json.dumps(dataclasses.asdict(pitch))
    if isinstance(network, StreamingStudent):
        found |= {"context_margin": config.context_margin, "state_size": network.state_size}
    if controls:
        found["breath"] = config.excitation.breath
    return {name: str(value) for name, value in found.items()}


def trace(
    network: WholeStudent | StreamingStudent, config: StudentConfig, controls: bool = False
) -> ExportedProgram:
    """Trace a student, so that the traced program takes any number of frames.

    Without an excitation, the program also takes any number of utterances. With a filter or an
    excitation, it needs at least two frames.
    """
    arguments, shapes = _traced(network, config)
    if controls:
        arguments += (torch.zeros(1, 1), torch.ones(1, 1))
        shapes += ({}, {})
    # Without this, tracing assumes that a dimension is above one if the example's is.
    with torch.no_grad(), cast(Any, fx_config).patch(backed_size_oblivious=True):
        return torch.export.export(network, arguments, dynamic_shapes=shapes)


def write_pt2(program: ExportedProgram, described: Mapping[str, str]) -> bytes:
    """Serialise for torch.export.load, with JSON metadata in the extra file METADATA_FILE."""
    buffer = io.BytesIO()
    extra_files = {METADATA_FILE: json.dumps(described)}
    torch.export.save(program, buffer, extra_files=extra_files)
    return buffer.getvalue()


def write_onnx(program: ExportedProgram, described: Mapping[str, str]) -> bytes:
    """Serialise as ONNX with the model's metadata; outputs are `waveform` and `next_state`."""
    names = ["waveform", "next_state"][: len(program.graph_signature.user_outputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warns twice about names of equal axes
        converted = torch.onnx.export(program, dynamo=True, output_names=names, verbose=False)
    assert converted is not None
    converted.model.metadata_props.update(described)
    serialised: bytes = converted.model_proto.SerializeToString()
    return serialised


def _traced(
    network: WholeStudent | StreamingStudent, config: StudentConfig
) -> tuple[tuple[Tensor, ...], tuple[dict[int, Any], ...]]:
    """Return example arguments for tracing, and the dimensions that may change."""
    # Tracing would make another function for a filter of one frame, and for an excitation of one
    # utterance.
    excited = config.excitation.kind != "none"
    frames = Dim("frames", min=2 if config.filter_order or excited else 1)
    size, batch = (1, Dim.STATIC) if excited else (2, Dim("batch", min=1))
    noise = torch.randn(size, 1, _TRACED_FRAMES * config.hop_length)
    shape = {0: batch, 2: config.hop_length * frames}
    if isinstance(network, WholeStudent):
        log_mel = torch.randn(size, config.num_features, _TRACED_FRAMES)
        return (noise, log_mel), (shape, {0: batch, 2: frames})
    assert isinstance(network, StreamingStudent)
    around = 2 * config.context_margin
    log_mel = torch.randn(size, config.num_features, _TRACED_FRAMES + around)
    state = torch.randn(size, network.state_size)
    shapes = (shape, {0: batch, 2: frames + around if around else frames}, {0: batch})
    return (noise, log_mel, state), shapes
