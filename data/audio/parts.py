"""The parts of files joined into one, as `cat a.mp3 b.mp3 > c.mp3` joins them.

Most decoders read the first part and stop. A player plays all parts.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import IO

from data.audio.containers import tag_length

# The first bytes of each kind, enough of them not to occur within compressed samples by chance.
_BEGINNINGS = {
    "amr": re.compile(rb"#!AMR(-WB)?\n"),
    "asf": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3.{1,40}(webm|matroska)", re.DOTALL),
    "mov": re.compile(rb"\x00\x00\x00[\x10-\x80]ftyp[ -~]{4}"),
    # Version 0, flagged as the first page of a stream, number 0.
    "ogg": re.compile(rb"OggS\x00\x02.{12}\x00\x00\x00\x00", re.DOTALL),
}
# The header of each of these kinds says how many bytes follow.
_CHUNKED = {"aiff": b"FORM", "au": b".snd", "wav": b"RIFF"}
# A silent MPEG frame, whose side information is all zeros. After the zeros it says how many frames
# and bytes the rest of the stream has.
_INFO_FRAME = re.compile(
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef].(?:..)?\x00{9,32}(?:Xing|Info)\x00\x00\x00"
    rb"(?P<flags>[\x00-\x0f])(?P<numbers>.{8})",
    re.DOTALL,
)
_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44100, 48000, 32000)
_MANY_ZEROS = 1024
_AU_HEADER = 24
# This many frames in a row are a stream; fewer may look like one by chance.
_FRAMES_IN_A_ROW = 3


class AudioFile(io.FileIO):
    """A file that a decoder cannot leave when damage makes it seek beyond the file.

    An exception would not help: a decoder prints an exception raised in its callbacks and goes on.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move as in any file, but stay between the beginning and the end."""
        end = os.fstat(self.fileno()).st_size
        return super().seek(min(max(0, (0, self.tell(), end)[whence] + offset), end))


class _Part(io.BytesIO):
    """Bytes in memory that a decoder cannot leave; see `AudioFile`."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = len(self.getbuffer())
        return super().seek(min(max(0, (0, self.tell(), end)[whence] + offset), end))


def joined_files(file: IO[bytes], container: str) -> list[IO[bytes]]:
    """Find the files that were joined into one file.

    Args:
        file: open file, at any position.
        container: the file's kind, a key of `data.audio.containers.IN_WORDS`.
    Returns:
        the joined files in order; usually `file` alone, moved to its beginning.
    """
    file.seek(0)
    if container in _CHUNKED:
        parts = _between(_chunked_starts(file, container))
    elif container == "mp3":
        parts = _mp3_parts(file.read())
    elif container in _BEGINNINGS:
        parts = _between(_starts(file.read(), container))
    else:
        parts = []
    file.seek(0)
    if parts in ([], [(0, None)]):
        return [file]
    content = file.read()
    return [_Part(content[start:end]) for start, end in parts]


def _between(starts: list[int]) -> list[tuple[int, int | None]]:
    return list(zip_longest(starts, starts[1:]))


def _chunked_starts(file: IO[bytes], container: str) -> list[int]:
    """Find the start of each joined file from the sizes in the headers."""
    starts: list[int] = []
    position = 0
    while True:
        file.seek(position)
        header = file.read(12)
        if len(header) < 12 or header[:4] != _CHUNKED[container]:
            return starts
        starts.append(position)
        if container == "au":
            offset = int.from_bytes(header[4:8], "big")
            if offset < _AU_HEADER:  # a damaged size, which could be followed forever
                return starts
            position += offset + int.from_bytes(header[8:], "big")
        else:
            size = int.from_bytes(header[4:8], "little" if container == "wav" else "big")
            position += 8 + size + size % 2


def _starts(content: bytes, container: str) -> list[int]:
    starts = [match.start() for match in _BEGINNINGS[container].finditer(content)]
    if container == "ogg":
        # The first pages of one file's streams, sound and picture, follow directly on each other.
        starts = [start for start, end in _ogg_first_pages(content, starts) if start != end]
    return [0, *starts[1:]]


def _ogg_first_pages(content: bytes, starts: list[int]) -> Iterator[tuple[int, int]]:
    """Yield each first page's start, with the end of the first page before it."""
    end = -1
    for start in starts:
        yield start, end
        num_segments = content[start + 26] if start + 26 < len(content) else 0
        sizes = content[start + 27 : start + 27 + num_segments]
        end = start + 27 + num_segments + sum(sizes)


def _mp3_parts(content: bytes) -> list[tuple[int, int | None]]:
    whole = len(content)
    first = _next_stream(content, 0, whole)
    if first is None:
        return []
    content = content[: _end_of_frames(content, first)]
    starts = [0 if first == tag_length(content) else first]
    ends: dict[int, int] = {}
    infos = list(_INFO_FRAME.finditer(content))
    for info, following in zip_longest(infos, infos[1:]):
        if info.start() > first:
            starts.append(info.start())
        # The frames that `info` does not count belong to another stream, up to the next such frame.
        ends[starts[-1]] = end = info.start() + _num_bytes(info)
        rest = _next_stream(content, end, following.start() if following else len(content))
        if rest is not None:
            starts.append(rest)
    last = None if len(content) == whole else len(content)
    return [(start, ends.get(start, end) if end else last) for start, end in _between(starts)]


def _end_of_frames(content: bytes, first: int) -> int:
    """Find the zeros that some programs leave at the end; a decoder gives up at them."""
    if len(content) < _MANY_ZEROS or content[-_MANY_ZEROS:].strip(b"\0"):
        return len(content)
    position = first
    while length := _frame_length(content[position : position + 4]):
        position += length
    return len(content) if content[position:].strip(b"\0") else position


def _num_bytes(info: re.Match[bytes]) -> int:
    """Return the size in bytes that an MP3 stream's Info frame states, or 2^62 if none."""
    has_frames, has_bytes = info["flags"][0] & 1, info["flags"][0] & 2
    if not has_bytes:
        return 2**62
    return int.from_bytes(info["numbers"][4:8] if has_frames else info["numbers"][:4], "big")


def _next_stream(content: bytes, start: int, stop: int) -> int | None:
    """Find the first frame from `start` to before `stop` that begins a row of frames."""
    if start >= stop:
        return None
    for match in _FRAME.finditer(content, start + tag_length(content, start), stop):
        position = match.start()
        for _ in range(_FRAMES_IN_A_ROW):
            length = _frame_length(content[position : position + 4])
            position += length
            if not length or position > stop:
                break
        else:
            return match.start()
    return None


def _frame_length(header: bytes) -> int:
    """Return the size in bytes of a layer III frame, or 0 if these are not its first four bytes."""
    if len(header) < 4 or not _FRAME.match(header) or header[2] >> 2 & 3 == 3:
        return 0
    version = header[1] >> 3 & 3  # 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5
    kbps = (_KBPS_1 if version == 3 else _KBPS_2)[header[2] >> 4]
    rate = _RATES_HZ[header[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if version == 3 else 72) * kbps * 1000 // rate + (header[2] >> 1 & 1)
