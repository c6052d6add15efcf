"""A short sound in every format of audio files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import soundfile

from data.corpora.synthetic import speech_like

RATE = 16000


def _sound(**options: Any) -> bytes:
    buffer = io.BytesIO()
    samples = speech_like(1600, RATE, np.random.default_rng(0))
    soundfile.write(buffer, samples, RATE, **options)
    return buffer.getvalue()


def _coded(container: str, codec: str, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = 64000
        samples = speech_like(3200, rate, np.random.default_rng(0))
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return buffer.getvalue()


SOUNDS: dict[str, Callable[[], bytes]] = {
    "wav": lambda: _sound(format="WAV"),
    "flac": lambda: _sound(format="FLAC"),
    "ogg": lambda: _sound(format="OGG"),
    "mp3": lambda: _sound(format="MP3"),
    "aiff": lambda: _sound(format="AIFF"),
    "caf": lambda: _sound(format="CAF"),
    "w64": lambda: _sound(format="W64"),
    "au": lambda: _sound(format="AU"),
    "g722": lambda: _coded("g722", "g722"),
    "m4a": lambda: _coded("mp4", "aac"),
    "mka": lambda: _coded("matroska", "aac"),
    "aac": lambda: _coded("adts", "aac"),
    "wma": lambda: _coded("asf", "wmav2", 44100),
    "ac3": lambda: _coded("ac3", "ac3", 48000),
}


"""Functions that make the content of a file, by its suffix."""
