"""Files joined into one, files of unknown length, and files with misleading names."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data import AudioError, read_waveform
from data.audio.containers import container_of
from data.audio.parts import AudioFile, joined_files
from tests.data.audio.test_read import encode, level_at_440_hz, tone

RATE = 16000
WITH_SOUNDFILE = ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf")
WITH_AV = {  # codec, container and rate of formats that soundfile does not write
    "m4a": ("aac", "ipod", 44100),
    "aac": ("aac", "adts", 44100),
    "wma": ("wmav2", "asf", 44100),
    "webm": ("libopus", "webm", 48000),
    "ac3": ("ac3", "ac3", 48000),
    "amr": ("libopencore_amrnb", "amr", 8000),
}


def write(path: Path, seconds: float = 1.0) -> None:
    """Write a tone of 440 Hz in the suffix's format; PyAV's formats get one second."""
    kind = path.suffix[1:]
    if kind in WITH_SOUNDFILE:
        subtype = "OPUS" if kind == "opus" else None
        container = "OGG" if kind == "opus" else kind.upper()
        soundfile.write(path, tone(seconds), RATE, format=container, subtype=subtype)
        return
    codec, container, rate = WITH_AV[kind]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV without {codec}")
    encode(path, codec, container, rate)


@pytest.mark.parametrize("suffix", [*WITH_SOUNDFILE[:-1], *WITH_AV])  # CAF is never joined
def test_joined_files_are_read_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"one.{suffix}"
    write(path)
    alone = read_waveform(path, RATE)
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(3 * path.read_bytes())
    found = read_waveform(joined, RATE)
    assert len(found) == pytest.approx(3 * len(alone), abs=0.1 * RATE)
    for third in np.split(found[: len(found) // 3 * 3], 3):
        assert level_at_440_hz(third) == pytest.approx(level_at_440_hz(alone), rel=0.1)


def mp3(path: Path, *, headed: bool) -> bytes:
    """Write a second of MP3, with or without the frame that holds its length."""
    options = {} if headed else {"write_xing": "0", "id3v2_version": "0"}
    with av.open(str(path), "w", format="mp3", options=options) as output:
        stream = output.add_stream("libmp3lame", rate=RATE, layout="mono")
        samples = tone(1.0).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = RATE
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return path.read_bytes()


@pytest.mark.parametrize("kinds", ["hp", "ph", "pp", "hh", "hpph"])
def test_joined_mp3_is_read_whole_whether_its_parts_say_their_length(
    tmp_path: Path, kinds: str
) -> None:
    headed, plain = mp3(tmp_path / "h.mp3", headed=True), mp3(tmp_path / "p.mp3", headed=False)
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(headed if kind == "h" else plain for kind in kinds))
    # A part without a header has the coder's delay and padding, 0.08 s, around it.
    seconds = len(kinds) + 0.08 * kinds.count("p")
    assert len(read_waveform(path, RATE)) / RATE == pytest.approx(seconds, abs=0.01)


def test_mp3_with_tags_between_and_rubbish_before_is_read(tmp_path: Path) -> None:
    headed = mp3(tmp_path / "h.mp3", headed=True)
    id3v1 = b"TAG" + b"title".ljust(125)
    path = tmp_path / "tagged.mp3"
    path.write_bytes(headed + id3v1 + headed + id3v1)
    assert len(read_waveform(path, RATE)) == 2 * RATE
    plain = mp3(tmp_path / "p.mp3", headed=False)
    path.write_bytes(plain + bytes(100_000))  # padding at the end
    assert len(read_waveform(path, RATE)) / RATE == pytest.approx(1.08, abs=0.01)
    path.write_bytes(b"\0" * 333 + mp3(tmp_path / "p.mp3", headed=False))
    assert len(read_waveform(path, RATE)) / RATE == pytest.approx(1.08, abs=0.01)


def test_parts_of_different_rates_are_joined_at_the_wanted_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "low.flac", tone(1.0, 8000), 8000)
    soundfile.write(tmp_path / "high.flac", tone(1.0, 48000), 48000)
    path = tmp_path / "both.flac"
    path.write_bytes((tmp_path / "low.flac").read_bytes() + (tmp_path / "high.flac").read_bytes())
    found = read_waveform(path, RATE)
    assert len(found) == 2 * RATE
    for half in np.split(found, 2):
        assert level_at_440_hz(half) == pytest.approx(0.5, abs=0.01)


def unknown_length(path: Path) -> None:
    """Write a second as to a pipe, so that the header cannot be completed afterwards."""
    write(path)
    content = bytearray(path.read_bytes())
    if path.suffix == ".flac":  # number of samples and their MD5 in the STREAMINFO block
        content[21] &= 0xF0
        content[22:42] = bytes(20)
    else:
        at = content.find(b"data")
        size = slice(at + 4, at + (12 if path.suffix == ".caf" else 8))
        content[size] = (b"\0" if path.stem == "zero" else b"\xff") * (size.stop - size.start)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.flac", "a.caf", "a.wav", "zero.wav"])
def test_file_of_unknown_length_is_read_whole(tmp_path: Path, name: str) -> None:
    unknown_length(tmp_path / name)
    found = read_waveform(tmp_path / name, RATE)
    assert len(found) == RATE
    assert level_at_440_hz(found) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("true", ["wav", "mp3", "m4a", "ogg", "webm", "aac", "flac"])
@pytest.mark.parametrize("claimed", ["wav", "mp3", "m4a", "flac"])
def test_the_content_says_what_a_file_is(tmp_path: Path, true: str, claimed: str) -> None:
    write(tmp_path / f"a.{true}")
    expected = read_waveform(tmp_path / f"a.{true}", RATE)
    shutil.copy(tmp_path / f"a.{true}", tmp_path / f"b.{claimed}")
    np.testing.assert_array_equal(read_waveform(tmp_path / f"b.{claimed}", RATE), expected)


def test_a_resource_fork_beside_a_file_is_not_read(tmp_path: Path) -> None:
    mp3(tmp_path / "a.mp3", headed=False)
    (tmp_path / "._a.mp3").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
    assert len(read_waveform(tmp_path / "a.mp3", RATE)) > RATE


def test_noise_is_refused_under_any_suffix(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(20000)
    for name in ("a.au", "a.wav", "a.mp3", "a.ogg", "a.m4a", "a.aac"):
        (tmp_path / name).write_bytes(noise)
        with pytest.raises(AudioError, match="unreadable audio"):
            read_waveform(tmp_path / name, RATE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"<!DOCTYPE html><html>404 Not Found</html>",
            "text, not audio: '<!DOCTYPE html><html>404",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a pointer of Git LFS"),
        ("<?xml version='1.0'?>".encode("utf-16"), "text, not audio: \"<?xml version='1.0'?>\""),
        (bytes(5000), "zeros, not audio"),
        (b"\x93NUMPY\x01\x00", "no known kind of audio"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp3", "wav", "aac", "au", "m4a"])
def test_the_message_describes_a_file_that_is_not_audio(
    tmp_path: Path, suffix: str, content: bytes, reason: str
) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(AudioError, match="unreadable audio") as error:
        read_waveform(tmp_path / f"a.{suffix}", RATE)
    if suffix not in ("aac", "mp3") or b"NUMPY" not in content:  # they may begin with rubbish
        assert reason in str(error.value)


@pytest.mark.parametrize(
    ("suffix", "name"), [("mp3", "MP3"), ("aac", "AAC"), ("ogg", "Ogg"), ("m4a", "MP4 or M4A")]
)
def test_the_message_of_a_damaged_file_says_damaged(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, 4.0)
    whole = path.read_bytes()
    third = len(whole) // 3
    path.write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    with pytest.raises(AudioError) as error:
        read_waveform(path, RATE)
    assert f"damaged or incomplete {name}" in str(error.value)
    assert "\n" not in str(error.value)
    assert "internal error" not in str(error.value)


@pytest.mark.parametrize("scale", [32768.0, 2.0**23, 128.0])
def test_integers_stored_as_floats_are_refused(tmp_path: Path, scale: float) -> None:
    soundfile.write(tmp_path / "a.wav", scale * tone(), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"peak is \d+, expected about 1: likely 16-bit integers"):
        read_waveform(tmp_path / "a.wav", RATE)


def test_a_constant_is_silence_and_an_offset_is_not(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(RATE, 0.25), RATE)
    with pytest.raises(AudioError, match=r"silent \(every sample is about 0.25\)"):
        read_waveform(tmp_path / "a.wav", RATE)
    soundfile.write(tmp_path / "a.wav", tone(level=0.01) + 0.25, RATE, subtype="FLOAT")
    assert len(read_waveform(tmp_path / "a.wav", RATE)) == RATE // 2


def test_the_message_names_channels_that_cancel_each_other(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1), RATE)
    with pytest.raises(AudioError, match="silent: its channels cancel each other"):
        read_waveform(tmp_path / "a.wav", RATE)


def test_the_kinds_of_wav_that_are_larger_than_4_gb_are_read(tmp_path: Path) -> None:
    for container in ("RF64", "W64"):
        soundfile.write(tmp_path / "a.wav", tone(), RATE, format=container)
        assert len(read_waveform(tmp_path / "a.wav", RATE)) == RATE // 2


@pytest.mark.parametrize("offset", [-1, 2**62, 2**63 - 1])
def test_a_decoder_misled_by_damage_stays_within_the_file(tmp_path: Path, offset: int) -> None:
    (tmp_path / "a").write_bytes(b"abcd")
    with AudioFile(tmp_path / "a") as file:
        assert file.seek(1) == 1
        assert file.seek(offset) == (0 if offset < 0 else 4)
        assert file.seek(-offset if offset < 2**63 else 0, 2) in (0, 4)


def test_the_suffix_decides_for_audio_without_a_header() -> None:
    assert container_of(b"OggS\x00\x02", "g722") == "g722"
    assert container_of(b"OggS\x00\x02", "mp3") == "ogg"


@pytest.mark.parametrize("sizes", [b"\0" * 8, b"\0\0\0\4" + b"\0" * 4])
def test_damaged_sizes_are_not_followed_forever(tmp_path: Path, sizes: bytes) -> None:
    # The fuzz tests found an .au file without a header length that was read until memory ended.
    path = tmp_path / "damaged.au"
    path.write_bytes(b".snd" + sizes + bytes(64))
    with path.open("rb") as file:
        assert len(joined_files(file, "au")) == 1
