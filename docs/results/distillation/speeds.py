"""Write the training recordings of a dump folder, and copies of them that are slower and faster.

    python docs/results/distillation/speeds.py dump/frame-16k corpora/speeds

Folder `o` holds the recordings, `s` copies at 0.84 to 0.94 of the speed, and `f` copies at 1.06 to
1.19. The second `frame-16k` of 2026-11-30 was trained on these.
"""

import sys
import zlib
from pathlib import Path

import numpy as np
import soundfile
import soxr

from data import UtteranceSet

SPEEDS = {"o": (1.0, 1.0), "s": (0.84, 0.94), "f": (1.06, 1.19)}


def main(dump: Path, out: Path) -> None:
    """Write one WAV file for each utterance and each folder."""
    utterances = UtteranceSet(dump, "train")
    rate = utterances.manifest.mel.sample_rate
    for index, utterance in enumerate(utterances.utterances):
        waveform = utterances.load(index)[0][0].numpy()
        rng = np.random.default_rng(zlib.crc32(utterance.name.encode()))
        for folder, limits in SPEEDS.items():
            speed = rng.uniform(*limits) if folder != "o" else 1.0
            played = soxr.resample(waveform, rate * speed, rate, quality="VHQ")
            path = out / folder / (utterance.name.replace("/", "_") + ".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.clip(played, -1, 1), rate, subtype="PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
