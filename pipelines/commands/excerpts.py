"""The command `excerpts`: held-out recordings as WAV files."""

from pathlib import Path
from typing import Literal

from data import (
    DataError,
    Manifest,
    UtteranceSet,
    find_audio_files,
    mark_output,
    refuse_foreign_files,
    write_waveform,
)
from storage.overwriting import refuse_overwriting

EXCERPT_SECONDS = 1.0
"""Shortest recording, seconds, that is written if there are longer ones."""


def excerpts(
    dump: Path,
    out: Path,
    split: Literal["val", "test"] = "test",
    limit: int = 4,
    min_seconds: float | None = None,
) -> None:
    """Write held-out recordings as WAV files, to listen to and to generate from.

    Args:
        dump: prepared data.
        out: folder that gets one file for each recording.
        split: "val" or "test".
        limit: largest number of recordings, the first by name.
        min_seconds: leave out shorter recordings; default: recordings under one second, but if
            that leaves none, the longest are taken.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    manifest = Manifest.load(dump)
    chosen = UtteranceSet(manifest, split)
    taken = _long_enough(chosen, split, min_seconds)[:limit]
    paths = [out / f"{chosen.utterances[i].name}.wav" for i in taken]
    corpus = Path(manifest.contents.corpus)
    refuse_overwriting(find_audio_files(corpus) if corpus.is_dir() else [], paths)
    # The corpus may be known by a relative name only, and then is not found above.
    refuse_foreign_files(out, paths)
    mark_output(out)
    for i, path in zip(taken, paths, strict=True):
        write_waveform(path, chosen.load(i)[0][0].numpy(), manifest.mel.sample_rate)
        print(path)


def _long_enough(chosen: UtteranceSet, split: str, min_seconds: float | None) -> list[int]:
    """Return the indices of the long enough utterances, or of all, the longest first."""
    wanted = EXCERPT_SECONDS if min_seconds is None else min_seconds
    rate = chosen.manifest.mel.frames_per_second
    lengths = [utterance.num_frames / rate for utterance in chosen.utterances]
    found = [i for i, seconds in enumerate(lengths) if seconds >= wanted]
    if found:
        return found
    message = f"no {split} utterance of at least {wanted} s, the longest has {max(lengths):.2f} s"
    if min_seconds is not None:
        raise DataError(f"{chosen.manifest.dump_dir}: {message}")
    print(f"{message}: the longest are taken")
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])
