"""Long-term prediction: voiced speech repeats itself one pitch period later."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor, nn

from flows.streaming_state import Past, with_past

CORRELATION_GAIN, BIAS_GAIN = 10.0, 5.0
"""Factors on the learned parameters. Adam moves a parameter by about the learning rate in a step; a
factor above 1 moves the result further."""

LEAST_ENERGY = 10.0
"""Number added to the product of the energies of two windows, so that silence has a correlation of
0. For a signal with an RMS of 1, the product is `longest_lag` squared."""


@dataclass(frozen=True, kw_only=True)
class PitchPredictionConfig:
    """The lags of a long-term predictor, in samples.

    Args:
        longest_lag: longest pitch period. The window that is compared with the signal one lag
            earlier is as long. 0 for no long-term predictor.
        shortest_lag: shortest pitch period.
        update: number of samples after which lags are chosen again.
    """

    longest_lag: int = 0
    shortest_lag: int = 32
    update: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.longest_lag <= 65536:
            raise ValueError(f"pitch.longest_lag is {self.longest_lag}, expected 0 to 65536")
        if self.longest_lag and not 1 <= self.shortest_lag <= self.longest_lag:
            raise ValueError(
                f"pitch.shortest_lag is {self.shortest_lag}, expected 1 to pitch.longest_lag "
                f"{self.longest_lag}"
            )
        if self.update < 1:
            raise ValueError(f"pitch.update is {self.update}, expected at least 1")

    @property
    def num_lags(self) -> int:
        """Number of lags from the shortest to the longest."""
        return self.longest_lag - self.shortest_lag + 1

    @property
    def history(self) -> int:
        """Number of samples before an update from which the update chooses lags."""
        return 2 * self.longest_lag


@dataclass
class PitchCache:
    """The state of a long-term predictor between steps.

    A frame is C consecutive samples. A step reads the previous frame and predicts the next frame by
    the current taps. Every `update` samples, the step first chooses new taps.
    """

    predictor: "PitchPrediction"
    biases: Tensor  # for each update: biases of the lags, then the gain's, (B, updates, lags + 1)
    recent: Tensor  # the last samples, newest last, (B, history)
    current: Tensor  # prediction of the next frame, (B, C)
    taps: Tensor  # current taps, shortest lag first, (B, num_lags)
    time: int = 0  # number of steps so far

    def step(self, previous: Tensor, frame: int) -> Tensor:
        """Read the previous frame and predict the next one.

        Args:
            previous: the previous frame, shape (B, C).
            frame: ignored; `PredictionCache.step` has this argument, too.
        Returns:
            the error of the prediction of the previous frame, shape (B, C).
        """
        taps = self.next_taps(previous, self.time)
        self.taps = self.taps if taps is None else taps
        self.time += 1
        return self.advance(previous)

    def next_taps(self, previous: Tensor, time: int) -> Tensor | None:
        """Choose new taps for the next frame, if an update is due; call this before `advance`.

        Args:
            previous: the previous frame, shape (B, C), which `recent` does not hold yet.
            time: number of steps before this step.
        Returns:
            taps, shape (B, num_lags), or None if no update is due.
        """
        update, within = divmod(time * previous.shape[1], self.predictor.config.update)
        if within:
            return None
        return self.predictor.choose_taps(self._extended(previous), self.biases[:, update])

    def advance(self, previous: Tensor) -> Tensor:
        """Read the previous frame and predict the next one with the current taps; see `step`."""
        error = previous - self.current
        config, channels = self.predictor.config, previous.shape[1]
        self.recent = self._extended(previous)
        reach = self.recent[:, -config.longest_lag :]
        windows = reach[:, : config.num_lags - 1 + channels].unfold(1, config.num_lags, 1)
        self.current = (windows @ self.taps.flip(-1)[..., None])[..., 0]
        return error

    def _extended(self, previous: Tensor) -> Tensor:
        return torch.cat([self.recent[:, previous.shape[1] :], previous], 1)


class PitchPrediction(nn.Module):
    r"""Predict each sample from the signal about one pitch period earlier.

    .. math:: p_t = \gamma \sum_P w(P)\, x_{t-P}, \qquad
              w = \operatorname{softmax}_P\big(\alpha\,\rho(P) + b(P, c)\big), \qquad
              \gamma = \sigma\Big(\beta \sum_P w(P)\,\rho(P) + b_0(c)\Big)

    The lag is chosen from the past alone: rho(P) is the normalised correlation of the last
    `longest_lag` samples with the samples P earlier. The context adds a bias b to each lag, and a
    bias b_0 to the gain gamma. A sample is predicted from samples that are at least `shortest_lag`
    earlier, so that a whole frame of up to `shortest_lag` samples is predicted at once.

    The signal's channels are consecutive samples, as `flows.Fold` arranges them.

    Args:
        config: the lags.
        num_channels: samples in a frame, C.
        context_channels: channels of the context frames; 0 for constant biases.
    References:
        Attal & Schroeder, Predictive coding of speech signals and subjective error criteria, 1979:
        long-term prediction.
        FARGAN (Valin et al., 2024): the signal one pitch period ago as a network's input.
        arXiv:2405.21069
    """

    def __init__(
        self, config: PitchPredictionConfig, num_channels: int, context_channels: int
    ) -> None:
        super().__init__()
        if config.shortest_lag < num_channels or config.update % num_channels:
            raise ValueError(
                f"pitch.shortest_lag {config.shortest_lag} and pitch.update {config.update} do not "
                f"fit frames of {num_channels} samples: expected at least one frame, and whole "
                "frames"
            )
        self.config = config
        self.num_channels = num_channels
        self.sharpness = nn.Parameter(torch.tensor([1.5, 0.2, -0.1]))  # alpha, beta, b_0
        self.bias = nn.Parameter(torch.zeros(config.num_lags + 1, 1))
        self.projection = (
            nn.Conv1d(context_channels, config.num_lags + 1, 1, bias=False)
            if context_channels
            else None
        )
        if self.projection is not None:
            nn.init.zeros_(self.projection.weight)

    @property
    def receptive_field(self) -> int:
        """Number of frames before the predicted frame that the prediction can read."""
        samples = self.config.history + self.config.update - self.num_channels
        return -(-samples // self.num_channels)

    def biases(self, batch: int, context: Tensor | None) -> Tensor:
        """Return each frame's biases: one for each lag, then the gain's, (B, L, num_lags + 1)."""
        raw = self.bias[None].expand(batch, -1, 1)
        if self.projection is not None:
            assert context is not None
            raw = raw + self.projection(context)
        return BIAS_GAIN * raw.transpose(1, 2)

    def choose_taps(self, before: Tensor, bias: Tensor) -> Tensor:
        """Compute a weight for each lag, times the gain, from the signal before an update.

        Args:
            before: samples before the update, newest last, shape (..., history).
            bias: biases of the lags, then the gain's, shape (..., num_lags + 1).
        Returns:
            taps gamma w(P), shortest lag first, shape (..., num_lags).
        """
        longest, shortest = self.config.longest_lag, self.config.shortest_lag
        window = before[..., longest:]
        points = next_fast_len(2 * longest, real=True)  # only lags that are not read wrap around
        spectrum = torch.fft.rfft(window, points).conj() * torch.fft.rfft(before, points)
        # Position k holds the correlation at lag longest - k.
        correlation = torch.fft.irfft(spectrum, points)[..., : longest - shortest + 1]
        sums = F.pad(before.square().cumsum(-1), (1, 0))
        energies = (sums[..., longest:] - sums[..., :-longest]).clamp(min=0)
        energy, energies = energies[..., -1:], energies[..., : longest - shortest + 1]
        similarity = correlation * torch.rsqrt(energies * energy + LEAST_ENERGY)
        similarity = similarity.flip(-1)
        alpha, beta, offset = CORRELATION_GAIN * self.sharpness
        weights = torch.softmax(alpha * similarity + bias[..., :-1], -1)
        periodicity = (weights * similarity).sum(-1, keepdim=True)
        return weights * torch.sigmoid(beta * periodicity + offset + bias[..., -1:])

    def forward(self, x: Tensor, context: Tensor | None, past: Past | None = None) -> Tensor:
        """Predict all frames at once.

        Args:
            x: signal, shape (B, C, T).
            context: frames, shape (B, H, L); each frame serves a whole number of updates.
            past: streaming state of a signal in chunks of whole updates.
        Returns:
            predictions, shape (B, C, T).
        Raises:
            ValueError: if a frame of the context is not a whole number of updates.
        """
        longest, update = self.config.longest_lag, self.config.update
        num_updates = self._num_updates(x)
        whole = F.pad(x, (0, num_updates * update // self.num_channels - x.shape[2]))
        steps = -(-self.config.history // self.num_channels)
        signal = with_past(whole, steps, past).transpose(1, 2).flatten(1)
        signal = signal[:, steps * self.num_channels - self.config.history :]
        before = signal[:, :-update].unfold(1, self.config.history, update)
        taps = self.choose_taps(before, self._update_biases(x, context))
        # Each block of `update` samples is filtered by its taps, as a product of spectra. The
        # transform is so long that the samples which wrap around are the discarded ones.
        length = update + self.config.num_lags - 1
        blocks = signal[:, longest:][:, : whole.shape[2] * self.num_channels + self.config.num_lags]
        blocks = blocks.unfold(1, length, update)[:, :num_updates]
        spectrum = torch.fft.rfft(blocks, length) * torch.fft.rfft(taps, length)
        predicted = torch.fft.irfft(spectrum, length)[..., self.config.num_lags - 1 :].flatten(1)
        return predicted.unflatten(1, (-1, self.num_channels)).transpose(1, 2)[..., : x.shape[2]]

    def start(self, like: Tensor, context: Tensor | None) -> PitchCache:
        """Return the cache before the first frame of a signal shaped `like`, (B, C, T)."""
        return PitchCache(
            predictor=self,
            biases=self._update_biases(like, context),
            recent=like.new_zeros(like.shape[0], self.config.history),
            current=torch.zeros_like(like[..., 0]),
            taps=like.new_zeros(like.shape[0], self.config.num_lags),
        )

    def _num_updates(self, like: Tensor) -> int:
        """Count the updates of a signal (B, C, T); the last one may be incomplete."""
        return -(-like.shape[2] * self.num_channels // self.config.update)

    def _update_biases(self, like: Tensor, context: Tensor | None) -> Tensor:
        """Return each update's biases for a signal (B, C, T), (B, updates, num_lags + 1)."""
        biases, num_updates = self.biases(like.shape[0], context), self._num_updates(like)
        num_frames = biases.shape[1]
        if num_updates % num_frames:
            raise ValueError(
                f"{num_updates} updates of {self.config.update} samples do not divide among "
                f"{num_frames} context frames"
            )
        return biases.repeat_interleave(num_updates // num_frames, 1)
