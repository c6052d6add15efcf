"""The network of teacher and student: a strictly causal stack of gated dilated convolutions."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.networks.conditioning import check_frames
from flows.networks.gated import (
    LayerCache,
    ResidualLayer,
    Stack,
    as_matrix,
    residual_stack,
    skip_gain,
)
from flows.networks.linear_prediction import LinearPrediction, PredictionCache
from flows.networks.pitch_prediction import PitchCache, PitchPrediction
from flows.networks.wavenet_config import WaveNetConfig
from flows.networks.weight_norm import normalised_conv
from flows.precision import full_precision
from flows.streaming_state import Past, with_past
from flows.transforms.autoregressive import Conditioner
from flows.transforms.base import check_signal

FRAME_GAIN = 5.0  # gain of the context's offsets of the parameters, see LinearPrediction.gain
ERROR_GAIN = 5.0  # speech is about five times as large as its linear prediction error


@dataclass
class WaveNetState:
    """The state of cached evaluation between steps.

    `first`, `hidden` and `head` are weight and bias of a matrix product each.
    """

    layers: list[LayerCache]
    first: tuple[Tensor, Tensor]
    hidden: tuple[Tensor, Tensor]
    head: tuple[Tensor, Tensor]
    gates: Tensor  # projected context plus gate bias, (L, num_layers, B, 2R)
    samples_per_frame: int
    time: int = 0
    frame_gates: tuple[Tensor, ...] = ()  # `gates` of the current frame, (B, 2R) for each layer
    offsets: Tensor | None = None  # the context's offsets of the parameters, (B, P, C, L)
    prediction: PredictionCache | PitchCache | None = None


class WaveNet(Conditioner):
    """Causal WaveNet: it computes the parameters of step t from samples t - R .. t - 1.

    R is the receptive field.

    Args:
        config: sizes.
        num_params: parameters per scalar, P.
        num_channels: channels of the signal, C.
        context_channels: channels H of a context (B, H, L) at frame rate, where each frame serves
            T / L samples; 0 for an unconditional network.
        locations: indices of the locations among the P parameters; a predictor's output is added to
            the locations.
    References:
        WaveNet (van den Oord et al., 2016). arXiv:1609.03499
        ClariNet (Ping et al., 2019), sec. 3. arXiv:1807.07281
    """

    is_location: Tensor
    input_std: Tensor

    def __init__(
        self,
        config: WaveNetConfig,
        num_params: int,
        num_channels: int = 1,
        context_channels: int = 0,
        locations: tuple[int, ...] = (0,),
    ) -> None:
        super().__init__()
        self.config = config
        self.num_params = num_params
        self.num_channels = num_channels
        self.context_channels = context_channels
        width = config.residual_channels
        self.register_buffer("input_std", torch.ones(()))
        num_inputs = 3 if config.predicts else 1  # sample, prediction, last error
        self.first = normalised_conv(num_inputs * num_channels, width, 1)
        self.layers = nn.ModuleList(
            ResidualLayer(width, config.skip_channels, config.kernel_size, dilation)
            for dilation in config.dilations
        )
        # The projection to all gates is linear. Projecting frames and then broadcasting gives the
        # result of repeating frames first, at 1/hop_length of the cost. The gates have biases, so
        # that the projection needs none.
        self.context = (
            normalised_conv(context_channels, 2 * width * config.num_layers, 1, bias=False)
            if context_channels
            else None
        )
        # A log-scale depends mostly on the level of the frame, so the context also reaches the
        # parameters directly.
        self.frame_params = (
            nn.Conv1d(context_channels, num_params * num_channels, 1, bias=False)
            if context_channels
            else None
        )
        if self.frame_params is not None:
            nn.init.zeros_(self.frame_params.weight)
        self.prediction = _prediction(config, num_channels, context_channels)
        self.error_gain = ERROR_GAIN if config.prediction_order else 1.0
        is_location = torch.zeros(num_params, 1)
        is_location[list(locations)] = 1.0
        self.register_buffer("is_location", is_location, persistent=False)
        head_width = config.skip_channels or width
        self.hidden = normalised_conv(head_width, head_width, 1)
        self.head = nn.Conv1d(head_width, num_params * num_channels, 1)
        with torch.no_grad():  # start near the identity: small parameters, zero bias
            self.head.weight.mul_(0.01)
            assert self.head.bias is not None
            self.head.bias.zero_()

    @property
    def receptive_field(self) -> int:
        """Past samples that the parameters of a step can depend on."""
        own = self.config.receptive_field
        if isinstance(self.prediction, PitchPrediction):
            own += self.prediction.receptive_field
        return own

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        past: Past | None = None,
        stack: Stack | None = None,
    ) -> Tensor:
        """Compute all parameters in parallel.

        Args:
            x: signal, shape (B, C, T).
            context: frames, shape (B, H, L) with T a multiple of L.
            past: streaming state of a signal in chunks; None for a whole signal.
            stack: the function that computes the gated layers; None for PyTorch's
                `residual_stack`.
        Returns:
            parameters, shape (B, P, C, T).
        Raises:
            ValueError: if a shape does not fit.
        """
        gates = self._project_context(x, context)
        inputs = [_delayed(x, past)]  # strictly causal: step t starts at x_{t-1}
        context = None if context is None else context.to(x.dtype)
        prediction = None
        if self.prediction is not None:
            with full_precision(x):
                prediction = self.prediction(x, context, past)
            inputs += [prediction, self.error_gain * _delayed(x - prediction, past)]
        h = self.first(torch.cat(inputs, 1) / self.input_std)
        h = stack(h, gates, past) if stack else residual_stack(self.layers, h, gates, past)
        # Mixed precision ends here: rounding a location to 8 bits makes an error that is larger
        # than a small scale.
        with full_precision(x):
            params = _pointwise(self.head, F.relu(_pointwise(self.hidden, F.relu(h.to(x.dtype)))))
            params = params.view(-1, self.num_params, self.num_channels, x.shape[-1])
            if self.frame_params is not None:
                assert context is not None
                offsets = self._frame_offsets(context)[..., None]
                params = (params.unflatten(-1, (context.shape[2], -1)) + offsets).flatten(3)
            if prediction is not None:
                params = params + self.is_location[..., None] * prediction[:, None]
        return params

    def start(self, like: Tensor, context: Tensor | None = None) -> WaveNetState:
        """Return the state before the first sample of a signal shaped `like`, (B, C, T)."""
        gates, offsets = self.project(like, context)
        silent = like.new_zeros(like.shape[0], self.config.residual_channels)
        return WaveNetState(
            layers=[layer.start(silent) for layer in self._residual_layers()],
            first=as_matrix(self.first),
            hidden=as_matrix(self.hidden),
            head=as_matrix(self.head),
            gates=gates,
            samples_per_frame=like.shape[2] // gates.shape[0],
            offsets=offsets,
            prediction=None if self.prediction is None else self.prediction.start(like, context),
        )

    def project(self, like: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute the context's contributions to the gates and the parameters of each frame.

        Args:
            like: a tensor of the signal's shape, (B, C, T).
            context: frames, shape (B, H, L); None for an unconditional network.
        Returns:
            projected context plus bias of all gates, (L, num_layers, B, 2R), L = 1 without context;
            offsets of the parameters, (B, P, C, L), None without context.
        """
        gates = self._project_context(like, context)
        bias = self.gate_biases()
        if gates is None or context is None:
            return bias[None, :, None].expand(1, -1, like.shape[0], -1), None
        # Put a frame's gates together in memory, as a step reads them.
        gates = (gates.permute(0, 3, 1, 2).contiguous() + bias).permute(1, 2, 0, 3)
        return gates, self._frame_offsets(context)

    def gate_biases(self) -> Tensor:
        """Return the biases of all gates, shape (num_layers, 2R)."""
        biases = [layer.gate.bias for layer in self._residual_layers()]
        return torch.stack([b for b in biases if b is not None])

    def step(self, previous: Tensor, state: WaveNetState) -> Tensor:
        """Advance by one sample.

        Args:
            previous: the previous sample, shape (B, C); zeros for the first step.
            state: the state from `start`, updated in place.
        Returns:
            parameters of the next sample, shape (B, P, C).
        """
        frame, offset = divmod(state.time, state.samples_per_frame)
        if offset == 0:
            state.frame_gates = state.gates[frame].unbind(0)
        state.time += 1
        inputs = [previous]
        if state.prediction is not None:
            error = state.prediction.step(previous, frame)
            inputs += [state.prediction.current, self.error_gain * error]
        h = F.linear(torch.cat(inputs, 1) / self.input_std, *state.first)
        total: Tensor | None = None
        for cache, bias in zip(state.layers, state.frame_gates, strict=True):
            h, skip = cache.step(h, bias)
            if self.config.skip_channels:
                total = skip if total is None else total + skip
        h = h if total is None else total * skip_gain(self.config.num_layers)
        params = F.linear(F.relu(F.linear(F.relu(h), *state.hidden)), *state.head)
        params = params.view(-1, self.num_params, self.num_channels)
        if state.offsets is not None:
            params = params + state.offsets[..., frame]
        if state.prediction is not None:
            params = params + self.is_location * state.prediction.current[:, None]
        return params

    def set_statistics(self, input_std: float, initial_params: Tensor) -> None:
        """Set the untrained network's input scale and first output.

        Args:
            input_std: standard deviation of the signal; the network divides its inputs by it.
            initial_params: output of the untrained network for every scalar, shape (P,).
        """
        assert self.head.bias is not None
        with torch.no_grad():
            self.input_std.fill_(input_std)
            self.head.bias.copy_(initial_params.repeat_interleave(self.num_channels))

    def _residual_layers(self) -> list[ResidualLayer]:
        return [layer for layer in self.layers if isinstance(layer, ResidualLayer)]

    def _frame_offsets(self, context: Tensor) -> Tensor:
        assert self.frame_params is not None
        offsets = FRAME_GAIN * self.frame_params(context)
        return offsets.unflatten(1, (self.num_params, self.num_channels))

    def _project_context(self, x: Tensor, context: Tensor | None) -> Tensor | None:
        check_signal(x, self.num_channels)
        check_frames(context, x, self.context_channels)
        if self.context is None or context is None:
            return None
        return self.context(context).unflatten(1, (self.config.num_layers, -1))


def _prediction(
    config: WaveNetConfig, num_channels: int, context_channels: int
) -> LinearPrediction | PitchPrediction | None:
    """Build the configured linear or long-term predictor, or return None."""
    if config.prediction_order:
        return LinearPrediction(config.prediction_order, num_channels, context_channels)
    if config.pitch.longest_lag:
        return PitchPrediction(config.pitch, num_channels, context_channels)
    return None


def _pointwise(layer: nn.Conv1d, h: Tensor) -> Tensor:
    """Apply a convolution of width 1 as a matrix product, which is faster in float32 on a CPU."""
    weight, bias = as_matrix(layer)
    return torch.baddbmm(bias[:, None], weight.expand(h.shape[0], -1, -1), h)


def _delayed(x: Tensor, past: Past | None) -> Tensor:
    """Delay a signal (B, C, T) by one sample; it then begins with the past's last sample, or 0."""
    return with_past(x, 1, past)[..., :-1]
