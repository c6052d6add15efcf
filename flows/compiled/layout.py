"""How compiled code holds a network, its context and its state in plain arrays."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.compiled.intrinsics import LANES, VECTORS
from flows.gated import SQRT_HALF, skip_gain
from flows.wavenet import ERROR_GAIN, FRAME_GAIN, WaveNet


class Network(NamedTuple):
    """A WaveNet's weights: R residual and S skip channels, N layers, W = S or else R.

    Matrices are in panels, (how many, panels, depth, columns); a star marks a width rounded up to
    whole panels. A layer's row holds its input and, beside it, the sum of the skips so far.
    """

    first: np.ndarray  # the network's inputs to R
    first_bias: np.ndarray  # (R + S)*
    current: np.ndarray  # of each layer, the tap on its current input: N of R to 2R
    older: np.ndarray  # the other taps, newest first: N * (kernel - 1) of R to 2R
    out: np.ndarray  # N of R to R + S
    out_bias: np.ndarray  # (N, (R + S)*)
    row_scale: np.ndarray  # of a row on its way to the next layer, (R + S)*
    hidden: np.ndarray  # W to W
    hidden_bias: np.ndarray  # W*
    head: np.ndarray  # W to P * C
    head_bias: np.ndarray  # (P * C)*
    dilations: np.ndarray  # (N,)
    is_location: np.ndarray  # (P,): 1 where the prediction is added
    num_logits: int  # of a mixture's weights, the first parameters; then locations, log-scales
    skip_channels: int
    skip_gain: float
    error_gain: float
    log_scale_floor: float


class ContextWeights(NamedTuple):
    """What a network's context of H channels is multiplied by, in panels."""

    gates: np.ndarray  # of each layer, N of H to 2R
    bias: np.ndarray  # of each layer's gates, (N, (2R)*)
    params: np.ndarray  # H to P * C


class Frames(NamedTuple):
    """What the context contributes to a chunk, frame by frame."""

    gates: np.ndarray  # context and gate bias, (B, L, N, (2R)*)
    offsets: np.ndarray  # added to the parameters, (B, L, P, C)
    coefficients: np.ndarray  # of the linear predictor, oldest sample first, (B, L, C, K)
    first: int  # number of the chunk's first frame
    length: int  # samples per frame

    def of(self, streams: slice) -> "Frames":
        """Return the part of some streams."""
        arrays = (self.gates[streams], self.offsets[streams], self.coefficients[streams])
        return Frames(*arrays, self.first, self.length)


class Streams(NamedTuple):
    """What B streams remember between samples."""

    previous: np.ndarray  # the last sample, (B, C)
    prediction: np.ndarray  # of that sample, (B, C)
    recent: np.ndarray  # the last K samples, oldest first, (B, C, K)
    blocks: np.ndarray  # of each layer, the samples its older taps are computed for at once
    rings: np.ndarray  # of each layer, the length in samples of its ring of past rows
    rows: np.ndarray  # all rings, then the last layer's output; B rows a sample
    gates: np.ndarray  # each layer's gates for the current block; B rows a sample


@torch.no_grad()
def lay_out_network(wavenet: WaveNet, log_scale_floor: float) -> Network:
    """Lay out what `WaveNet.step` multiplies by, weight norm folded.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: of the affine transformer.
    """
    config = wavenet.config
    like = wavenet.input_std.new_zeros(1, wavenet.num_channels, 1)
    context = like.new_zeros(1, wavenet.context_channels, 1) if wavenet.context_channels else None
    state = wavenet.start(like, context)
    width, skips = config.residual_channels, config.skip_channels
    row_scale = torch.tensor([SQRT_HALF] * width + [1.0] * skips)
    taps = [layer.gate_weight.unflatten(0, (-1, width)).flip(0) for layer in state.layers]
    return Network(
        first=in_panels((state.first[0] / wavenet.input_std).T[None]),
        first_bias=_whole_panels(F.pad(state.first[1], (0, skips))),
        current=in_panels(torch.stack([tap[0] for tap in taps])),
        older=in_panels(torch.cat([tap[1:] for tap in taps])),
        out=in_panels(torch.stack([layer.out_weight for layer in state.layers]) * row_scale),
        out_bias=_whole_panels(torch.stack([layer.out_bias for layer in state.layers]) * row_scale),
        row_scale=_whole_panels(row_scale),
        hidden=in_panels(state.hidden[0].T[None]),
        hidden_bias=_whole_panels(state.hidden[1]),
        head=in_panels(state.head[0].T[None]),
        head_bias=_whole_panels(state.head[1]),
        dilations=np.array(config.dilations),
        is_location=wavenet.is_location[:, 0].numpy(),
        num_logits=0 if wavenet.num_params == 2 else wavenet.num_params // 3,
        skip_channels=skips,
        skip_gain=skip_gain(config.num_layers) if skips else 1.0,
        error_gain=ERROR_GAIN,
        log_scale_floor=log_scale_floor,
    )


@torch.no_grad()
def lay_out_context(wavenet: WaveNet) -> ContextWeights:
    """Lay out what a conditional network multiplies its context by, as `lay_out_network`."""
    assert wavenet.context is not None
    assert wavenet.frame_params is not None
    biases = wavenet.gate_biases()
    gates = wavenet.context.weight[..., 0].unflatten(0, biases.shape)
    return ContextWeights(
        gates=in_panels(gates.transpose(1, 2)),
        bias=_whole_panels(biases),
        params=in_panels(FRAME_GAIN * wavenet.frame_params.weight[..., 0].T[None]),
    )


@torch.no_grad()
def lay_out_frames(
    wavenet: WaveNet, like: Tensor, context: Tensor | None, first: int = 0, length: int = 1
) -> Frames:
    """Lay out what the context of a chunk contributes.

    Args:
        wavenet: the network.
        like: a tensor of the chunk's shape, (B, C, T).
        context: its frames, shape (B, H, L); None for an unconditional network.
        first: number of the chunk's first frame.
        length: samples per frame.
    """
    with torch.autocast("cpu", enabled=False):
        gates, offsets = wavenet.project(like, context)
    num_frames, (batch, channels, _) = gates.shape[0], like.shape
    if offsets is None:
        offsets = torch.zeros(batch, wavenet.num_params, channels, 1)
    coefficients = torch.zeros(batch, channels, num_frames, 0)
    if wavenet.prediction is not None:
        coefficients = wavenet.prediction.coefficients(batch, context)
    return Frames(
        gates=_whole_panels(gates.permute(2, 0, 1, 3)),
        offsets=offsets.permute(0, 3, 1, 2).contiguous().numpy(),
        coefficients=coefficients.transpose(1, 2).contiguous().numpy(),
        first=first,
        length=length,
    )


def start_streams(
    network: Network, num_streams: int, num_channels: int, order: int, longest_block: int
) -> Streams:
    """Return the state of streams before their first sample.

    Args:
        network: weights.
        num_streams: B.
        num_channels: channels of the signal, C.
        order: of the linear predictor, K.
        longest_block: a power of two; where there are frames, a divisor of their length.
    """
    samples = (num_streams, num_channels)
    taps = network.older.shape[0] // network.dilations.size
    blocks = np.minimum(network.dilations, longest_block)
    # A block's oldest inputs are read after its first row has been written: a block more.
    rings = taps * network.dilations + blocks
    return Streams(
        previous=np.zeros(samples, np.float32),
        prediction=np.zeros(samples, np.float32),
        recent=np.zeros((*samples, order), np.float32),
        blocks=blocks,
        rings=rings,
        rows=np.zeros(((rings.sum() + 1) * num_streams, network.row_scale.size), np.float32),
        gates=np.zeros((blocks.sum() * num_streams, padded_width(network.current)), np.float32),
    )


def padded_width(weights: np.ndarray) -> int:
    """Return the columns of matrices in panels, the zeros beyond their width included."""
    return int(weights.shape[1] * weights.shape[3])


def in_panels(matrices: Tensor) -> np.ndarray:
    """Lay matrices (N, depth, width) out as (N, panels, depth, columns), zeros beyond the width."""
    columns = _columns(matrices.shape[2])
    padded = F.pad(matrices, (0, -matrices.shape[2] % columns)).unflatten(2, (-1, columns))
    return padded.transpose(1, 2).contiguous().numpy()


def _whole_panels(rows: Tensor) -> np.ndarray:
    """Lengthen rows (..., N) by zeros to whole panels."""
    width = rows.shape[-1]
    return F.pad(rows, (0, -width % _columns(width))).contiguous().numpy()


def _columns(width: int) -> int:
    """Choose the columns of a matrix's panels: wide ones where they leave little space unused."""
    wide = VECTORS * LANES
    return wide if -width % wide < LANES else LANES
