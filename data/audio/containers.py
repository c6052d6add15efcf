"""The kind of an audio file, told by its first bytes; G.722 has none and is told by its suffix."""

from __future__ import annotations

import re

HEAD_BYTES = 4096
"""Number of first bytes that suffice to tell the kind of a file."""

IN_WORDS = {
    "aac": "AAC",
    "ac3": "AC-3",
    "aiff": "AIFF",
    "amr": "AMR",
    "asf": "WMA",
    "au": "AU",
    "caf": "CAF",
    "flac": "FLAC",
    "g722": "G.722",
    "matroska": "WebM or Matroska",
    "mov": "MP4 or M4A",
    "mp3": "MP3",
    "ogg": "Ogg",
    "sph": "NIST Sphere",
    "w64": "W64",
    "wav": "WAV",
    "wv": "WavPack",
}
"""The name that users know for each kind; most keys are libav's names."""

# G.722 has no magic bytes: any bytes are samples. The suffix decides.
_HEADERLESS = frozenset(("g722",))
# Third byte of an MPEG frame: four bits of bit rate, not 1111, then two of sample rate, not 11.
_MPEG_RATES = bytes(byte for byte in range(0xF0) if byte >> 2 & 3 != 3)
_MAGIC = (
    ("wav", re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL)),
    ("w64", re.compile(rb"riff\x2e\x91\xcf\x11")),
    ("aiff", re.compile(rb"FORM....AIF[FC]", re.DOTALL)),
    ("au", re.compile(rb"\.snd|dns\.")),
    ("caf", re.compile(rb"caff\x00")),
    ("sph", re.compile(rb"NIST_1A")),
    ("flac", re.compile(rb"fLaC")),
    ("ogg", re.compile(rb"OggS")),
    ("mov", re.compile(rb"....(ftyp|moov|mdat|wide|skip|free)", re.DOTALL)),
    ("matroska", re.compile(rb"\x1a\x45\xdf\xa3")),
    ("asf", re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    ("amr", re.compile(rb"#!AMR")),
    ("wv", re.compile(rb"wvpk")),
    ("ac3", re.compile(rb"\x0b\x77")),
    # Twelve ones, then the version and the layer. The layer is 1 to 3 in MP3 and 0 in AAC.
    ("aac", re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")),
    ("mp3", re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][%b]" % re.escape(_MPEG_RATES))),
)
_SHOWN_CHARACTERS = 40


def container_of(head: bytes, by_name: str | None = None) -> str | None:
    """Tell the kind of a file.

    Args:
        head: the first `HEAD_BYTES` after ID3 tags, or fewer if the file is shorter.
        by_name: the kind that the file's suffix stands for.
    Returns:
        a key of `IN_WORDS`, or None if the content is of no known kind.

    >>> container_of(b"fLaC and more")
    'flac'
    """
    if by_name in _HEADERLESS:
        return by_name
    return next((kind for kind, magic in _MAGIC if magic.match(head)), None)


def tag_length(content: bytes, start: int = 0) -> int:
    """Count the bytes of the ID3 and TAG tags at the beginning of an MPEG stream.

    Args:
        content: the stream, or its beginning; a tag may reach beyond the end.
        start: position at which a tag may begin.
    Returns:
        number of bytes from `start` to the first byte after the tags; 0 without a tag.
    """
    position = start
    while True:
        if content[position : position + 3] == b"ID3" and len(content) >= position + 10:
            # The size is four digits to base 128.
            digits = content[position + 6 : position + 10]
            position += 10 + sum(digit << 7 * (3 - i) for i, digit in enumerate(digits))
        elif content[position : position + 3] == b"TAG":
            position += 128
        else:
            return position - start


def describe_unknown(head: bytes) -> str:
    """Describe a file that is not audio.

    Args:
        head: the file's first bytes.

    >>> describe_unknown(b"<!DOCTYPE html><html>")
    "text, not audio: '<!DOCTYPE html><html>'"
    """
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not audio: fetch the file itself with git lfs pull"
    if not head.strip(b"\0"):
        return "zeros, not audio"
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = head[: 2 * _SHOWN_CHARACTERS].decode("utf-16" if is_utf16 else "utf-8")
    except UnicodeDecodeError:
        text = "\0"
    text = text[:_SHOWN_CHARACTERS]
    text = " ".join(text.split())
    return f"text, not audio: {text!r}" if text.isprintable() else "no known kind of audio"
