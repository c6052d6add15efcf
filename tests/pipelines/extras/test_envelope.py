"""The spectral envelope, compared with WORLD's."""

import numpy as np
import pyworld
import torch

from dsp.envelope import envelope_points, spectral_envelope
from dsp.pulses import pulse_train

RATE, HOP, FRAMES, LOWEST = 16000, 128, 60, 60.0


def test_the_envelope_equals_worlds() -> None:
    hz = torch.linspace(90.0, 300.0, FRAMES)[None]
    each = hz[0].double().repeat_interleave(HOP)
    pulses = pulse_train((each / RATE).cumsum(0), each, RATE)
    noise = torch.randn(len(pulses), generator=torch.Generator().manual_seed(0)).double()
    waveform = (pulses + 0.1 * noise).cumsum(0)[None, None] / 20
    ends = (np.arange(FRAMES) + 1) * HOP / RATE
    expected = np.log(
        pyworld.cheaptrick(
            waveform[0, 0].numpy(),
            hz[0].double().numpy(),
            ends,
            RATE,
            fft_size=envelope_points(RATE, LOWEST),
        )
    )
    found = spectral_envelope(waveform, hz, RATE, LOWEST)[0].numpy()
    # WORLD repeats the last sample beyond the end; here zeros follow.
    assert np.abs(found - expected)[8:-8].max() < 0.02
