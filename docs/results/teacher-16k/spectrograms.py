"""Draw the spectrograms of an utterance from several systems, from the audio that `evaluate` wrote.

The windows of 40 ms show single harmonics, which the log-mel does not.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from data import read_waveform
from dsp.stft import stft_power

PANEL_INCHES = (10, 1.7)
RATE = 16_000  # Hz
WINDOW, HOP, POINTS = 640, 80, 1024  # samples
LOWEST_DB = -80.0  # below the loudest bin of the recording
NAMES = {"recording": "recording", "griffin-lim": "Griffin-Lim", "world": "WORLD"}


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path, help="folder with one folder a system")
    parser.add_argument("utterance", help="name of the WAV file below those, without suffix")
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("--systems", nargs="+", required=True)
    parser.add_argument("--start", type=float, default=0.5, help="seconds")
    parser.add_argument("--seconds", type=float, default=1.2)
    options = parser.parse_args()
    width, height = PANEL_INCHES
    figure, axes = plt.subplots(
        len(options.systems), 1, figsize=(width, height * len(options.systems)), sharex=True
    )
    loudest = None
    for axis, system in zip(axes, options.systems, strict=True):
        waveform = read_waveform(options.audio / system / f"{options.utterance}.wav", RATE)
        part = waveform[int(options.start * RATE) :][: int(options.seconds * RATE)]
        power = stft_power(torch.from_numpy(part)[None, None], POINTS, HOP, WINDOW)[0]
        decibels = 10 * power.clamp(min=1e-12).log10()
        loudest = loudest if loudest is not None else float(decibels.max())
        axis.imshow(
            decibels,
            origin="lower",
            aspect="auto",
            extent=(0, len(part) / RATE, 0, RATE / 2000),
            vmin=loudest + LOWEST_DB,
            vmax=loudest,
            cmap="magma",
        )
        axis.set_ylabel(NAMES.get(system, system))
        axis.set_yticks([0, 2, 4, 6, 8], ["", "2", "4", "6", "8 kHz"])
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(options.out, dpi=70)


if __name__ == "__main__":
    main()
