"""Audio files: good, odd and bad."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from data import AudioError, read_waveform, write_waveform

RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


def encode(
    path: Path, codec: str, container: str | None, rate: int = RATE, bit_rate: int = 64000
) -> None:
    """Write a tone through PyAV; without a container, the bare packets."""
    context = av.CodecContext.create(codec, "w")
    sample_format = context.codec.audio_formats[0].name
    samples = (tone(1.0, rate) * 32767).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = rate
    if container is None:
        context.sample_rate, context.layout, context.format = rate, "mono", sample_format
        context.time_base = Fraction(1, rate)
        packets = [*context.encode(frame), *context.encode(None)]
        path.write_bytes(b"".join(bytes(packet) for packet in packets))
        return
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        if codec != "libopencore_amrnb":  # Opus has its own rates
            stream.bit_rate = bit_rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def level_at_440_hz(waveform: np.ndarray, rate: int = RATE) -> float:
    """Return the tone's amplitude, from the middle half."""
    quarter = len(waveform) // 4
    time = np.arange(quarter, 3 * quarter) / rate
    return 2 * abs(np.mean(waveform[quarter : 3 * quarter] * np.exp(-2j * np.pi * 440 * time)))


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_written_file_reads_back_to_half_a_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    assert write_waveform(path, tone(), RATE) == 0
    assert np.abs(read_waveform(path, RATE) - tone()).max() <= 0.5 / 32768 + 1e-8
    assert soundfile.info(path).subtype == "PCM_16"


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100, 48000])
def test_other_rates_are_resampled_without_change_of_level(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate=rate), rate)
    waveform = read_waveform(tmp_path / "a.wav", RATE)
    assert abs(len(waveform) - RATE / 2) <= 1
    assert level_at_440_hz(waveform) == pytest.approx(0.5, abs=0.002)


def test_channels_are_averaged(tmp_path: Path) -> None:
    stereo = np.stack([tone(level=0.6), tone(level=0.2)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_waveform(tmp_path / "a.wav", RATE), tone(level=0.4), atol=1e-6)


def test_peak_is_not_rescaled(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(level=1.5), RATE, subtype="FLOAT")
    assert np.abs(read_waveform(tmp_path / "a.wav", RATE)).max() == pytest.approx(1.5, abs=0.01)


def test_raw_g722_is_decoded(tmp_path: Path) -> None:
    encode(tmp_path / "a.g722", "g722", None)
    waveform = read_waveform(tmp_path / "a.g722", RATE)
    assert abs(len(waveform) - RATE) < 100
    assert level_at_440_hz(waveform) == pytest.approx(0.5, abs=0.02)


def test_m4a_is_decoded_and_resampled(tmp_path: Path) -> None:
    encode(tmp_path / "a.m4a", "aac", "ipod", rate=44100)
    waveform = read_waveform(tmp_path / "a.m4a", RATE)
    assert abs(len(waveform) - RATE) < 0.1 * RATE
    assert level_at_440_hz(waveform) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.mp2", "mp2", "mp2"), ("a.wv", "wavpack", "wv"), ("a.3gp", "aac", "3gp")],
)
def test_less_common_containers_are_decoded(
    tmp_path: Path, name: str, codec: str, container: str
) -> None:
    encode(tmp_path / name, codec, container)
    waveform = read_waveform(tmp_path / name, RATE)
    assert abs(len(waveform) - RATE) < 0.1 * RATE
    assert level_at_440_hz(waveform) == pytest.approx(0.5, abs=0.03)


def test_eight_channels_are_averaged(tmp_path: Path) -> None:
    # PyAV reads beyond the planes of such a frame and crashes; found by tests/fuzz.
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100)
        stream.layout = "7.1"
        interleaved = np.repeat(tone(rate=44100).astype(np.float32), 8)[None]
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="7.1")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    waveform = read_waveform(tmp_path / "a.m4a", 44100)
    assert len(waveform) == pytest.approx(22050, abs=2048)
    assert np.abs(waveform).max() > 0.2


@pytest.mark.parametrize("name", ["with space.wav", "été – ночь.wav", "a:b%20.WAV", "-n.wav"])
def test_odd_names_are_read(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "plain.wav", tone(), RATE)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    assert len(read_waveform(tmp_path / name, RATE)) == RATE // 2


def test_a_colon_in_a_name_is_not_read_as_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(tmp_path / "a.g722", "g722", None)
    (tmp_path / "a.g722").rename(tmp_path / "tcp:b.g722")
    monkeypatch.chdir(tmp_path)
    assert len(read_waveform(Path("tcp:b.g722"), RATE)) > 0


def cut_in_half(path: Path) -> np.ndarray:
    """Write a second of noise, truncate the file, and return the whole second."""
    whole = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    write_waveform(path, whole, RATE)
    os.truncate(path, path.stat().st_size // 2)
    return whole


def test_wav_cut_short_gives_the_samples_that_are_there(tmp_path: Path) -> None:
    whole = cut_in_half(tmp_path / "a.wav")
    read = read_waveform(tmp_path / "a.wav", RATE)
    assert RATE / 2 - 30 < len(read) <= RATE / 2
    np.testing.assert_allclose(read, whole[: len(read)], atol=1e-4)


def test_flac_cut_short_is_reported(tmp_path: Path) -> None:
    cut_in_half(tmp_path / "a.flac")
    with pytest.raises(AudioError, match=r"unreadable audio .*lost sync"):
        read_waveform(tmp_path / "a.flac", RATE)


def write_bad_file(path: Path, kind: str) -> None:
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is not audio.\n" * 100)
    elif kind == "header only":
        soundfile.write(path, tone(), RATE)
        os.truncate(path, 44)
    elif kind == "half a header":
        soundfile.write(path, tone(), RATE)
        os.truncate(path, 20)
    elif kind == "nan":
        soundfile.write(path, np.where(tone() > 0.49, np.nan, tone()), RATE, subtype="FLOAT")
    elif kind == "infinite":
        soundfile.write(path, np.where(tone() > 0.49, np.inf, tone()), RATE, subtype="FLOAT")
    elif kind == "silent":
        soundfile.write(path, np.zeros(RATE), RATE)
    elif kind == "nearly silent":
        soundfile.write(path, tone(level=5e-5), RATE, subtype="FLOAT")
    elif kind == "short":
        soundfile.write(path, tone(seconds=0.25), RATE)
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "folder":
        path.mkdir()
    else:
        assert kind == "missing"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("folder", "not a file"),
        ("empty", "empty file"),
        ("text", "unreadable audio"),
        ("header only", "no samples"),
        ("half a header", "unreadable audio"),
        ("nan", "NaN or infinite samples"),
        ("infinite", "NaN or infinite samples"),
        ("silent", "silent (peak 0.0e+00"),
        ("nearly silent", "silent (peak 5.0e-05"),
        ("short", "too short (0.250 s, expected >= 0.3 s)"),
        ("no samples", "no samples"),
    ],
)
def test_bad_file_is_one_line_with_name_and_reason(tmp_path: Path, kind: str, reason: str) -> None:
    path = tmp_path / "bad.wav"
    write_bad_file(path, kind)
    with pytest.raises(AudioError) as error:
        read_waveform(path, RATE, min_seconds=0.3)
    assert str(error.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.m4a", "a.mp3", "a.flac", "a.ogg", "a.webm"])
def test_text_is_refused_under_any_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("This is not audio.\n" * 100)
    with pytest.raises(AudioError, match=r"unreadable audio|no audio stream|no samples"):
        read_waveform(tmp_path / name, RATE)


def test_unknown_codec_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    encode(path, "aac", "matroska", rate=44100)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XXX"))
    with pytest.raises(AudioError, match="no decoder for its audio stream"):
        read_waveform(path, RATE)


@pytest.mark.parametrize("rate", [1, 3999, 1000000])
def test_impossible_rate_is_reported(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), rate)
    with pytest.raises(AudioError, match=f"sample rate is {rate} Hz, expected 4000 to 768000 Hz"):
        read_waveform(tmp_path / "a.wav", RATE)


def test_empty_g722_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.g722").touch()
    with pytest.raises(AudioError, match="empty file"):
        read_waveform(tmp_path / "a.g722", RATE)


def test_unknown_suffix_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(AudioError, match=r"\.txt suffix is not that of an audio file"):
        read_waveform(tmp_path / "a.txt", RATE)


def test_clipped_samples_are_counted_and_nothing_is_rescaled(tmp_path: Path) -> None:
    waveform = torch.tensor([[[0.25, 1.0, 1.2, -1.0, -3.0, -0.25]]])
    assert write_waveform(tmp_path / "a.wav", waveform, RATE) == 2
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert stored.tolist() == [8192, 32767, 32767, -32768, -32768, -8192]


@pytest.mark.parametrize(
    ("name", "waveform", "reason"),
    [
        ("a.mp3", np.zeros(9), "expected .wav or .flac"),
        ("a.wav", np.full(9, np.nan), "NaN or infinite"),
        ("a.wav", np.zeros(0), "shape (0,), expected (T,)"),
        ("a.wav", np.zeros((2, 9)), "shape (2, 9), expected (T,)"),
        ("a.wav", np.zeros(9, dtype=np.int16), "int16, expected float"),
    ],
)
def test_unwritable_waveform_leaves_no_file(
    tmp_path: Path, name: str, waveform: np.ndarray, reason: str
) -> None:
    with pytest.raises(AudioError) as error:
        write_waveform(tmp_path / name, waveform, RATE)
    assert reason in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    write_waveform(path, tone(), RATE)
    before = path.read_bytes()

    def write_half(_file: soundfile.SoundFile, _samples: np.ndarray) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(soundfile.SoundFile, "write", write_half)
    with pytest.raises(OSError, match="disk full"):
        write_waveform(path, tone(level=0.1), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_written_file_is_readable_by_others(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_waveform(tmp_path / "a.wav", tone(), RATE)
    assert (tmp_path / "a.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode
