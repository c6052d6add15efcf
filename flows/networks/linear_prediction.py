"""Linear prediction of a signal from its last samples, with coefficients from the context."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flows.streaming_state import Past, with_past


def predictor_from_reflection(reflection: Tensor) -> Tensor:
    r"""Turn reflection coefficients into predictor coefficients (Levinson's step-up recursion).

    .. math:: a^{(i)}_j = a^{(i-1)}_j - k_i\, a^{(i-1)}_{i-j}, \qquad a^{(i)}_i = k_i

    Args:
        reflection: coefficients k_1 .. k_K in (-1, 1), shape (..., K).
    Returns:
        a, shape (..., K): the prediction of x_t is sum_k a_k x_{t-k}. The predictor's synthesis
        filter is stable because every |k_i| < 1.
    References:
        Linear prediction of speech (Markel & Gray, 1976), sec. 5.

    >>> predictor_from_reflection(torch.tensor([0.5, 0.25]))
    tensor([0.3750, 0.2500])
    """
    predictor = reflection[..., :0]
    for k in reflection.split(1, -1):
        predictor = torch.cat([predictor - k * predictor.flip(-1), k], -1)
    return predictor


@dataclass
class PredictionCache:
    """The state of a linear predictor between samples."""

    coefficients: Tensor  # coefficients of each frame, oldest sample first, (B, C, L, K)
    recent: Tensor  # the last K samples, (B, C, K)
    current: Tensor  # the prediction of the next sample, (B, C)

    def step(self, previous: Tensor, frame: int) -> Tensor:
        """Read the previous sample (B, C) and predict the next; return the last error, (B, C)."""
        error = previous - self.current
        self.recent = torch.cat([self.recent[..., 1:], previous[..., None]], -1)
        frame = min(frame, self.coefficients.shape[2] - 1)  # a single filter serves all frames
        self.current = (self.recent * self.coefficients[:, :, frame]).sum(-1)
        return error


class LinearPrediction(nn.Module):
    """Predict each sample from the `order` samples before it, with coefficients from the context.

    A WaveNet can learn to predict linearly, but only slowly, because saturating gates approximate a
    linear filter badly. If a linear filter predicts, the network models the prediction's error.

    Args:
        order: number of past samples that the predictor reads, K.
        num_channels: channels of the signal, each predicted from its own past.
        context_channels: channels of the context frames; 0 for one filter for all time.
    References:
        LPCNet (Valin & Skoglund, 2019). arXiv:1810.11846
        End-to-end LPCNet (Subramani et al., 2022), sec. 3: reflection coefficients from the
        conditioning. arXiv:2202.11301
    """

    def __init__(self, order: int, num_channels: int, context_channels: int) -> None:
        super().__init__()
        self.order = order
        self.num_channels = num_channels
        size = num_channels * order
        self.bias = nn.Parameter(torch.zeros(size, 1))
        # Reflection coefficients near 1 need large values before the tanh. Adam moves every weight
        # by about the learning rate a step: with a gain, the values get large in fewer steps.
        self.gain = 5.0
        self.projection = (
            nn.Conv1d(context_channels, size, 1, bias=False) if context_channels else None
        )
        if self.projection is not None:
            nn.init.zeros_(self.projection.weight)

    def coefficients(self, batch: int, context: Tensor | None) -> Tensor:
        """Return each frame's coefficients, oldest sample first: (B, C, L, K).

        Without context there is one frame, L = 1.
        """
        raw = self.bias[None].expand(batch, -1, 1)
        if self.projection is not None:
            assert context is not None
            raw = raw + self.projection(context)
        raw = raw.unflatten(1, (self.num_channels, self.order)).transpose(2, 3)
        return predictor_from_reflection(torch.tanh(self.gain * raw)).flip(-1)

    def forward(self, x: Tensor, context: Tensor | None, past: Past | None = None) -> Tensor:
        """Predict all samples at once.

        Args:
            x: signal, shape (B, C, T).
            context: frames, shape (B, H, L) with T a multiple of L.
            past: streaming state of a signal in chunks.
        Returns:
            predictions, shape (B, C, T); the prediction of x_t reads x_{t-K} .. x_{t-1} only.
        """
        coefficients = self.coefficients(x.shape[0], context)
        windows = with_past(x, self.order, past)[..., :-1].unfold(-1, self.order, 1)
        windows = windows.unflatten(2, (coefficients.shape[2], -1))  # (B, C, L, T / L, K)
        return (windows @ coefficients[..., None])[..., 0].flatten(2)

    def start(self, like: Tensor, context: Tensor | None) -> PredictionCache:
        """Return the cache before the first sample of a signal shaped `like`, (B, C, T)."""
        recent = like.new_zeros(like.shape[0], self.num_channels, self.order)
        return PredictionCache(
            coefficients=self.coefficients(like.shape[0], context),
            recent=recent,
            current=recent[..., 0],
        )
