"""Draw the log-mels of one utterance from several systems, from the audio that `evaluate` wrote."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from data import MelConfig, log_mel, read_waveform

PANEL_INCHES = (10, 1.5)
NAMES = {"recording": "recording", "griffin-lim": "Griffin-Lim", "world": "WORLD"}


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path, help="folder with one folder a system")
    parser.add_argument("utterance", help="name of the WAV file below those, without suffix")
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("--systems", nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=2.5)
    options = parser.parse_args()
    mel = MelConfig()
    width, height = PANEL_INCHES
    figure, axes = plt.subplots(
        len(options.systems), 1, figsize=(width, height * len(options.systems)), sharex=True
    )
    for axis, system in zip(axes, options.systems, strict=True):
        waveform = read_waveform(
            options.audio / system / f"{options.utterance}.wav", mel.sample_rate
        )
        waveform = waveform[: int(options.seconds * mel.sample_rate)]
        length = len(waveform) // mel.hop_length * mel.hop_length
        frames = log_mel(torch.from_numpy(waveform[:length])[None, None], mel)[0]
        seconds = length / mel.sample_rate
        axis.imshow(
            frames,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, mel.num_mels),
            vmin=-10,
            vmax=1,
        )
        axis.set_ylabel(NAMES.get(system, system))
        axis.set_yticks([])
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(options.out, dpi=80)


if __name__ == "__main__":
    main()
