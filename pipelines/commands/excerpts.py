"""The command `parallel-wavenet excerpts`."""

from pathlib import Path
from typing import Literal

from data import DataError, Manifest, UtteranceSet, write_waveform


def excerpts(
    dump: Path,
    out: Path,
    split: Literal["val", "test"] = "test",
    limit: int = 4,
    min_seconds: float = 1.0,
) -> None:
    """Write held-out recordings as WAV files, to listen to and to generate from.

    Args:
        dump: prepared
        out: folder that gets one file per recording.
        split: "val" or "test".
        limit: at most so many, the first by name.
        min_seconds: leave out shorter ones.
    """
    manifest = Manifest.load(dump)
    shortest = min_seconds * manifest.mel.frames_per_second
    chosen = UtteranceSet(manifest, split)
    long_enough = [i for i, u in enumerate(chosen.utterances) if u.num_frames >= shortest]
    if not long_enough:
        raise DataError(f"{dump}: no {split} utterance of at least {min_seconds} s")
    for i in long_enough[:limit]:
        path = out / f"{chosen.utterances[i].name}.wav"
        write_waveform(path, chosen.load(i)[0][0].numpy(), manifest.mel.sample_rate)
        print(path)
