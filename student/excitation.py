"""A harmonic excitation as context: what phase a voiced sound has is hard to invent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows import Fold, FrameContext


@dataclass(frozen=True, kw_only=True)
class ExcitationConfig:
    """What drives a frame student beside noise, and the range of its pitch.

    Args:
        kind: "none" as in the papers, or "harmonic": a sine and a cosine of the pitch.
        sample_rate: of the waveforms, Hz.
        fmin_hz: lowest pitch.
        fmax_hz: highest pitch.
    """

    kind: Literal["none", "harmonic"] = "none"
    sample_rate: int = 16000
    fmin_hz: float = 60.0
    fmax_hz: float = 400.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "harmonic"):
            raise ValueError(
                f"student.excitation.kind is {self.kind!r}, expected 'none' or 'harmonic'"
            )
        if not 0 < self.fmin_hz < self.fmax_hz <= self.sample_rate / 4:
            raise ValueError(
                f"student.excitation has fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz}, "
                f"expected 0 < fmin_hz < fmax_hz <= a quarter of sample_rate {self.sample_rate}"
            )


class Pitch(NamedTuple):
    """What is predicted of each conditioning frame's end."""

    hz: Tensor
    """Pitch, shape (B, L)."""
    voicing: Tensor
    """Logit of its being voiced, shape (B, L)."""


class Phase(NamedTuple):
    """Where an excitation is between two frames."""

    hz: Tensor
    """Pitch there, shape (B, 1)."""
    cycles: Tensor
    """Its phase in cycles, float64, shape (B, 1)."""


class ExcitedContext(nn.Module):
    r"""Hidden frames that carry a sine and a cosine of the pitch, at the rate of the folded signal.

    .. math:: u_t = v \cos 2\pi\phi_t, \quad w_t = v \sin 2\pi\phi_t, \qquad
              \phi_t = \phi_{t-1} + f_t / f_s

    Pitch and voicing v (0 or 1) are predicted from the conditioning alone, or a part of it, at the
    end of each frame; between the ends f goes linearly. The two signals are folded as the student's
    are, r samples to a step, and a layer joins them to the hidden frames. They are a function of
    the conditioning: the density given it stays what it is. The waveform's gradient does not reach
    a predicted pitch, which is trained on its own (`Distillation`'s `pitch`).

    Args:
        frames: the network of the conditioning, of H channels.
        channels: H.
        hop_length: samples per conditioning frame.
        frame_length: samples per step, r; divides hop_length.
        config: range of the pitch.
        pitch_row: row of the conditioning that is log2 of the pitch in Hz, the voicing below it;
            None to predict them.
    References:
        Neural source-filter waveform models (Wang et al., 2019), sec. II.A: a sine excitation with
        the pitch's running phase. arXiv:1904.12088
    """

    def __init__(
        self,
        frames: FrameContext,
        channels: int,
        hop_length: int,
        frame_length: int,
        config: ExcitationConfig,
        pitch_row: int | None = None,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.hop_length = hop_length
        self.fold = Fold(frame_length, num_channels=2)
        self.config = config
        self.pitch_row = pitch_row
        if pitch_row is None:
            self.hidden = nn.Conv1d(channels, channels, 1)
            self.head = nn.Conv1d(channels, 2, 1)
        self.join = nn.Conv1d(channels + 2 * frame_length, channels, 1)

    @property
    def margin(self) -> int:
        """Conditioning frames seen before and after each."""
        return self.frames.margin

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the corpus's mean and standard deviation per band, shape (M,) each."""
        self.frames.set_statistics(mean, std)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """Compute hidden frames of a whole utterance, or of a clip whose phase starts at 0.

        Args:
            features: as `FrameContext.forward`'s.
            num_frames: conditioning frames wanted, L.
        Returns:
            hidden frames, shape (B, H, L * hop_length / r).
        """
        hidden = self.frames(features, num_frames)
        first = (features.shape[-1] - num_frames) // 2  # neighbours that come with them
        return self._excite(hidden, features[..., first : first + num_frames], None)[0]

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute the hidden frames of conditioning that comes piece by piece.

        As `FrameContext.stream`, hop_length / r times as many.
        """
        phase: Phase | None = None
        for hidden, features in self.frames.stream_beside(pieces):
            excited, phase = self._excite(hidden, features, phase)
            yield excited

    def pitch(self, features: Tensor, num_frames: int) -> Pitch:
        """Predict pitch and voicing of L conditioning frames; differentiable."""
        return self._pitch(self.frames(features, num_frames))

    def _pitch(self, hidden: Tensor) -> Pitch:
        # Eight bits of a pitch are half a hertz: a phase that drifts away.
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = self.hidden(hidden.to(self.hidden.weight.dtype))
            voicing, height = self.head(F.leaky_relu(hidden, 0.2)).unbind(1)
        span = self.config.fmax_hz / self.config.fmin_hz
        return Pitch(self.config.fmin_hz * span ** torch.sigmoid(height), voicing)

    def _given(self, features: Tensor) -> Pitch:
        assert self.pitch_row is not None
        octaves, voicing = features[:, self.pitch_row : self.pitch_row + 2].unbind(1)
        return Pitch(octaves.double().exp2(), voicing - 0.5)

    def _excite(
        self, hidden: Tensor, features: Tensor, phase: Phase | None
    ) -> tuple[Tensor, Phase]:
        with torch.no_grad():
            pitch = self._pitch(hidden) if self.pitch_row is None else self._given(features)
            signals, phase = self._oscillate(pitch, phase)
        excitation, _ = self.fold(signals.to(hidden.dtype))
        hidden = hidden.repeat_interleave(excitation.shape[-1] // hidden.shape[-1], -1)
        return F.leaky_relu(self.join(torch.cat([hidden, excitation], 1)), 0.2), phase

    def _oscillate(self, pitch: Pitch, phase: Phase | None) -> tuple[Tensor, Phase]:
        """Run the phase through L frames: cosine and sine, shape (B, 2, L * hop_length)."""
        hz = pitch.hz.double()
        if phase is None:
            phase = Phase(hz[:, :1], torch.zeros_like(hz[:, :1]))
        hop, rate = self.hop_length, self.config.sample_rate
        before = torch.cat([phase.hz, hz[:, :-1]], 1)
        # In whole cycles nothing is lost: the phase of an hour is as exact as that of a second.
        ends = (phase.cycles + ((before + hz) / 2 * (hop / rate)).cumsum(1)).remainder(1.0)
        starts = torch.cat([phase.cycles, ends[:, :-1]], 1)
        time = torch.arange(1, hop + 1, dtype=hz.dtype, device=hz.device)
        slope = (hz - before)[..., None] / (2 * hop)
        cycles = starts[..., None] + (before[..., None] + slope * time) * (time / rate)
        angle = 2 * torch.pi * cycles
        voiced = (pitch.voicing > 0)[..., None]
        signals = torch.stack([angle.cos() * voiced, angle.sin() * voiced], 1)
        return signals.flatten(2), Phase(hz[:, -1:], ends[:, -1:])
