"""Sequential sampling from a WaveNet on a GPU: one kernel draws a whole piece of the signal."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from flows.engines.triton.stack import WIDEST, padded
from flows.networks.gated import SQRT_HALF, skip_gain
from flows.networks.linear_prediction import PredictionCache
from flows.networks.wavenet import ERROR_GAIN, WaveNet, WaveNetState
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import Affine

LEAST_COLUMNS = 2
"""The smallest length of a vector in the kernel."""


def loop_obstacle(wavenet: WaveNet) -> str | None:
    """Return the reason why one kernel cannot draw a network's samples, or None if it can."""
    config = wavenet.config
    if wavenet.num_channels != 1:
        return f"persistent sampling is for signals of one channel, got {wavenet.num_channels}"
    if config.pitch.longest_lag:
        return "persistent sampling knows no long-term prediction"
    widest = max(config.residual_channels, config.skip_channels)
    if widest > WIDEST:
        return f"persistent sampling is for at most {WIDEST} channels, got {widest}"
    return None


@torch.no_grad()
def persistent_chunks(
    wavenet: WaveNet,
    transformer: Affine | MixtureCdf,
    noise: Tensor,
    context: Tensor | None,
    choice: Tensor | None,
    chunk: int,
) -> Iterator[Tensor]:
    """Draw signals of one channel with one kernel for each piece; see `cached_chunks`."""
    loop = PersistentLoop(wavenet, transformer, noise, context)
    for start in range(0, noise.shape[-1], chunk):
        now = slice(start, start + chunk)
        yield loop.draw(noise[..., now], None if choice is None else choice[..., now])


class PersistentLoop:
    """Streams of a network, drawn piece by piece. The constructor copies the weights.

    Args:
        wavenet: a network without a `loop_obstacle`, in float32.
        transformer: the transformer of each sample.
        like: a tensor of the whole signal's shape, (B, 1, T), and device.
        context: the signal's frames, shape (B, H, L); None for an unconditional network.
    """

    def __init__(
        self,
        wavenet: WaveNet,
        transformer: Affine | MixtureCdf,
        like: Tensor,
        context: Tensor | None,
    ) -> None:
        assert loop_obstacle(wavenet) is None
        config = wavenet.config
        state = wavenet.start(like, context)
        width, skips, older = config.residual_channels, config.skip_channels, config.kernel_size - 1
        rows, skip_rows = padded(width, LEAST_COLUMNS), padded(skips, LEAST_COLUMNS) if skips else 0
        head_rows = skip_rows or rows
        is_mixture = isinstance(transformer, MixtureCdf)
        components = wavenet.num_params // 3 if is_mixture else 1
        columns, order = padded(components, LEAST_COLUMNS), config.prediction_order
        # A step reads one row less than a ring has; the kernel says why.
        lengths = [older * dilation + 1 for dilation in config.dilations]
        starts = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        dilations = torch.tensor(config.dilations, dtype=torch.int32)
        self._order, self._time = order, 0
        self._recent = like.new_zeros(like.shape[0], order)
        carried = like.new_zeros(like.shape[0], 2)
        rings = like.new_zeros(like.shape[0], int(starts[-1]), rows)
        gates, offsets, filters = _lay_out_frames(state, like, rows, components, columns)
        self._arguments = [
            *(carried, rings, starts.to(like.device), dilations.to(like.device)),
            *(gates, offsets, filters),
            *_lay_out_layers(state, wavenet.input_std, rows, skip_rows),
            *_lay_out_head(state, head_rows, components, columns),
        ]
        self.numbers = {
            "span": state.samples_per_frame,
            "num_layers": config.num_layers,
            "ring_rows": int(starts[-1]),
            "num_filters": filters.shape[0],
            "error_gain": ERROR_GAIN,
            "total_gain": skip_gain(config.num_layers) if skips else 1.0,
            "least_scale": float(torch.tensor(transformer.log_scale_floor).exp()),
        }
        self.sizes = {
            "rows": rows,
            "skip_rows": skip_rows,
            "head_rows": head_rows,
            "older": older,
            "order": order,
            "padded_order": filters.shape[-1],
            "components": components,
            "padded_components": columns,
            "has_choice": is_mixture,
            "has_offsets": state.offsets is not None,
            "residual_gain": SQRT_HALF,
        }
        self.options = {"num_warps": 8 if max(rows, skip_rows) <= 64 else 16}

    def draw(self, noise: Tensor, choice: Tensor | None) -> Tensor:
        """Draw the next samples.

        Args:
            noise: shape (B, 1, n).
            choice: uniform in [0, 1), chooses the components of a mixture, shape (B, 1, n).
        Returns:
            x, shape (B, 1, n).
        """
        from flows.engines.triton.loop_kernel import draw_samples  # triton is not everywhere

        batch, _, count = noise.shape
        noise = noise[:, 0].contiguous()
        x = torch.cat([self._recent, torch.empty_like(noise)], 1)
        choice = noise if choice is None else choice[:, 0].contiguous()
        numbers = {"start": self._time, "count": count, **self.numbers}
        with torch.cuda.device_of(x):
            draw_samples[(batch,)](
                x, noise, choice, *self._arguments, **numbers, **self.sizes, **self.options
            )
        self._time += count
        self._recent = x[:, count:]
        return x[:, None, self._order :]


def _lay_out_frames(
    state: WaveNetState, like: Tensor, rows: int, components: int, columns: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the frames' gates, offsets (a single zero without offsets) and linear predictors."""
    offsets, filters = like.new_zeros(1), like.new_zeros(like.shape[0], 1, 1, 0)
    if state.offsets is not None:  # (B, P, 1, L) to (L, B, 3, columns)
        offsets = state.offsets[:, :, 0].permute(2, 0, 1).unflatten(2, (-1, components))
        offsets = F.pad(offsets, (0, columns - components, 3 - offsets.shape[2], 0)).contiguous()
    if isinstance(state.prediction, PredictionCache):
        filters = state.prediction.coefficients
    filters = filters[:, 0].transpose(0, 1)  # (B, 1, L, K) to (L, B, K), zeros in front
    filters = F.pad(
        filters, (padded(filters.shape[2], LEAST_COLUMNS) - filters.shape[2], 0)
    ).contiguous()
    return _pad(state.gates.unflatten(-1, (2, -1)), rows), offsets, filters


def _lay_out_layers(
    state: WaveNetState, input_std: Tensor, rows: int, skip_rows: int
) -> tuple[Tensor, ...]:
    """Return the weights: input layer with bias, layers' taps, layers' outputs, output biases."""
    first, bias = state.first
    first = F.pad(first.T / input_std, (0, 0, 0, 3 - first.shape[1]))
    width = first.shape[1]
    taps = torch.stack([layer.gate_weight for layer in state.layers])
    # (N, taps * R, 2R), oldest first, to (N, taps, 2, R, R), newest first, outputs in rows
    taps = taps.unflatten(1, (-1, width)).flip(1).transpose(2, 3).unflatten(2, (2, -1))
    out = torch.stack([layer.out_weight for layer in state.layers]).transpose(1, 2)
    out_bias = torch.stack([layer.out_bias for layer in state.layers])
    return (
        _pad(torch.cat([first, bias[None]]), rows),
        _pad(taps, rows, rows),
        torch.cat([_pad(out[:, :width], rows, rows), _pad(out[:, width:], skip_rows, rows)], 1),
        torch.cat([_pad(out_bias[:, :width], rows), _pad(out_bias[:, width:], skip_rows)], 1),
    )


def _lay_out_head(
    state: WaveNetState, head_rows: int, components: int, columns: int
) -> tuple[Tensor, ...]:
    """Return weights and biases of the hidden layer and the head; missing logits are zeros."""
    weight, bias = (t.unflatten(0, (-1, components)) for t in state.head)
    missing = 3 - len(bias)
    weight, bias = F.pad(weight, (0, 0, 0, 0, missing, 0)), F.pad(bias, (0, 0, missing, 0))
    return (
        _pad(state.hidden[0], head_rows, head_rows),
        _pad(state.hidden[1], head_rows),
        _pad(weight, columns, head_rows),
        _pad(bias, columns),
    )


def _pad(tensor: Tensor, *sizes: int) -> Tensor:
    """Pad the last dimensions with zeros to `sizes`."""
    have = tensor.shape[tensor.dim() - len(sizes) :]
    padding = [0, 0] * len(sizes)
    padding[1::2] = [size - size_now for size, size_now in zip(sizes, have, strict=True)][::-1]
    return F.pad(tensor, padding).contiguous()
