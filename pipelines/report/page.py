"""The listening page: a folder that opens without a network."""

import base64
import io
import json
from importlib import resources
from pathlib import Path

import jinja2
import matplotlib.image
import torch

from data import MelConfig, log_mel, mark_output, refuse_foreign_files, write_waveform
from pipelines.pictures import spectrogram_image
from pipelines.report.content import Content, ListenedUtterance
from pipelines.report.view import view
from storage.atomic import write_file

INDEX_FILE = "index.html"


def write_page(content: Content, out: Path) -> Path:
    """Write the page and its style, script, audio and pictures.

    Names of utterances and systems come from the user's folders. The page escapes these names, and
    its own files have numbers for names.

    Args:
        content: the content of the page.
        out: folder to write into; made if missing.
    Returns:
        path of the page, `index.html`, which is written last.
    Raises:
        OverwriteError: if there is such a file in a folder that this program has not made.
    """
    names = ("page.css", "page.js")
    refuse_foreign_files(out, [out / INDEX_FILE, *(out / name for name in names)])
    mark_output(out)
    for i, utterance in enumerate(content.utterances):
        _write_audio(utterance, content.mel.sample_rate, out / "audio", i)
        _write_pictures(utterance, content.mel, out / "pictures", i)
    for name in names:
        write_file(out / name, _resource(name))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("page.html.j2").decode())
    write_file(out / INDEX_FILE, template.render(**view(content)))
    return out / INDEX_FILE


def _write_audio(utterance: ListenedUtterance, sample_rate: int, folder: Path, index: int) -> None:
    """Write `NN-K.wav` for track K, and all tracks as the script `NN.js`.

    The player decodes whole tracks, so that it can switch between them at any sample. A page that
    is opened from a disk must not read the files beside it, but it may run them as scripts.
    """
    encoded = []
    for k, track in enumerate(utterance.tracks):
        path = folder / f"{index:02d}-{k}.wav"
        write_waveform(path, track.waveform, sample_rate)
        encoded.append(base64.b64encode(path.read_bytes()).decode())
    write_file(folder / f"{index:02d}.js", f"receiveAudio({index}, {json.dumps(encoded)});\n")


def _write_pictures(utterance: ListenedUtterance, mel: MelConfig, folder: Path, index: int) -> None:
    """Write `NN-K.png`, the log-mel of track K; all tracks share one scale of colours."""
    spectrograms = [
        log_mel(torch.from_numpy(track.waveform)[None, None], mel)[0].numpy()
        for track in utterance.tracks
    ]
    brightest = max(float(frames.max()) for frames in spectrograms)
    for k, frames in enumerate(spectrograms):
        buffer = io.BytesIO()
        picture = spectrogram_image(frames, mel.lowest, max(brightest, mel.lowest + 1.0))
        matplotlib.image.imsave(buffer, picture, format="png")
        write_file(folder / f"{index:02d}-{k}.png", buffer.getvalue())


def _resource(name: str) -> bytes:
    return resources.files("pipelines.report").joinpath(name).read_bytes()
